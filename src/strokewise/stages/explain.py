"""data/paintings, data/model, data/baseline -> data/report: what the network saw in one test painting of every shape.

index.html            the page: the way, receptive fields, the arithmetic, why this shape; needs nothing beside it
explain/<shape>.png   the way as a sheet, for DVC and MLflow

The painting is the first of its shape that the network gets right, so neither the easiest nor one picked by hand;
where it gets none of the first `CANDIDATES` right, it is the first, and the page says what it was taken for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise import dataset, disk, figures, network, pictures, progress
from strokewise.architecture import STRAIGHT
from strokewise.dataset import Split
from strokewise.errors import ModelError, PictureError
from strokewise.explain import comparison, layers, report, story, way, why
from strokewise.explain.report import Rival
from strokewise.explain.story import Memory, Story
from strokewise.learn import flat
from strokewise.learn.flat import Flat
from strokewise.network import Network
from strokewise.params import Params

MODEL = Path("data/model")
REPORT = Path("data/report")
CANDIDATES = 25  # paintings of a shape that are tried
REMEMBERED = 2000  # training paintings, at the most, that patches are taken from
SHIFTED = 300  # test paintings, at the most, that are shifted behind the door
MOST = 60  # pictures on a page: each takes 0.15 MB
MAPS = 8  # a stage, where no params.yaml says how many


@dataclass(frozen=True)
class Explained:
    """The painting that was taken for each shape, by its index in the test paintings, and what it was taken for."""

    page: Path
    paintings: dict[str, int]
    answers: dict[str, str]


def explain(params: Params) -> Explained:
    """Follow one test painting of every shape through the network."""
    trained = network.load(MODEL)
    split = _paintings("test", trained)
    training = _paintings("train", trained)
    baseline = _baseline(trained)
    chosen = dict(_examples(trained, split))
    memory = story.remember(trained, training.pictures[:REMEMBERED])
    scenes = dataset.scenes("test", list(chosen.values()))
    stories = [
        story.tell(trained, scene, split.pictures[index], memory, baseline.probabilities, title=shape, truth=shape)
        for (shape, index), scene in zip(chosen.items(), scenes, strict=True)
    ]
    with disk.replacing(REPORT / "explain") as folder:
        folder.mkdir()
        for told in progress.track(stories, len(stories), "explain", "shapes"):
            _sheet(trained, told, params.explain.maps, folder / f"{told.title}.png")
    page = report.page(trained, stories, _rival(trained, baseline, split, memory), params.explain.maps)
    disk.write_text(REPORT / "index.html", page)
    return Explained(REPORT / "index.html", chosen, {told.title: _answer(trained, told) for told in stories})


def explain_pictures(paths: Sequence[Path], model: Path, output: Path) -> Path:
    """Write a page about any pictures; with patches of the training paintings and the baseline if they are here.

    Raises PictureError for none, too many, or the first that cannot be read, ModelError for a folder without a model.
    """
    if not 0 < len(paths) <= MOST:
        raise PictureError(
            f"{len(paths)} pictures are named; a page takes 1 to {MOST}; name files, or a folder of some"
        )
    trained = network.load(model)
    seen = [(path, *_through_the_door(path, trained.grid)) for path in paths]
    memory = baseline = None
    if (dataset.FOLDER / "train").is_dir():
        training = dataset.load("train", trained.grid)
        memory = story.remember(trained, training.pictures[:REMEMBERED])
    if flat.FOLDER.is_dir() and (beside := flat.load()).shapes == trained.shapes and beside.grid == trained.grid:
        baseline = beside.probabilities
    stories = [
        story.tell(trained, scene, picture, memory, baseline, path.name.encode(errors="backslashreplace").decode())
        for path, scene, picture in progress.track(seen, len(seen), "explain", "pictures")
    ]
    disk.write_text(output, report.page(trained, stories, None, MAPS))
    return output


def compare_models(models: Sequence[Path], output: Path) -> Path:
    """Write a page that sets model folders side by side, on the first test painting of every shape.

    Raises ModelError for fewer than two models, or models of other shapes or grids than the first.
    """
    if len(models) < 2:
        raise ModelError(f"--compare takes two or more model folders; {len(models)} given; add another's path")
    networks = [network.load(folder) for folder in models]
    for folder, other in zip(models, networks, strict=True):
        if (other.shapes, other.grid) != (networks[0].shapes, networks[0].grid):
            raise ModelError(f"{folder} knows other shapes or a grid other than {models[0]}; compare like with like")
    split = _paintings("test", networks[0])
    firsts = [
        int(found[0]) for label in range(len(split.shapes)) if len(found := np.flatnonzero(split.labels == label))
    ]
    rivals = [
        comparison.rival(str(folder), other, split.pictures[firsts], split.pictures, split.labels)
        for folder, other in zip(models, progress.track(networks, len(networks), "compare", "models"), strict=True)
    ]
    disk.write_text(output, comparison.page(rivals, split.pictures[firsts], split.labels[firsts]))
    return output


def _through_the_door(path: Path, grid: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A file as it is and as the network sees it."""
    try:
        return pictures.decode(path), pictures.picture(path, grid)
    except PictureError as error:
        told = str(error)
        raise PictureError(told if str(path) in told else f"{path}: {told}") from None


def _paintings(split: str, trained: Network) -> Split:
    found = dataset.load(split, trained.grid)
    if found.shapes != trained.shapes:
        raise ModelError(f"{MODEL} knows other shapes than the paintings of {dataset.FOLDER}; run `strokewise train`")
    return found


def _baseline(trained: Network) -> Flat:
    found = flat.load()
    if found.shapes != trained.shapes or found.grid != trained.grid:
        raise ModelError(f"{flat.FOLDER} knows other shapes or pictures than {MODEL}; run `strokewise baseline`")
    return found


def _examples(trained: Network, split: Split) -> Iterator[tuple[str, int]]:
    """Each shape that has test paintings, with the index of the first that is recognised, else of its first."""
    for label, shape in enumerate(split.shapes):
        tried = np.flatnonzero(split.labels == label)[:CANDIDATES]
        if len(tried):
            right = network.probabilities(trained, split.pictures[tried], looks=STRAIGHT).argmax(1) == label
            yield shape, int(tried[right.argmax()])  # argmax of all False is 0: the first


def _answer(trained: Network, told: Story) -> str:
    return trained.shapes[told.network.covered.answer]


def _sheet(trained: Network, told: Story, maps: int, path: Path) -> None:
    """The way through the network as a PNG."""
    seeded = trained.settings.lines != "learned"
    strips = way.strips(told.steps, layers.line_filters(trained), trained.shapes, seeded, maps)
    scores = dict(zip(trained.shapes, told.network.scores.tolist(), strict=True))
    title = f"{told.title}, read as {_answer(trained, told)}"
    figures.layers(title, told.scene, told.picture, scores, strips, path)


def _rival(trained: Network, baseline: Flat, split: Split, memory: Memory) -> Rival:
    """The baseline's view, and both models on paintings shifted behind the door."""
    some = split.pictures[:SHIFTED], split.labels[:SHIFTED]
    cnn: Callable[[NDArray[Any]], NDArray[np.float32]] = partial(network.probabilities, trained)
    return Rival(
        choice=str(baseline.config["choice"]),
        stencils=why.stencil(baseline.probabilities, memory.pictures),
        own=story.accuracy(baseline.probabilities, *some),
        network=story.accuracy(cnn, *some),
        paintings=len(some[0]),
        learned_from=len(memory.pictures),
    )
