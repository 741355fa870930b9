"""A trained model behind one call: pictures or strokes → shapes. What `strokewise predict` and `strokewise.load` use.

Each source passes through `preprocess` and the network, in batches; strokes are drawn first (`stroke_input`).
"""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from strokewise.data.shards import OTHER
from strokewise.errors import ModelError, PictureError, one_line
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model
from strokewise.model.onnx_export import export_onnx
from strokewise.preprocessing import stroke_formats, stroke_input
from strokewise.preprocessing.decode import MAX_FILE_BYTES
from strokewise.preprocessing.preprocess import preprocess
from strokewise.preprocessing.stroke_layout import StrokeLayout
from strokewise.support.batching import batched
from strokewise.support.paths import MODEL_DIR

Source = os.PathLike[str] | str | bytes | bytearray | memoryview | npt.NDArray[Any] | Sequence[Any] | Mapping[str, Any]
READ_BATCH = 256  # pictures in memory at a time
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})
PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})  # of PIL pictures
STROKE_SUFFIXES = frozenset({".json", ".ndjson", ".excalidraw", ".tldr", ".inkml"})


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

    def predict(
        self, sources: Iterable[Source] | Source, reject_below: float = 0.0, strokes: StrokeLayout | None = None
    ) -> list[Prediction]:
        """Recognise pictures, or a single one.

        Args:
            sources: One or several pictures, each a path (of strokes, too), the bytes of a file, an open file, an array
                (H, W), (H, W, 3) or (H, W, 4), a PIL picture, or a drawing: a list of strokes, each a list of points
                [x, y] or an array (n, 2) of them, or a dictionary as drawing apps write it.
            reject_below: Confidence (0 to 1) below which a prediction becomes "other".
            strokes: "points" or "columns", for strokes that could be written as both; None: what is plausible.

        Raises PictureError for the first picture that cannot be read (`stream` continues after it), and ModelError if
        `reject_below` is out of range or the model does not know "other".
        """
        listed: Any = [sources] if _is_single(sources) else sources
        predictions: list[Prediction] = []
        for prediction in self.stream(listed, reject_below, strokes):
            if isinstance(prediction, PictureError):
                raise prediction
            predictions.append(prediction)
        return predictions

    def stream(
        self, sources: Iterable[Source], reject_below: float = 0.0, strokes: StrokeLayout | None = None
    ) -> Iterator[Prediction | PictureError]:
        """Yield one result for each picture, in order: the prediction, or the error why it cannot be read.

        The arguments are those of `predict`.

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
                next_pictures = reader.submit(
                    lambda batch: [self._read_picture(source, strokes) for source in batch], batch
                )
                yield from self._predict_batch(pictures, reject_below)
                pictures = next_pictures.result()
            yield from self._predict_batch(pictures, reject_below)

    def export(self, path: str | Path) -> float:
        """Write the network as ONNX; return the largest difference between its probabilities and PyTorch's."""
        return export_onnx(self._folder, Path(path))

    def _read_picture(self, source: Source, strokes: StrokeLayout | None) -> npt.NDArray[np.uint8] | PictureError:
        try:
            return preprocess(_to_picture_source(source, strokes), self._network.image_size)
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


def _is_single(sources: Any) -> bool:
    """Whether it is one picture or drawing, or neither, rather than several of them."""
    if hasattr(sources, "__array__") and not _is_pillow(sources):
        return np.ndim(np.asarray(sources)) < 4
    if isinstance(sources, os.PathLike | str | bytes | bytearray | memoryview) or hasattr(sources, "read"):
        return True
    return not isinstance(sources, Iterable) or stroke_formats.is_drawing(sources)


def _to_picture_source(source: Any, strokes: StrokeLayout | None) -> Path | bytes | npt.NDArray[Any]:
    """Convert a source to what `preprocess` takes: strokes are drawn, open files and PIL pictures are read."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        is_text = path.suffix.lower() not in PICTURE_SUFFIXES and stroke_input.holds_strokes(path)
        return stroke_input.read_strokes(path, strokes) if is_text else path
    if _is_pillow(source):
        source = _encode_pillow(source)
    elif hasattr(source, "read"):
        source = _read_file(source)
    elif hasattr(source, "__array__"):
        source = np.asarray(source)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return stroke_input.parse_strokes(data, strokes) if stroke_formats.is_stroke_text(data) else data
    if isinstance(source, list | tuple | Mapping) or (
        isinstance(source, np.ndarray) and stroke_formats.is_drawing(source)
    ):
        return stroke_input.rasterize_strokes(source, strokes)
    return source  # type: ignore[no-any-return]  # `decode` raises for anything else


def _is_pillow(source: Any) -> bool:
    return hasattr(source, "getexif") and hasattr(source, "save")


def _encode_pillow(image: Any) -> bytes:
    """Encode a PIL picture as PNG: its palette, transparency and EXIF orientation count like those of a file."""
    encoded = io.BytesIO()
    try:
        converted = image if image.mode in PNG_MODES else image.convert("RGB")
        converted.save(encoded, "PNG", exif=image.getexif())
    except (OSError, ValueError, SyntaxError) as error:  # a truncated file is read only now
        raise PictureError(f"the PIL picture cannot be read: {one_line(error)}") from None
    return encoded.getvalue()


def _read_file(file: Any) -> bytes:
    """Read an open binary file, at most one byte more than a picture may have."""
    try:
        data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PictureError(f"the open file cannot be read: {one_line(error)}") from None
    if not isinstance(data, bytes):
        raise PictureError("the open file is not in binary mode; open it with 'rb'")
    return data


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
