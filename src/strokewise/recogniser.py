"""A trained model behind one call: pictures or strokes → shapes. What `strokewise predict` and `strokewise.load` use.

Each source passes through `preprocess` and the network, in batches; strokes are drawn first (`stroke_input`).
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from strokewise.data.shards import OTHER
from strokewise.errors import ModelError, PictureError
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model
from strokewise.model.onnx_export import export_onnx
from strokewise.preprocessing import stroke_input
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support.batching import batched
from strokewise.support.paths import MODEL_DIR

Source = Path | str | bytes | npt.NDArray[Any] | Sequence[Any]
READ_BATCH = 256  # pictures in memory at a time
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})
STROKE_SUFFIXES = frozenset({".json"})


@dataclass(frozen=True)
class Prediction:
    """The result for one picture: the likeliest `shape`, its score as `confidence`, and all scores, which sum to 1.

    With `reject_below`, `shape` is "other" where the likeliest scores less, and `confidence` is the score of "other".
    """

    shape: str
    confidence: float
    scores: dict[str, float]


class Recogniser:
    """A trained network with its preprocessing. `shapes` are the classes that it knows, `other` among them."""

    def __init__(self, folder: Path) -> None:
        """Load the model folder. Raises ModelError if it is missing, incomplete or damaged."""
        self._folder = folder
        self._network = load_model(folder)
        self.shapes: tuple[str, ...] = self._network.shapes

    def predict(self, sources: Sequence[Source] | Source, reject_below: float = 0.0) -> list[Prediction]:
        """Recognise pictures, or a single one.

        Args:
            sources: One or several pictures, each a path (of strokes in JSON, too), the bytes of a file, an array
                (H, W), (H, W, 3) or (H, W, 4), or a drawing: a list of strokes, each a list of points [x, y] or an
                array (n, 2) of them.
            reject_below: Confidence (0 to 1) below which a prediction becomes "other".

        Raises PictureError for the first picture that cannot be read (`stream` continues after it), and ModelError if
        `reject_below` is out of range or the model does not know "other".
        """
        single = isinstance(sources, Path | str | bytes) or (isinstance(sources, np.ndarray) and sources.ndim < 4)
        listed: Any = [sources] if single or stroke_input.is_drawing(sources) else sources
        predictions: list[Prediction] = []
        for prediction in self.stream(listed, reject_below):
            if isinstance(prediction, PictureError):
                raise prediction
            predictions.append(prediction)
        return predictions

    def stream(self, sources: Iterable[Source], reject_below: float = 0.0) -> Iterator[Prediction | PictureError]:
        """Yield one result for each picture, in order: the prediction, or the error why it cannot be read.

        Raises ModelError if `reject_below` is out of range or the model does not know "other".
        """
        if not 0 <= reject_below <= 1:
            raise ModelError(f"answers cannot be rejected below {reject_below:g}; give a confidence between 0 and 1")
        if reject_below and OTHER not in self.shapes:
            raise ModelError(f"this model does not know {OTHER!r}, so it can reject nothing; leave the bound out")
        # One thread reads the next batch while the network processes this one. More threads are slower: the many
        # small steps of preprocessing would compete for the interpreter lock.
        with ThreadPoolExecutor(1) as reader:
            pictures: list[npt.NDArray[np.uint8] | PictureError] = []
            for batch in batched(sources, READ_BATCH):
                next_pictures = reader.submit(lambda batch: [self._read_picture(source) for source in batch], batch)
                yield from self._predict_batch(pictures, reject_below)
                pictures = next_pictures.result()
            yield from self._predict_batch(pictures, reject_below)

    def export(self, path: str | Path) -> float:
        """Write the network as ONNX; return the largest difference between its probabilities and PyTorch's."""
        return export_onnx(self._folder, Path(path))

    def _read_picture(self, source: Source) -> npt.NDArray[np.uint8] | PictureError:
        try:
            return preprocess(_to_picture_source(source), self._network.image_size)
        except PictureError as error:
            return error

    def _predict_batch(
        self, pictures: list[npt.NDArray[np.uint8] | PictureError], reject_below: float
    ) -> Iterator[Prediction | PictureError]:
        readable = [picture for picture in pictures if not isinstance(picture, PictureError)]
        probabilities = iter(predict_proba(self._network, np.stack(readable)) if readable else ())
        for picture in pictures:
            if isinstance(picture, PictureError):
                yield picture
                continue
            prediction = self._to_prediction(next(probabilities))
            if prediction.confidence < reject_below:
                prediction = replace(prediction, shape=OTHER, confidence=prediction.scores[OTHER])
            yield prediction

    def _to_prediction(self, probabilities: npt.NDArray[np.float32]) -> Prediction:
        best = int(probabilities.argmax())
        scores = {shape: float(score) for shape, score in zip(self.shapes, probabilities, strict=True)}
        return Prediction(self.shapes[best], float(probabilities[best]), scores)


def _to_picture_source(source: Source) -> Path | bytes | npt.NDArray[Any]:
    """Convert a source to what `preprocess` takes: strokes are drawn, all else stays."""
    if isinstance(source, str):
        source = Path(source)
    if isinstance(source, Path):
        return stroke_input.read_strokes(source) if source.suffix.lower() in STROKE_SUFFIXES else source
    if isinstance(source, bytes):
        return stroke_input.parse_strokes(source) if stroke_input.is_json(source) else source
    if isinstance(source, list | tuple) or (isinstance(source, np.ndarray) and stroke_input.is_drawing(source)):
        return stroke_input.rasterize_strokes(source)
    return source  # type: ignore[return-value]  # an array; `decode` raises for anything else


def load(model: str | Path | None = None) -> Recogniser:
    """Load a recogniser.

    Args:
        model: A model folder, "models:/name@alias", or an alias ("champion"). None is the registered champion, or
            `data/model` of the current folder if none is registered.

    Raises ModelError or RegistryError if there is no such model.
    """
    from strokewise.registry import versions  # imports MLflow only if a registry must be queried

    if model is None:
        folder = versions.champion_dir() or MODEL_DIR
        if folder == MODEL_DIR and not MODEL_DIR.is_dir():
            raise ModelError(
                "no champion is registered and there is no data/model here; run `make repro`, or name a --model"
            )
        return Recogniser(folder)
    registered = versions.named_model_dir(model) if isinstance(model, str) else None
    return Recogniser(registered or Path(model))


def find_pictures(paths: Iterable[Path], suffixes: frozenset[str] = PICTURE_SUFFIXES) -> Iterator[Path]:
    """Yield the pictures that `paths` name: files as they are, folders searched at any depth, in sorted order."""
    for path in paths:
        if _is_dir(path):
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        else:
            yield path


def _is_dir(path: Path) -> bool:
    """Whether it is a folder; False for an invalid name (too long), which is reported when it is opened."""
    try:
        return path.is_dir()
    except OSError:
        return False
