"""Any pictures -> shapes: a model folder, loaded once, behind one call; what `strokewise predict` and `load` give.

A recogniser takes files, bytes or arrays of any size, and strokes (`stroke_input.py`); each passes the one door (`preprocess.py`)
and the network.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from strokewise.errors import ModelError, PictureError
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model
from strokewise.model.onnx_export import export_onnx
from strokewise.preprocessing import stroke_input
from strokewise.preprocessing.preprocess import preprocess

Source = Path | str | bytes | npt.NDArray[Any] | Sequence[Any]
T = TypeVar("T")
READ_BATCH = 256  # pictures in memory at a time
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})
STROKE_SUFFIXES = frozenset({".json"})
OTHER = "other"  # what is none of the shapes, and what is not sure enough


@dataclass(frozen=True)
class Prediction:
    """What the network says of one picture: `shape` is the likeliest, `confidence` its score, scores sum to 1.

    With `reject_below`, `shape` is "other" where the likeliest scores less, and `confidence` is the score of "other".
    """

    shape: str
    confidence: float
    scores: dict[str, float]


class Recogniser:
    """A trained network with the door in front of it. `shapes` are the classes it knows, `other` among them."""

    def __init__(self, folder: Path) -> None:
        """Load the model folder; raises ModelError if it is missing, incomplete or damaged."""
        self._folder = folder
        self._network = load_model(folder)
        self.shapes: tuple[str, ...] = self._network.shapes

    def predict(self, sources: Sequence[Source] | Source, reject_below: float = 0.0) -> list[Prediction]:
        """Recognise pictures, or a single one; an answer below the confidence `reject_below` (0 to 1) becomes "other".

        A picture is a path (of strokes in JSON, too), the bytes of a file, an array (H, W), (H, W, 3) or (H, W, 4), or
        a drawing: a list of strokes, each a list of points [x, y] or an array (n, 2) of them. Raises PictureError for
        the first that cannot be read; `stream` goes on past it.
        """
        lone = isinstance(sources, Path | str | bytes) or (isinstance(sources, np.ndarray) and sources.ndim < 4)
        answers: list[Prediction] = []
        several: Any = [sources] if lone or stroke_input.is_drawing(sources) else sources
        for answer in self.stream(several, reject_below):
            if isinstance(answer, PictureError):
                raise answer
            answers.append(answer)
        return answers

    def stream(self, sources: Iterable[Source], reject_below: float = 0.0) -> Iterator[Prediction | PictureError]:
        """One answer a picture, in order: what was recognised, or why it could not be read."""
        if not 0 <= reject_below <= 1:
            raise ModelError(f"answers cannot be rejected below {reject_below:g}; give a confidence between 0 and 1")
        if reject_below and OTHER not in self.shapes:
            raise ModelError(f"this model does not know {OTHER!r}, so it can reject nothing; leave the bound out")
        # One thread reads the next batch while the network answers this one. More of them would be slower: the door's
        # many small steps would wait for each other's turn at the interpreter.
        with ThreadPoolExecutor(1) as door:
            read: list[npt.NDArray[np.uint8] | PictureError] = []
            for batch in _batched(sources, READ_BATCH):
                coming = door.submit(lambda batch: [self._picture(source) for source in batch], batch)
                yield from self._answers(read, reject_below)
                read = coming.result()
            yield from self._answers(read, reject_below)

    def export(self, path: str | Path) -> float:
        """Write the network as ONNX to `path`; gives back how far onnxruntime's probabilities are from torch's."""
        return export_onnx(self._folder, Path(path))

    def _picture(self, source: Source) -> npt.NDArray[np.uint8] | PictureError:
        try:
            return preprocess(_to_picture_source(source), self._network.image_size)
        except PictureError as error:
            return error

    def _answers(
        self, batch: list[npt.NDArray[np.uint8] | PictureError], reject_below: float
    ) -> Iterator[Prediction | PictureError]:
        readable = [picture for picture in batch if not isinstance(picture, PictureError)]
        scores = iter(predict_proba(self._network, np.stack(readable)) if readable else ())
        for picture in batch:
            if isinstance(picture, PictureError):
                yield picture
                continue
            answer = self._prediction(next(scores))
            if answer.confidence < reject_below:
                answer = replace(answer, shape=OTHER, confidence=answer.scores[OTHER])
            yield answer

    def _prediction(self, scores: npt.NDArray[np.float32]) -> Prediction:
        best = int(scores.argmax())
        named = {shape: float(score) for shape, score in zip(self.shapes, scores, strict=True)}
        return Prediction(self.shapes[best], float(scores[best]), named)


def _to_picture_source(source: Source) -> Path | bytes | npt.NDArray[Any]:
    """What the door takes: strokes drawn, all else as it is."""
    if isinstance(source, str):
        source = Path(source)
    if isinstance(source, Path):
        return stroke_input.read_strokes(source) if source.suffix.lower() in STROKE_SUFFIXES else source
    if isinstance(source, bytes):
        return stroke_input.parse_strokes(source) if stroke_input.is_json(source) else source
    if isinstance(source, list | tuple) or (isinstance(source, np.ndarray) and stroke_input.is_drawing(source)):
        return stroke_input.rasterize_strokes(source)
    return source  # type: ignore[return-value]  # an array; the door names what is none


def load(model: str | Path | None = None) -> Recogniser:
    """The recogniser of a model folder, of "models:/name@alias", of an alias ("champion"), or of nothing named.

    Nothing named means the registered champion, and where none is registered `data/model` of this folder.
    Raises ModelError or RegistryError, one line, if there is no such model.
    """
    from strokewise.registry import versions  # imports MLflow only if a registry has to be asked

    if model is None:
        local = Path("data/model")
        folder = versions.champion_dir() or local
        if folder == local and not local.is_dir():
            raise ModelError(
                "no champion is registered and there is no data/model here; run `make repro`, or name a --model"
            )
        return Recogniser(folder)
    found = versions.named_model_dir(model) if isinstance(model, str) else None
    return Recogniser(found or Path(model))


def find_pictures(paths: Iterable[Path], suffixes: frozenset[str] = PICTURE_SUFFIXES) -> Iterator[Path]:
    """The pictures that `paths` name: files as they are, folders searched to any depth, in sorted order."""
    for path in paths:
        if _is_dir(path):
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        else:
            yield path


def _is_dir(path: Path) -> bool:
    """Whether it is one; a name that no file can have (too long) is told by whoever opens it."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
