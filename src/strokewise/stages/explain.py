"""data/paintings, data/model, data/baseline -> data/report: what the network saw in one test painting of every shape.

index.html            the page: the way, receptive fields, the arithmetic, why this shape; needs nothing beside it
explain/<shape>.png   the way as a sheet, for DVC and MLflow

The painting is the first of its shape that the network gets right, so neither the easiest nor one picked by hand;
where it gets none of the first `MAX_CANDIDATES` right, it is the first, and the page says what it was taken for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise import plots
from strokewise.baseline import estimator
from strokewise.baseline.estimator import BaselineModel
from strokewise.data.dataset import Split, load_paintings, load_scenes
from strokewise.errors import ModelError, PictureError
from strokewise.explain import activations, analysis, attribution, comparison, layer_strips, page
from strokewise.explain.analysis import Analysis, ReferenceSet
from strokewise.explain.page import ModelSummary
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model
from strokewise.model.tta import NO_TTA
from strokewise.params import Params
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io, progress
from strokewise.support.paths import BASELINE_DIR, MODEL_DIR, PAINTINGS_DIR, REPORT_DIR

MAX_CANDIDATES = 25  # paintings of a shape that are tried
MAX_REFERENCE = 2000  # training paintings, at the most, that patches are taken from
MAX_SHIFTED = 300  # test paintings, at the most, that are shifted behind the door
MAX_PICTURES = 60  # pictures on a page: each takes 0.15 MB
DEFAULT_FEATURE_MAPS = 8  # a stage, where no params.yaml says how many


@dataclass(frozen=True)
class Explained:
    """The painting that was taken for each shape, by its index in the test paintings, and what it was taken for."""

    page: Path
    paintings: dict[str, int]
    answers: dict[str, str]


def explain(params: Params) -> Explained:
    """Follow one test painting of every shape through the network."""
    trained = load_model(MODEL_DIR)
    split = _load_split("test", trained)
    training = _load_split("train", trained)
    baseline = _load_matching_baseline(trained)
    chosen = dict(_choose_examples(trained, split))
    memory = analysis.build_reference(trained, training.pictures[:MAX_REFERENCE])
    scenes = load_scenes("test", list(chosen.values()))
    stories = [
        analysis.analyse(
            trained, scene, split.pictures[index], memory, baseline.predict_proba, title=shape, truth=shape
        )
        for (shape, index), scene in zip(chosen.items(), scenes, strict=True)
    ]
    with atomic_io.atomic_replace(REPORT_DIR / "explain") as folder:
        folder.mkdir()
        for told in progress.track(stories, len(stories), "explain", "shapes"):
            _draw_layer_sheet(trained, told, params.explain.feature_maps, folder / f"{told.title}.png")
    html = page.explanation_page(
        trained, stories, _summarise_baseline(trained, baseline, split, memory), params.explain.feature_maps
    )
    atomic_io.write_text(REPORT_DIR / "index.html", html)
    return Explained(
        REPORT_DIR / "index.html", chosen, {told.title: _predicted_shape(trained, told) for told in stories}
    )


def explain_pictures(paths: Sequence[Path], model: Path, output: Path) -> Path:
    """Write a page about any pictures; with patches of the training paintings and the baseline if they are here.

    Raises PictureError for none, too many, or the first that cannot be read, ModelError for a folder without a model.
    """
    if not 0 < len(paths) <= MAX_PICTURES:
        raise PictureError(
            f"{len(paths)} pictures are named; a page takes 1 to {MAX_PICTURES}; name files, or a folder of some"
        )
    trained = load_model(model)
    seen = [(path, *_load_picture(path, trained.image_size)) for path in paths]
    memory = baseline = None
    if (PAINTINGS_DIR / "train").is_dir():
        training = load_paintings("train", trained.image_size)
        memory = analysis.build_reference(trained, training.pictures[:MAX_REFERENCE])
    if (
        BASELINE_DIR.is_dir()
        and (beside := estimator.load_baseline()).shapes == trained.shapes
        and beside.image_size == trained.image_size
    ):
        baseline = beside.predict_proba
    stories = [
        analysis.analyse(
            trained, scene, picture, memory, baseline, path.name.encode(errors="backslashreplace").decode()
        )
        for path, scene, picture in progress.track(seen, len(seen), "explain", "pictures")
    ]
    atomic_io.write_text(output, page.explanation_page(trained, stories, None, DEFAULT_FEATURE_MAPS))
    return output


def compare_models(models: Sequence[Path], output: Path) -> Path:
    """Write a page that sets model folders side by side, on the first test painting of every shape.

    Raises ModelError for fewer than two models, or models of other shapes or grids than the first.
    """
    if len(models) < 2:
        raise ModelError(f"--compare takes two or more model folders; {len(models)} given; add another's path")
    networks = [load_model(folder) for folder in models]
    for folder, other in zip(models, networks, strict=True):
        if (other.shapes, other.image_size) != (networks[0].shapes, networks[0].image_size):
            raise ModelError(
                f"{folder} knows other shapes or a image_size other than {models[0]}; compare like with like"
            )
    split = _load_split("test", networks[0])
    firsts = [
        int(found[0]) for label in range(len(split.shapes)) if len(found := np.flatnonzero(split.labels == label))
    ]
    rivals = [
        comparison.compare_model(str(folder), other, split.pictures[firsts], split.pictures, split.labels)
        for folder, other in zip(models, progress.track(networks, len(networks), "compare", "models"), strict=True)
    ]
    atomic_io.write_text(output, comparison.comparison_page(rivals, split.pictures[firsts], split.labels[firsts]))
    return output


def _load_picture(path: Path, image_size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A file as it is and as the network sees it."""
    try:
        return decode(path), preprocess(path, image_size)
    except PictureError as error:
        told = str(error)
        raise PictureError(told if str(path) in told else f"{path}: {told}") from None


