"""data/paintings, data/model, data/baseline → data/report: what the CNN sees in one test painting of every shape.

index.html            the page: layers, receptive fields, the arithmetic, why this shape; a single file
live.html             a page to draw on, in which the network runs: a single file as well
explain/<shape>.png   the layers as a sheet, for DVC and MLflow

The painting is the first of its shape that the CNN gets right, so it is neither the easiest nor picked by hand. If it
gets none of the first `MAX_CANDIDATES` right, the first one is taken, and the page says what it was mistaken for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from strokewise import plots
from strokewise.baseline.estimator import load_baseline
from strokewise.data.dataset import Split, load_paintings, load_scenes
from strokewise.errors import ModelError, PictureError
from strokewise.explain import analysis, page
from strokewise.explain.analysis import Analysis, ReferenceSet
from strokewise.explain.attribution import ink_correlation
from strokewise.explain.comparison import compare_model, comparison_page
from strokewise.explain.layer_strips import layer_strips
from strokewise.explain.live_page import live_page, read_snapshots
from strokewise.explain.page import ModelSummary
from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures, predict_proba
from strokewise.model.model_files import load_model
from strokewise.model.onnx_file import OnnxModel, load_onnx
from strokewise.model.tta import NO_TTA
from strokewise.params import Params
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io, progress
from strokewise.support.paths import BASELINE_DIR, MODEL_DIR, PAINTINGS_DIR, REPORT_DIR, SNAPSHOTS_FILE

INDEX_FILE, LIVE_FILE = "index.html", "live.html"
MAX_CANDIDATES = 25  # paintings of a shape that are tried
MAX_REFERENCE = 2000  # training paintings that patches are taken from
MAX_SHIFTED = 300  # test paintings that are shifted after preprocessing
MAX_PICTURES = 60  # on a page: each takes 0.15 MB
DEFAULT_FEATURE_MAPS = 8  # a block, where no params.yaml says how many


@dataclass(frozen=True)
class Explained:
    """The painting that was taken for each shape, by its index in the test paintings, and the CNN's answer to it."""

    page: Path
    paintings: dict[str, int]
    answers: dict[str, str]


def explain(params: Params) -> Explained:
    """Write the page and the layer sheets about one test painting of every shape.

    Raises ModelError or DatasetError if an input is missing or belongs to other shapes.
    """
    cnn = load_model(MODEL_DIR)
    test, train = _load_split("test", cnn), _load_split("train", cnn)
    baseline = load_baseline()
    if not _fits(baseline, cnn):
        raise ModelError(f"{BASELINE_DIR} knows other shapes or pictures than {MODEL_DIR}; run `strokewise baseline`")
    paintings = dict(_choose_paintings(cnn, test))
    scenes = load_scenes("test", list(paintings.values()))
    reference = analysis.build_reference(cnn, train.pictures[:MAX_REFERENCE])
    analyses = [
        analysis.analyse(
            cnn,
            test.pictures[index],
            scene=scene,
            title=shape,
            truth=shape,
            reference=reference,
            baseline=baseline.predict_proba,
        )
        for (shape, index), scene in zip(paintings.items(), scenes, strict=True)
    ]
    with atomic_io.atomic_replace(REPORT_DIR / "explain") as folder:
        folder.mkdir()
        for one in progress.track(analyses, len(analyses), "explain", "shapes"):
            _draw_layer_sheet(cnn, one, params.explain.feature_maps, folder / f"{one.title}.png")
    summary = _summarise_baseline(cnn, baseline, test, reference)
    html = page.explanation_page(cnn, analyses, summary, params.explain.feature_maps, live_page=LIVE_FILE)
    live = live_page(
        load_onnx(MODEL_DIR),
        "the network that was just trained",
        read_snapshots(MODEL_DIR / SNAPSHOTS_FILE),
        index_page=INDEX_FILE,
    )
    atomic_io.write_text(REPORT_DIR / LIVE_FILE, live.html)
    atomic_io.write_text(REPORT_DIR / INDEX_FILE, html)
    answers = {one.title: _predicted_shape(cnn, one) for one in analyses}
    return Explained(page=REPORT_DIR / INDEX_FILE, paintings=paintings, answers=answers)


