"""A trained model behind one call: pictures or strokes → shapes. `predict`, `serve` and the packed model all use it.

Each source is read (`preprocessing.sources`), preprocessed and passed through the network, in batches.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from strokewise.data.shapes import OTHER
from strokewise.errors import ModelError, PictureError, one_line
from strokewise.model.onnx_file import OnnxModel, load_onnx
from strokewise.preprocessing.preprocess import preprocess
from strokewise.preprocessing.sources import Source, is_single, read_source
from strokewise.preprocessing.stroke_layout import StrokeLayout
from strokewise.support import atomic_io, processes
from strokewise.support.batching import batched

READ_BATCH = 256  # pictures in memory at a time
WORKER_BATCH = 64  # pictures that a process is given at a time
Scores = npt.NDArray[np.float32]  # (C,)


class Prediction(str):
    """The name of the likeliest shape, with its `confidence` and all `scores`, which sum to 1.

    With `reject_below`, it is "other" where the likeliest scores less, and `confidence` is the score of "other".
    """

    confidence: float
    scores: dict[str, float]
    __slots__ = ("confidence", "scores")

    def __new__(cls, shape: str, confidence: float, scores: dict[str, float]) -> "Prediction":
        """A prediction of `shape`."""
        prediction = super().__new__(cls, shape)
        prediction.confidence, prediction.scores = confidence, scores
        return prediction

    def __getnewargs__(self) -> tuple[str, float, dict[str, float]]:  # type: ignore[override]
        return self.shape, self.confidence, self.scores

    @property
    def shape(self) -> str:
        """The name of the likeliest shape, as plain text."""
        return str.__str__(self)

    def to_dict(self) -> dict[str, Any]:
        """`shape`, `confidence` and `scores`, as JSON takes them."""
        return {"shape": self.shape, "confidence": self.confidence, "scores": self.scores}

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
        """The outlines that the model was trained on, as JSON: shape → variant → SVG; empty for a baseline."""
        return self._model.metadata.get("outlines", "")

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

        Raises PictureError for the first picture that cannot be read (`stream` continues after it), and ModelError if
        `reject_below` is out of range or the model does not know "other".
        """
        answers = self.stream(_to_list(sources), reject_below, strokes, num_processes)
        return [_raise_error(answer) for answer in answers]

    def predict_proba(self, sources: Iterable[Source] | Source, strokes: StrokeLayout | None = None) -> Scores:
        """The scores of pictures, float32 (N, C), columns as in `classes_`, each row summing to 1.

        The arguments and PictureError are those of `predict`.
        """
        rows = [_raise_error(row) for row in self._score(_to_list(sources), strokes, 1)]
        return np.stack(rows) if rows else np.zeros((0, len(self.shapes)), np.float32)

    def stream(
        self,
        sources: Iterable[Source | PictureError],
        reject_below: float = 0.0,
        strokes: StrokeLayout | None = None,
        num_processes: int = 1,
    ) -> Iterator[Prediction | PictureError]:
        """Yield one result for each picture, in order: the prediction, or the error why it cannot be read.

        The arguments are those of `predict`; an error among the sources is passed on.

        Raises ModelError if `reject_below` is out of range or the model does not know "other".
        """
        if not 0 <= reject_below <= 1:
            raise ModelError(f"answers cannot be rejected below {reject_below:g}; give a confidence between 0 and 1")
        if reject_below and OTHER not in self.shapes:
            raise ModelError(f"this model does not know {OTHER!r}, so it can reject nothing; leave the bound out")
        for row in self._score(sources, strokes, num_processes):
            yield row if isinstance(row, PictureError) else self._to_prediction(row, reject_below)

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

    def _score(
        self, sources: Iterable[Source | PictureError], strokes: StrokeLayout | None, num_processes: int
    ) -> Iterator[Scores | PictureError]:
        if num_processes > 1:
            yield from _score_in_processes(self._path, sources, strokes, num_processes)
            return
        # One thread reads the next batch while the network processes this one. More threads are slower: the many
        # small steps of preprocessing would compete for the interpreter lock.
        with ThreadPoolExecutor(1) as reader:
            pictures: list[npt.NDArray[np.uint8] | PictureError] = []
            for batch in batched(sources, READ_BATCH):
                next_pictures = reader.submit(_read_pictures, batch, strokes, self._model.image_size)
                yield from _score_pictures(self._model, pictures)
                pictures = next_pictures.result()
            yield from _score_pictures(self._model, pictures)

    def _to_prediction(self, row: Scores, reject_below: float) -> Prediction:
        best = int(row.argmax())
        scores = {shape: float(score) for shape, score in zip(self.shapes, row, strict=True)}
        if row[best] < reject_below:
            return Prediction(OTHER, scores[OTHER], scores)
        return Prediction(self.shapes[best], float(row[best]), scores)


