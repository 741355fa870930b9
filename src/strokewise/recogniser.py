"""A trained model behind one call: pictures or strokes → shapes. `predict`, `serve` and the packed model all use it.

Each source is read (`preprocessing.sources`), preprocessed and passed through the network, in batches; with `snap`, the
outline of the shape is then laid over the ink (`geometry.snap`).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from strokewise.data.shapes import OTHER
from strokewise.errors import ModelError, PictureError, one_line
from strokewise.geometry.snap import MAX_MISFIT, Geometry, snap_outline
from strokewise.geometry.template import ShapeTemplates, load_templates
from strokewise.model.onnx_file import OnnxModel, load_onnx
from strokewise.preprocessing.preprocess import CroppedInk, preprocess_with_ink
from strokewise.preprocessing.sources import Source, UnitMatrix, is_single, read_source
from strokewise.preprocessing.stroke_layout import StrokeLayout
from strokewise.support import atomic_io, processes
from strokewise.support.batching import batched

READ_BATCH = 256  # pictures in memory at a time
WORKER_BATCH = 64  # pictures that a process is given at a time
Scores = npt.NDArray[np.float32]  # (C,)


@dataclass(frozen=True, eq=False)
class Reading:
    """A source as read: the network's picture, its ink, and the matrix from its pixels to the source's own units."""

    picture: npt.NDArray[np.uint8]
    ink: CroppedInk
    units: UnitMatrix


class Prediction(str):
    """The name of the likeliest shape, with its `confidence` and all `scores`, which sum to 1.

    With `reject_below`, it is "other" where the likeliest scores less, and `confidence` is the score of "other". With
    `snap`, `geometry` says where the shape's outline lies in the drawing; where it is None, `no_geometry` says why.
    """

    confidence: float
    scores: dict[str, float]
    geometry: Geometry | None
    no_geometry: str
    __slots__ = ("confidence", "geometry", "no_geometry", "scores")

    def __new__(
        cls,
        shape: str,
        confidence: float,
        scores: dict[str, float],
        geometry: Geometry | None = None,
        no_geometry: str = "",
    ) -> "Prediction":
        """A prediction of `shape`."""
        prediction = super().__new__(cls, shape)
        prediction.confidence, prediction.scores = confidence, scores
        prediction.geometry, prediction.no_geometry = geometry, no_geometry
        return prediction

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.shape, self.confidence, self.scores, self.geometry, self.no_geometry

    @property
    def shape(self) -> str:
        """The name of the likeliest shape, as plain text."""
        return str.__str__(self)

    def to_dict(self) -> dict[str, Any]:
        """`shape`, `confidence` and `scores`, as JSON takes them; with `snap`, `geometry`, which may be None for the
        reason in `no_geometry`."""
        answer: dict[str, Any] = {"shape": self.shape, "confidence": self.confidence, "scores": self.scores}
        if self.geometry is not None:
            answer["geometry"] = self.geometry.to_dict()
        elif self.no_geometry:
            answer |= {"geometry": None, "no_geometry": self.no_geometry}
        return answer

    def __repr__(self) -> str:
        return f"Prediction({self.shape!r}, confidence={self.confidence:.3f})"


class Recogniser:
    """A trained model with its preprocessing.

    `shapes` are the classes that it knows, `other` among them. scikit-learn's metrics and displays take it for a fitted
    classifier, whose samples are pictures or strokes.
    """

    def __init__(self, model: Path) -> None:
        """Load a model folder, or a `model.onnx` alone. Raises ModelError if it is missing, incomplete or damaged."""
        self._path = Path(model)
        self._model = load_onnx(self._path)
        self.shapes: tuple[str, ...] = self._model.shapes

    @property
    def outlines(self) -> str:
        """The outlines that the model was trained on, as JSON: shape → variant → plain SVG; empty for a baseline."""
        return self._model.metadata.get("outlines", "")

    @cached_property
    def _templates(self) -> ShapeTemplates:
        """What `snap` lays over ink. Raises ModelError where the model carries no outlines."""
        return _load_templates(self._model)

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """The names of the shapes in the order of `predict_proba`'s columns."""
        return np.array(self.shapes)

    def predict(
        self,
        sources: Iterable[Source] | Source,
        reject_below: float = 0.0,
        strokes: StrokeLayout | None = None,
        num_processes: int = 1,
        snap: bool = False,
        max_misfit: float = MAX_MISFIT,
    ) -> list[Prediction]:
        """Recognise pictures, or a single one.

        Args:
            sources: One or several pictures, each a path (of strokes, too), the bytes of a file, an open file, an array
                (H, W), (H, W, 3) or (H, W, 4), a PIL picture, or a drawing: a list of strokes, each a list of points
                [x, y] or an array (n, 2) of them, or a dictionary as drawing apps write it.
            reject_below: Confidence (0 to 1) below which a prediction becomes "other".
            strokes: "points" or "columns", for strokes that could be written as both; None: what is plausible.
            num_processes: How many processes share the work. More than one is worth it from some thousand pictures;
                the calling script must guard its start with `if __name__ == "__main__":`.
            snap: Also find where the shape's outline lies in each drawing.
            max_misfit: With `snap`, the largest misfit (0 to 1) between outline and ink that is accepted, for a shape
                that the network is sure of; it is multiplied by the square of the confidence.

        Raises PictureError for the first picture that cannot be read (`stream` continues after it), and ModelError if
        `reject_below` or `max_misfit` is out of range, the model does not know "other", or carries no outlines.
        """
        answers = self.stream(_to_list(sources), reject_below, strokes, num_processes, snap, max_misfit)
        return [_raise_error(answer) for answer in answers]

    def predict_proba(self, sources: Iterable[Source] | Source, strokes: StrokeLayout | None = None) -> Scores:
        """The scores of pictures, float32 (N, C), columns as in `classes_`, each row summing to 1.

        The arguments and PictureError are those of `predict`.
        """
        rows = [_raise_error(answer)[0] for answer in self._answer(_to_list(sources), _Job(strokes, None), 1)]
        return np.stack(rows) if rows else np.zeros((0, len(self.shapes)), np.float32)

    def stream(
        self,
        sources: Iterable[Source | PictureError],
        reject_below: float = 0.0,
        strokes: StrokeLayout | None = None,
        num_processes: int = 1,
        snap: bool = False,
        max_misfit: float = MAX_MISFIT,
    ) -> Iterator[Prediction | PictureError]:
        """Yield one result for each picture, in order: the prediction, or the error why it cannot be read.

        The arguments are those of `predict`; an error among the sources is passed on.

        Raises ModelError if `reject_below` or `max_misfit` is out of range, the model does not know "other", or carries
        no outlines.
        """
        if not 0 <= max_misfit <= 1:
            raise ModelError(f"the misfit cannot be bounded by {max_misfit:g}; give a number between 0 and 1")
        if not 0 <= reject_below <= 1:
            raise ModelError(f"answers cannot be rejected below {reject_below:g}; give a confidence between 0 and 1")
        if reject_below and OTHER not in self.shapes:
            raise ModelError(f"this model does not know {OTHER!r}, so it can reject nothing; leave the bound out")
        job = _Job(strokes, max_misfit if snap else None)
        if snap:
            assert self._templates is not None  # raises before anything is read
        for answer in self._answer(sources, job, num_processes):
            yield answer if isinstance(answer, PictureError) else self._to_prediction(*answer, reject_below)

    def export(self, path: str | Path) -> None:
        """Write the model as one ONNX file; a symbolic link is followed. Raises OSError where it cannot be written."""
        with atomic_io.atomic_replace(atomic_io.replaceable(Path(path))) as fresh:
            fresh.write_bytes(self._model.content)

    def fit(self, X: object = None, y: object = None) -> "Recogniser":  # noqa: N803 - scikit-learn's names
        """Change nothing, as the model is trained: for scikit-learn, like its `FrozenEstimator`."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, Tags, TargetTags

        return Tags("classifier", TargetTags(required=True), classifier_tags=ClassifierTags())

    def _answer(
        self, sources: Iterable[Source | PictureError], job: "_Job", num_processes: int
    ) -> Iterator["_Answer | PictureError"]:
        if num_processes > 1:
            yield from _answer_in_processes(self._path, sources, job, num_processes)
            return
        templates = self._templates if job.max_misfit is not None else {}
        # One thread reads the next batch while the network processes this one. More threads are slower: the many
        # small steps of preprocessing would compete for the interpreter lock.
        with ThreadPoolExecutor(1) as reader:
            readings: list[Reading | PictureError] = []
            for batch in batched(sources, READ_BATCH):
                next_readings = reader.submit(_read_sources, batch, job.strokes, self._model.image_size)
                yield from _answer_readings(self._model, templates, readings, job)
                readings = next_readings.result()
            yield from _answer_readings(self._model, templates, readings, job)

    def _to_prediction(self, row: Scores, snapped: Geometry | str, reject_below: float) -> Prediction:
        best = int(row.argmax())
        shape = self.shapes[best]
        scores = {name: float(score) for name, score in zip(self.shapes, row, strict=True)}
        if row[best] < reject_below:
            if snapped and shape != OTHER:
                snapped = f"{shape} has a confidence below {reject_below:g}"
            shape = OTHER
        geometry, reason = (None, snapped) if isinstance(snapped, str) else (snapped, "")
        return Prediction(shape, scores[shape], scores, geometry, reason)


@dataclass(frozen=True)
class _Job:
    """What is asked of every source: how strokes are read, and the bound of `snap`, None without it."""

    strokes: StrokeLayout | None
    max_misfit: float | None


_Answer = tuple[Scores, Geometry | str]
"""The scores, and with `snap` the geometry, or why there is none; an empty text without `snap`."""


def _load_templates(model: OnnxModel) -> ShapeTemplates:
    outlines = json.loads(model.metadata.get("outlines") or "{}")
    if not outlines:
        raise ModelError("this model carries no outlines to snap to; take one that `strokewise train` made")
    return load_templates(outlines)


def _to_list(sources: Iterable[Source] | Source) -> Any:
    return [sources] if is_single(sources) else sources


def _raise_error(answer: Any) -> Any:
    if isinstance(answer, PictureError):
        raise answer
    return answer


def _read_sources(
    sources: list[Source | PictureError], strokes: StrokeLayout | None, image_size: int
) -> list[Reading | PictureError]:
    """Preprocess sources; an error takes the place of one that cannot be read, whatever the error is."""

    def read(source: Source | PictureError) -> Reading | PictureError:
        if isinstance(source, PictureError):
            return source
        try:
            scene, units = source if isinstance(source, _Portable) else read_source(source, strokes)
            return Reading(*preprocess_with_ink(scene, image_size), units)
        except PictureError as error:
            return error
        except MemoryError:
            return PictureError("there is too little memory to read it; shrink it")
        except Exception as error:  # not foreseen: the others must get their answers all the same
            return PictureError(
                f"it cannot be read ({type(error).__name__}: {one_line(error, 100)}); report it as a bug"
            )

    return [read(source) for source in sources]


def _answer_readings(
    model: OnnxModel, templates: ShapeTemplates, readings: Sequence[Reading | PictureError], job: _Job
) -> Iterator[_Answer | PictureError]:
    readable = [reading.picture for reading in readings if isinstance(reading, Reading)]
    rows: Iterator[Scores] = iter(model.predict_proba(np.stack(readable)) if readable else ())
    for reading in readings:
        if isinstance(reading, PictureError):
            yield reading
            continue
        row = next(rows)
        shape, confidence = model.shapes[int(row.argmax())], float(row.max())
        snapped: Geometry | str = ""
        if job.max_misfit is not None:
            snapped = _snap_reading(reading, shape, templates, confidence, job.max_misfit)
        yield row, snapped


def _snap_reading(
    reading: Reading, shape: str, templates: ShapeTemplates, confidence: float, max_misfit: float
) -> Geometry | str:
    if shape == OTHER:
        return "it is none of the shapes"
    to_source = np.column_stack([np.diag(reading.ink.scale), reading.ink.corner])
    to_units = np.column_stack([reading.units[:, :2] @ to_source[:, :2], reading.units @ [*to_source[:, 2], 1.0]])
    return snap_outline(templates.get(shape, ()), reading.ink.ink, to_units, confidence, max_misfit)


# --- in several processes


class _Portable(tuple[Any, UnitMatrix]):
    """What `read_source` returned before the source was sent to another process."""

    __slots__ = ()


def _answer_in_processes(
    path: Path, sources: Iterable[Source | PictureError], job: _Job, num_processes: int
) -> Iterator[_Answer | PictureError]:
    """Yield the answers to sources in their order; at most a few batches are read ahead."""
    pending: list[Future[list[_Answer | PictureError]]] = []
    with processes.worker_pool(num_processes, _load_in_worker, (path, job)) as pool:
        for batch in batched(sources, WORKER_BATCH):
            pending.append(pool.submit(_answer_in_worker, [_to_portable(source, job.strokes) for source in batch], job))
            if len(pending) > 4 * num_processes:
                yield from pending.pop(0).result()
        for future in pending:
            yield from future.result()


def _to_portable(source: Source | PictureError, strokes: StrokeLayout | None) -> Any:
    """A source that can be sent to another process: open files and PIL pictures are read here."""
    if not hasattr(source, "read") and not hasattr(source, "getexif"):
        return source
    try:
        return _Portable(read_source(source, strokes))
    except PictureError as error:
        return error


_worker_model: list[tuple[OnnxModel, ShapeTemplates]] = []


def _load_in_worker(path: Path, job: _Job) -> None:
    cv2.setNumThreads(1)
    model = load_onnx(path)
    _worker_model[:] = [(model, {} if job.max_misfit is None else _load_templates(model))]


def _answer_in_worker(sources: list[Source | PictureError], job: _Job) -> list[_Answer | PictureError]:
    model, templates = _worker_model[0]
    return list(_answer_readings(model, templates, _read_sources(sources, job.strokes, model.image_size), job))
