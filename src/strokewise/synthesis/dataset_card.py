"""The data set's card: what was painted, in numbers. Shards in; a dictionary for `card.json` and a page out.

The page begins with the YAML block that Hugging Face's viewer reads, so that a copy of the folder opens there.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from strokewise import params
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.render import FACTOR_MEANINGS, FACTOR_TYPES

FactorColumns = dict[str, NDArray[Any]]
HUB_SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
)  # the hub's words
MAX_LISTED_VALUES = 12  # words of a factor that the page names, the most frequent first; the JSON counts all


def build_card(
    catalogue: Catalogue, generate: params.GenerateParams, shards: Iterable[tuple[str, FactorColumns]]
) -> dict[str, Any]:
    """Counts per split and shape, and every factor's range, from (split, columns) of one shard after the other."""
    counts: dict[str, Counter[int]] = {}
    ranges: dict[str, Any] = {}
    for split, columns in shards:
        counts.setdefault(split, Counter()).update(columns["label"].tolist())
        for name, kind in FACTOR_TYPES.items():
            ranges[name] = _extend_range(ranges.get(name), kind, columns[name])
    return {
        "generate": generate.model_dump(),
        "catalogue": catalogue.digest,
        "shapes": list(catalogue.shapes),
        "splits": {
            split: {
                "paintings": count.total(),
                "shapes": {shape: count[label] for label, shape in enumerate(catalogue.shapes)},
            }
            for split, count in counts.items()
        },
        "factors": ranges,
    }


def _extend_range(known: dict[str, Any] | None, kind: type, values: NDArray[Any]) -> dict[str, Any]:
    """A factor's range with more values in it: least and greatest number, or every word with its count."""
    if kind in (str, bool):
        counts = Counter(known["values"] if known else {})
        counts.update(str(value).lower() if kind is bool else str(value) for value in values.tolist())
        return {"type": kind.__name__, "values": dict(sorted(counts.items()))}
    low, high = values.min().item(), values.max().item()
    if known:
        low, high = min(low, known["least"]), max(high, known["greatest"])
    return {"type": kind.__name__, "least": low, "greatest": high}


def card_markdown(made: dict[str, Any]) -> str:
    """The card as a page in Markdown."""
    total = sum(split["paintings"] for split in made["splits"].values())
    size = next((words for limit, words in HUB_SIZE_CATEGORIES if total < limit), "n>1M")
    files = "\n".join(f"      - split: {split}\n        path: {split}/*.parquet" for split in made["splits"])
    shapes = "\n".join(
        f"| {shape} | " + " | ".join(f"{split['shapes'][shape]:,}" for split in made["splits"].values()) + " |"
        for shape in made["shapes"]
    )
    sums = " | ".join(f"{split['paintings']:,}" for split in made["splits"].values())
    factors = "\n".join(
        f"| {name} | {made['factors'][name]['type']} | {_format_range(made['factors'][name])} | {FACTOR_MEANINGS[name]} |"
        for name in FACTOR_TYPES
    )
    settings = made["generate"]
    side = settings["canvas"]
    return f"""---
pretty_name: Paintings of hand-drawn shapes
license: mit
task_categories:
  - image-classification
size_categories:
  - {size}
tags:
  - synthetic
configs:
  - config_name: default
    data_files:
{files}
---

# Paintings of hand-drawn shapes

{total:,} paintings of {len(made["shapes"])} shapes, {side}×{side} pixels, drawn by the unsteady hand of strokewise:
no person drew them and none was asked. Made with seed {settings["seed"]} and imprecision {settings["imprecision"]:g};
the same parameters and the same outlines give the same bytes.

![Paintings, a row a shape](contact-sheet.png)

| shape | {" | ".join(made["splits"])} |
|---|{"---:|" * len(made["splits"])}
{shapes}
| **all** | {sums} |

`image` is the painting as painted, `label` its shape. The factors below were drawn by lot, and each is a column. Of
ink and paper, from `size` on, what does not apply is 0, false or none. The hand's numbers, from `stretch` to `tremor`,
are drawn for every painting, also where a shape has no corner or no closed stroke for them to act on. Their lengths
are in the outline's frame, whose longest side is 2; shapes that are flat or have more than four edges are drawn with
more care, and err less than the numbers say. No column tells where single things fell: how far each corner was missed,
a stray mark's place, the proportions of a doodle.

| factor | type | range | meaning |
|---|---|---|---|
{factors}
"""


def _format_range(factor: dict[str, Any]) -> str:
    if "values" in factor:
        words = sorted(factor["values"], key=lambda word: -factor["values"][word])
        more = f" and {len(words) - MAX_LISTED_VALUES:,} more" if len(words) > MAX_LISTED_VALUES else ""
        return ", ".join(word or "(none)" for word in words[:MAX_LISTED_VALUES]) + more
    return f"{factor['least']:.4g} to {factor['greatest']:.4g}"
