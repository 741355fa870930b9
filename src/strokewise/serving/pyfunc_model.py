"""The packaged model as MLflow loads it: pictures → the shape, its confidence and all scores.

MLflow's "models from code": MLflow runs this file, on any machine, with the model folder and the source files that it
needs packaged beside it (`packaging.py`). No module imports it.

In: a list whose items are base64 strings (PNG or any format of `preprocess.py`) or arrays, (H, W), (H, W, 3) or
(H, W, 4), as nested lists or NumPy; or one array (N, H, W, ...); or a data frame with a single column of them.
Out: one answer per picture, in order. The answer to an unreadable picture is its `error`, which begins with the
picture's index in the list; the others are answered all the same.
"""

import base64
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from pydantic import BaseModel

# 4096×4096, of a file. The limit of `preprocess.py` is higher and takes 450 MB; a server answers many at once.
MAX_SERVED_PIXELS = 2**24

PictureInput = str | list[list[int]] | list[list[list[int]]]


class ServedAnswer(BaseModel):
    """The answer to one picture: the likeliest shape, its score and all scores; or only the error."""

    shape: str | None = None
    confidence: float | None = None
    scores: dict[str, float] | None = None
    error: str | None = None


class ServedModel(PythonModel):
    """The CNN, or the baseline, of a model folder, with its preprocessing."""

    # MLflow's check of the input against the type hint refuses arrays; `_decode_item` checks every item instead.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Load the model folder; MLflow calls this once."""
        folder = Path(context.artifacts["model"])
        if (folder / "model.onnx").is_file():
            from strokewise.baseline import estimator

            model: Any = estimator.load_baseline(folder)
            self.predict_proba = model.predict_proba
        else:
            from strokewise.model.inference import predict_proba
            from strokewise.model.model_files import load_model

            model = load_model(folder)
            self.predict_proba = partial(predict_proba, model)
        self.shapes, self.image_size = model.shapes, model.image_size

    def predict(
        self, context: Any, model_input: list[PictureInput], params: dict[str, Any] | None = None
    ) -> list[ServedAnswer]:
        """Answer every picture of the input, in order."""
        pictures = [self._preprocess(index, item) for index, item in enumerate(_to_items(model_input))]
        readable = [picture for picture in pictures if not isinstance(picture, str)]
        scores = iter(self.predict_proba(np.stack(readable)) if readable else ())
        # Plain dictionaries with the keys of ServedAnswer: MLflow writes them as JSON.
        return [
            {"error": picture} if isinstance(picture, str) else self._to_answer(next(scores))  # type: ignore[misc]
            for picture in pictures
        ]

    def _preprocess(self, index: int, item: Any) -> Any:
        """The network's input, uint8 (G, G), or an error message."""
        from strokewise.errors import PictureError
        from strokewise.preprocessing.preprocess import preprocess

        try:
            return preprocess(_decode_item(item), self.image_size)
        except PictureError as error:
            return f"item {index}: {error}"

    def _to_answer(self, scores: Any) -> dict[str, Any]:
        best = int(scores.argmax())
        named_scores = {shape: float(score) for shape, score in zip(self.shapes, scores, strict=True)}
        return {"shape": self.shapes[best], "confidence": float(scores[best]), "scores": named_scores}


def _to_items(model_input: Any) -> list[Any]:
    """The input as a list of pictures."""
    if hasattr(model_input, "iloc"):  # a data frame, or a column of one: MLflow's own tools send these
        return list(model_input.iloc[:, 0]) if model_input.ndim == 2 else list(model_input)
    if isinstance(model_input, str | bytes) or (isinstance(model_input, np.ndarray) and model_input.ndim == 2):
        return [model_input]
    return list(model_input)


def _decode_item(item: Any) -> Any:
    """The bytes of base64 text, or the array of nested lists. Raises PictureError if `item` is neither."""
    from strokewise.errors import PictureError
    from strokewise.preprocessing import image_header

    if isinstance(item, str):
        try:
            item = base64.b64decode(item.rpartition(",")[2], validate=True)  # also a browser's data:image/png;base64,
        except ValueError:  # binascii.Error, or characters beyond ASCII
            raise PictureError("this text is not base64; send the bytes of a picture as base64") from None
    if isinstance(item, bytes):
        if item and (size := image_header.read_header(item)).width * size.height > MAX_SERVED_PIXELS:
            raise PictureError(
                f"{size.width}×{size.height} pixels; at most {MAX_SERVED_PIXELS:,} are served: shrink it"
            )
        return item
    if not isinstance(item, list | tuple | np.ndarray):
        kind = "null" if item is None else f"the type {type(item).__name__}"
        raise PictureError(f"{kind} is no picture; send base64 text or an array (H, W), (H, W, 3) or (H, W, 4)")
    if problem := _array_problem(item):
        raise PictureError(f"{problem}; send numbers (H, W), (H, W, 3) or (H, W, 4), or a picture's bytes as base64")
    try:
        return np.asarray(item)
    except (ValueError, OverflowError):
        raise PictureError("this is no array: its rows differ in length; send (H, W), (H, W, 3) or (H, W, 4)") from None


def _array_problem(item: Any, depth: int = 1) -> str:
    """Why nested lists are no picture, empty if they may be one.

    With text among the numbers, NumPy would make every number as long as the longest text.
    """
    if not isinstance(item, list | tuple):
        return ""
    if depth > 3:
        return "this array has too many dimensions"
    types = set(map(type, item))
    if any(issubclass(kind, str | bytes) for kind in types):
        return "this array holds text"
    if not any(issubclass(kind, list | tuple) for kind in types):
        return ""
    return next(filter(None, (_array_problem(inner, depth + 1) for inner in item)), "")


set_model(ServedModel())
