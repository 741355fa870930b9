"""The card of the data set: its counts and ranges are those of the paintings, and its page says where they are."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise.data import dataset, shards
from strokewise.data.dataset import load_factors, load_paintings
from strokewise.data.shapes import OTHER
from strokewise.params import GenerateParams
from strokewise.synthesis import dataset_card, render, workers
from strokewise.synthesis.outlines import Catalogue

SIZES = {"train": 50, "validation": 20, "test": 33}


@pytest.fixture(scope="module")
def generate_params(defaults: GenerateParams) -> GenerateParams:
    return defaults.model_copy(update={**SIZES, "canvas": 32})


@pytest.fixture(scope="module")
def small_catalogue(catalogue: Catalogue) -> Catalogue:
    """Three shapes and `other`."""
    kept = [*range(3), catalogue.shapes.index(OTHER)]
    shapes = tuple(catalogue.shapes[label] for label in kept)
    return Catalogue(shapes, tuple(catalogue.outlines[label] for label in kept), catalogue.digest)


@pytest.fixture(scope="module")
def paintings(
    tmp_path_factory: pytest.TempPathFactory, small_catalogue: Catalogue, generate_params: GenerateParams
) -> Iterator[Path]:
    """A folder of paintings in shards of 20."""
    folder = tmp_path_factory.mktemp("paintings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "ROWS_PER_SHARD", 20)
        patch.setattr(dataset, "ROWS_PER_SHARD", 20)
        plan = workers.plan_shards(generate_params)
        workers.paint_shards(plan, folder, small_catalogue, generate_params, 1, lambda count: None)
        yield folder


@pytest.fixture(scope="module")
def card(paintings: Path, small_catalogue: Catalogue, generate_params: GenerateParams) -> dict[str, Any]:
    paths = [path for split in SIZES for path in sorted((paintings / split).iterdir())]
    columns = ((path.parent.name, shards.read_columns(path)) for path in paths)
    return dataset_card.build_card(small_catalogue, generate_params, columns)


@pytest.fixture(scope="module")
def page(card: dict[str, Any]) -> str:
    return dataset_card.card_markdown(card)


def test_card_counts_paintings_per_split_and_shape(
    card: dict[str, Any], paintings: Path, small_catalogue: Catalogue
) -> None:
    assert card["shapes"] == list(small_catalogue.shapes)
    assert card["catalogue"] == small_catalogue.digest
    assert card["generate"]["canvas"] == 32
    for split, size in SIZES.items():
        labels = load_paintings(split, 16, paintings).labels
        counts = {small_catalogue.shapes[label]: count for label, count in Counter(labels.tolist()).items()}
        assert card["splits"][split]["paintings"] == size
        assert {name: count for name, count in card["splits"][split]["shapes"].items() if count} == counts


def test_card_holds_the_range_of_every_factor(card: dict[str, Any], paintings: Path) -> None:
    factors = [load_factors(split, paintings) for split in SIZES]
    for name, kind in render.FACTOR_TYPES.items():
        values = [value for split_factors in factors for value in split_factors[name].tolist()]
        summary = card["factors"][name]
        if kind in (int, float):
            assert (summary["least"], summary["greatest"]) == (min(values), max(values))
        else:
            assert sum(summary["values"].values()) == 103


def test_page_names_the_files_of_each_split(page: str, paintings: Path) -> None:
    header = YAML(typ="safe").load(page.split("---\n")[1])
    data_files = header["configs"][0]["data_files"]
    assert [files["split"] for files in data_files] == list(SIZES)
    for files in data_files:
        assert list(paintings.glob(files["path"])), files


def test_page_lists_shapes_and_factors(page: str, paintings: Path, small_catalogue: Catalogue) -> None:
    assert all(f"| {shape} |" in page for shape in small_catalogue.shapes)
    assert "| **all** | 50 | 20 | 33 |" in page
    rows = dict(line[2:-2].split(" | ", 1) for line in page.splitlines() if line.startswith("| "))
    for name, kind in render.FACTOR_TYPES.items():
        assert rows[name].startswith(f"{kind.__name__} | "), name
        assert rows[name].endswith(f" | {render.FACTOR_MEANINGS[name]}"), name
    assert rows["contains"].startswith("str | (none), ")
    counts = Counter(value for split in SIZES for value in load_factors(split, paintings)["variant"].tolist())
    listed, more = rows["variant"].split(" | ")[1].rsplit(" and ", 1)
    assert more == f"{len(counts) - 12} more"
    assert [counts[value] for value in listed.split(", ")] == sorted(counts.values(), reverse=True)[:12]