def explain_pictures(paths: Sequence[Path], model: Path, output: Path) -> Path:
    """Write a page about any pictures, with patches of the training paintings and the baseline if they exist.

    Raises PictureError for none, too many, or the first that cannot be read, ModelError for a folder without a model.
    """
    if not 0 < len(paths) <= MAX_PICTURES:
        raise PictureError(
            f"{len(paths)} pictures are named; a page takes 1 to {MAX_PICTURES}; name files, or a folder of some"
        )
    cnn = load_model(model)
    pictures = [(path, *_load_picture(path, cnn.image_size)) for path in paths]
    reference = baseline = None
    if (PAINTINGS_DIR / "train").is_dir():
        train = load_paintings("train", cnn.image_size)
        reference = analysis.build_reference(cnn, train.pictures[:MAX_REFERENCE])
    if BASELINE_DIR.is_dir() and _fits(loaded := load_baseline(), cnn):
        baseline = loaded.predict_proba
    analyses = [
        analysis.analyse(
            cnn,
            picture,
            scene=scene,
            title=path.name.encode(errors="backslashreplace").decode(),
            reference=reference,
            baseline=baseline,
        )
        for path, scene, picture in progress.track(pictures, len(pictures), "explain", "pictures")
    ]
    atomic_io.write_text(output, page.explanation_page(cnn, analyses, None, DEFAULT_FEATURE_MAPS))
    return output


def compare_models(folders: Sequence[Path], output: Path) -> Path:
    """Write a page that sets the models of several folders side by side, on the first test painting of every shape.

    Raises ModelError for fewer than two models, or one with other shapes or another image size than the first.
    """
    if len(folders) < 2:
        raise ModelError(f"--compare takes two or more model folders; {len(folders)} given; add another's path")
    cnns = [load_model(folder) for folder in folders]
    for folder, cnn in zip(folders, cnns, strict=True):
        if (cnn.shapes, cnn.image_size) != (cnns[0].shapes, cnns[0].image_size):
            raise ModelError(
                f"{folder} knows other shapes or has another image_size than {folders[0]}; compare models that agree "
                "in both"
            )
    test = _load_split("test", cnns[0])
    by_label = [np.flatnonzero(test.labels == label) for label in range(len(test.shapes))]
    firsts = [int(indices[0]) for indices in by_label if len(indices)]
    models = [
        compare_model(str(folder), cnn, shown=test.pictures[firsts], pictures=test.pictures, labels=test.labels)
        for folder, cnn in zip(folders, progress.track(cnns, len(cnns), "compare", "models"), strict=True)
    ]
    atomic_io.write_text(output, comparison_page(models, test.pictures[firsts], test.labels[firsts]))
    return output


def _load_picture(path: Path, image_size: int) -> tuple[Pictures, Pictures]:
    """A file before and after preprocessing."""
    try:
        return decode(path), preprocess(path, image_size)
    except PictureError as error:
        message = str(error)
        raise PictureError(message if str(path) in message else f"{path}: {message}") from None


def _load_split(name: str, cnn: CNN) -> Split:
    split = load_paintings(name, cnn.image_size)
    if split.shapes != cnn.shapes:
        raise ModelError(
            f"{MODEL_DIR} knows other shapes than the paintings of {PAINTINGS_DIR}; run `strokewise train`"
        )
    return split


def _fits(baseline: OnnxModel, cnn: CNN) -> bool:
    """Whether both models have the same shapes and image size."""
    return (baseline.shapes, baseline.image_size) == (cnn.shapes, cnn.image_size)


def _choose_paintings(cnn: CNN, split: Split) -> Iterator[tuple[str, int]]:
    """Each shape that has paintings, with the index of the first that is recognised, else of its first."""
    for label, shape in enumerate(split.shapes):
        candidates = np.flatnonzero(split.labels == label)[:MAX_CANDIDATES]
        if len(candidates):
            correct = predict_proba(cnn, split.pictures[candidates], angles=NO_TTA).argmax(1) == label
            yield shape, int(candidates[correct.argmax()])  # argmax of all False is 0: the first


def _predicted_shape(cnn: CNN, one: Analysis) -> str:
    return cnn.shapes[one.cnn.occlusion.predicted]


def _draw_layer_sheet(cnn: CNN, one: Analysis, feature_maps: int, path: Path) -> None:
    """The activations of all layers as a PNG."""
    plots.layer_sheet(
        title=f"{one.title}, read as {_predicted_shape(cnn, one)}",
        scene=one.scene,
        picture=one.picture,
        scores=dict(zip(cnn.shapes, one.cnn.scores.tolist(), strict=True)),
        strips=layer_strips(one.activations, cnn, feature_maps),
        path=path,
    )


def _summarise_baseline(cnn: CNN, baseline: OnnxModel, test: Split, reference: ReferenceSet) -> ModelSummary:
    """The baseline's view, and both models on shifted test paintings."""
    pictures, labels = test.pictures[:MAX_SHIFTED], test.labels[:MAX_SHIFTED]
    return ModelSummary(
        estimator=str(baseline.metadata["choice"]),
        ink_correlation=ink_correlation(baseline.predict_proba, reference.pictures),
        baseline_accuracy=analysis.shifted_accuracy(baseline.predict_proba, pictures, labels),
        cnn_accuracy=analysis.shifted_accuracy(partial(predict_proba, cnn), pictures, labels),
        test_paintings=len(pictures),
        train_paintings=len(reference.pictures),
    )