def _to_list(sources: Iterable[Source] | Source) -> Any:
    return [sources] if is_single(sources) else sources


def _raise_error(answer: Any) -> Any:
    if isinstance(answer, PictureError):
        raise answer
    return answer


def _read_pictures(
    sources: list[Source | PictureError], strokes: StrokeLayout | None, image_size: int
) -> list[npt.NDArray[np.uint8] | PictureError]:
    """Preprocess sources; an error takes the place of one that cannot be read, whatever the error is."""

    def read(source: Source | PictureError) -> npt.NDArray[np.uint8] | PictureError:
        if isinstance(source, PictureError):
            return source
        try:
            return preprocess(read_source(source, strokes), image_size)
        except PictureError as error:
            return error
        except MemoryError:
            return PictureError("there is too little memory to read it; shrink it")
        except Exception as error:  # not foreseen: the others must get their answers all the same
            return PictureError(
                f"it cannot be read ({type(error).__name__}: {one_line(error, 100)}); report it as a bug"
            )

    return [read(source) for source in sources]


def _score_pictures(
    model: OnnxModel, pictures: list[npt.NDArray[np.uint8] | PictureError]
) -> Iterator[Scores | PictureError]:
    readable = [picture for picture in pictures if not isinstance(picture, PictureError)]
    rows = iter(model.predict_proba(np.stack(readable)) if readable else ())
    for picture in pictures:
        yield picture if isinstance(picture, PictureError) else next(rows)


# --- in several processes


def _score_in_processes(
    path: Path, sources: Iterable[Source | PictureError], strokes: StrokeLayout | None, num_processes: int
) -> Iterator[Scores | PictureError]:
    """Yield the scores of sources in their order; at most a few batches are read ahead."""
    pending: list[Future[list[Scores | PictureError]]] = []
    with processes.worker_pool(num_processes, _load_in_worker, (path,)) as pool:
        for batch in batched(sources, WORKER_BATCH):
            portable = [_to_portable(source, strokes) for source in batch]
            pending.append(pool.submit(_score_in_worker, portable, strokes))
            if len(pending) > 4 * num_processes:
                yield from pending.pop(0).result()
        for future in pending:
            yield from future.result()


def _to_portable(source: Source | PictureError, strokes: StrokeLayout | None) -> Any:
    """A source that can be sent to another process: open files and PIL pictures are read here."""
    if not hasattr(source, "read") and not hasattr(source, "getexif"):
        return source
    try:
        return read_source(source, strokes)
    except PictureError as error:
        return error


_worker_model: list[OnnxModel] = []


def _load_in_worker(path: Path) -> None:
    cv2.setNumThreads(1)
    _worker_model[:] = [load_onnx(path)]


def _score_in_worker(sources: list[Source | PictureError], strokes: StrokeLayout | None) -> list[Scores | PictureError]:
    model = _worker_model[0]
    return list(_score_pictures(model, _read_pictures(sources, strokes, model.image_size)))
