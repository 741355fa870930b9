"""The card of the data set: labels and factors of all shards → counts and ranges for `card.json`, and a Markdown page.

The page begins with the YAML block that Hugging Face's viewer reads, so that a copy of the folder opens there.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from strokewise.params import GenerateParams
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.render import FACTOR_MEANINGS, FACTOR_TYPES

FactorColumns = dict[str, NDArray[Any]]
HUB_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MAX_LISTED_VALUES = 12  # values of a text factor on the page, the most frequent first; `card.json` counts all


def build_card(
    catalogue: Catalogue, generate: GenerateParams, shards: Iterable[tuple[str, FactorColumns]]
) -> dict[str, Any]:
    """Count the paintings of each split and shape, and find the range of every factor.

    Args:
        catalogue: The outlines.
        generate: The section of the parameters.
        shards: The split and the columns (label and factors) of one shard after the other.
    """
    label_counts: dict[str, Counter[int]] = {}
    ranges: dict[str, Any] = {}
    for split, columns in shards:
        label_counts.setdefault(split, Counter()).update(columns["label"].tolist())
        for name, kind in FACTOR_TYPES.items():
            ranges[name] = _extend_range(ranges.get(name), kind, columns[name])
    return {
        "generate": generate.model_dump(),
        "catalogue": catalogue.digest,
        "shapes": list(catalogue.shapes),
        "splits": {
            split: {
                "paintings": counts.total(),
                "shapes": {shape: counts[label] for label, shape in enumerate(catalogue.shapes)},
            }
            for split, counts in label_counts.items()
        },
        "factors": ranges,
    }


def _extend_range(previous: dict[str, Any] | None, kind: type, values: NDArray[Any]) -> dict[str, Any]:
    """Add values (n,) to a factor's range: least and greatest of numbers, counts of texts and booleans."""
    if kind in (str, bool):
        counts = Counter(previous["values"] if previous else {})
        counts.update(str(value).lower() if kind is bool else str(value) for value in values.tolist())
        return {"type": kind.__name__, "values": dict(sorted(counts.items()))}
    least, greatest = values.min().item(), values.max().item()
    if previous:
        least, greatest = min(least, previous["least"]), max(greatest, previous["greatest"])
    return {"type": kind.__name__, "least": least, "greatest": greatest}


def card_markdown(card: dict[str, Any]) -> str:
    """The card as a Markdown page."""
    splits, factors, generate = card["splits"], card["factors"], card["generate"]
    side = generate["canvas"]
    total = sum(split["paintings"] for split in splits.values())
    size_category = next((category for limit, category in HUB_SIZE_CATEGORIES if total < limit), "n>1M")
    data_files = "\n".join(f"      - split: {split}\n        path: {split}/*.parquet" for split in splits)
    shape_rows = "\n".join(
        f"| {shape} | " + " | ".join(f"{split['shapes'][shape]:,}" for split in splits.values()) + " |"
        for shape in card["shapes"]
    )
    sums = " | ".join(f"{split['paintings']:,}" for split in splits.values())
    factor_rows = "\n".join(
        f"| {name} | {factors[name]['type']} | {_format_range(factors[name])} | {FACTOR_MEANINGS[name]} |"
        for name in FACTOR_TYPES
    )
    return f"""---
pretty_name: Paintings of hand-drawn shapes
license: mit
task_categories:
  - image-classification
size_categories:
  - {size_category}
tags:
  - synthetic
configs:
  - config_name: default
    data_files:
{data_files}
---

# Paintings of hand-drawn shapes

{total:,} synthetic paintings of {len(card["shapes"])} shapes, {side}×{side} pixels, drawn by strokewise's model of an
unsteady hand; no drawing was collected from a person.
Seed {generate["seed"]}, imprecision {generate["imprecision"]:g}; the same parameters and outlines give the same bytes.

![Examples, one row per shape](contact-sheet.png)

| shape | {" | ".join(splits)} |
|---|{"---:|" * len(splits)}
{shape_rows}
| **all** | {sums} |

`image` is the painting as PNG and `label` its shape. Every other column is a factor that was sampled at random:

- `variant` and `contains` say what is drawn.
- `stretch` to `tremor` describe the hand. They are sampled for every painting, even where they have no effect, such as
  on a shape without corners. Lengths are in the frame of the outline, whose longest side is 2. Flat shapes and shapes
  with more than four edges are drawn with more care, so that they deviate less than these values say.
- From `size` on, the columns describe ink and paper. Where one does not apply, it is 0, false or none.

Local details have no column: the displacement of each corner, the positions of stray marks, the proportions of a
distractor.

| factor | type | range | meaning |
|---|---|---|---|
{factor_rows}
"""


def _format_range(factor: dict[str, Any]) -> str:
    """A factor's range as text: "0 to 1", or its values, the most frequent first."""
    if "values" in factor:
        values = sorted(factor["values"], key=lambda value: -factor["values"][value])
        more = f" and {len(values) - MAX_LISTED_VALUES:,} more" if len(values) > MAX_LISTED_VALUES else ""
        return ", ".join(value or "(none)" for value in values[:MAX_LISTED_VALUES]) + more
    return f"{factor['least']:.4g} to {factor['greatest']:.4g}"