def _load_split(split: str, trained: CNN) -> Split:
    found = load_paintings(split, trained.image_size)
    if found.shapes != trained.shapes:
        raise ModelError(
            f"{MODEL_DIR} knows other shapes than the paintings of {PAINTINGS_DIR}; run `strokewise train`"
        )
    return found


def _load_matching_baseline(trained: CNN) -> BaselineModel:
    found = estimator.load_baseline()
    if found.shapes != trained.shapes or found.image_size != trained.image_size:
        raise ModelError(f"{BASELINE_DIR} knows other shapes or pictures than {MODEL_DIR}; run `strokewise baseline`")
    return found


def _choose_examples(trained: CNN, split: Split) -> Iterator[tuple[str, int]]:
    """Each shape that has test paintings, with the index of the first that is recognised, else of its first."""
    for label, shape in enumerate(split.shapes):
        tried = np.flatnonzero(split.labels == label)[:MAX_CANDIDATES]
        if len(tried):
            right = predict_proba(trained, split.pictures[tried], angles=NO_TTA).argmax(1) == label
            yield shape, int(tried[right.argmax()])  # argmax of all False is 0: the first


def _predicted_shape(trained: CNN, told: Analysis) -> str:
    return trained.shapes[told.network.covered.answer]


def _draw_layer_sheet(trained: CNN, told: Analysis, maps: int, path: Path) -> None:
    """The way through the network as a PNG."""
    seeded = trained.params.line_filters != "learned"
    strips = layer_strips.layer_strips(told.steps, activations.line_filters(trained), trained.shapes, seeded, maps)
    scores = dict(zip(trained.shapes, told.network.scores.tolist(), strict=True))
    title = f"{told.title}, read as {_predicted_shape(trained, told)}"
    plots.layer_sheet(title, told.scene, told.picture, scores, strips, path)


def _summarise_baseline(trained: CNN, baseline: BaselineModel, split: Split, memory: ReferenceSet) -> ModelSummary:
    """The baseline's view, and both models on paintings shifted behind the door."""
    some = split.pictures[:MAX_SHIFTED], split.labels[:MAX_SHIFTED]
    cnn: Callable[[NDArray[Any]], NDArray[np.float32]] = partial(predict_proba, trained)
    return ModelSummary(
        choice=str(baseline.config["choice"]),
        stencils=attribution.ink_correlation(baseline.predict_proba, memory.pictures),
        own=analysis.shifted_accuracy(baseline.predict_proba, *some),
        network=analysis.shifted_accuracy(cnn, *some),
        paintings=len(some[0]),
        learned_from=len(memory.pictures),
    )
