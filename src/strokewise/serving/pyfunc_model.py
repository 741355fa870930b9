"""The registered model as MLflow loads it: pictures in, a shape, its confidence and all scores out.

Models from code: MLflow runs this very file, also long after and elsewhere, with the model folder and the few source
files it needs packed beside it (`packaging.py`). Nobody imports it. In: a list of base64 strings (PNG or any format of
`preprocess.py`) and of plain arrays, (H, W), (H, W, 3) or (H, W, 4), nested lists or NumPy; or one array (N, H, W, ...),
or a data frame with a single column of them. Out: an answer a picture, in order; an unreadable one is answered with
its `error`, which begins with its place in the list, counted from 0; the others are answered all the same.
"""

import base64
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from pydantic import BaseModel

MAX_SERVED_PIXELS = 2**24  # 4096×4096, of a file: one as large as the door takes needs 450 MB, and many ask at once

PictureInput = str | list[list[int]] | list[list[list[int]]]


class ServedAnswer(BaseModel):
    """One picture's answer: the likeliest shape, its score, all scores; or why there is none."""

    shape: str | None = None
    confidence: float | None = None
    scores: dict[str, float] | None = None
    error: str | None = None


class ServedModel(PythonModel):
    """The CNN, or the baseline, of a model folder with the door in front of it."""

    # MLflow's own check of the input wants a list of what the hint says, and so refuses arrays; the door checks better.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        folder = Path(context.artifacts["model"])
        if (folder / "model.onnx").is_file():
            from strokewise.baseline import estimator

            loaded: Any = estimator.load_baseline(folder)
            self.probabilities = loaded.predict_proba
        else:
            from strokewise.model.inference import predict_proba
            from strokewise.model.model_files import load_model

            loaded = load_model(folder)
            self.probabilities = partial(predict_proba, loaded)
        self.shapes, self.image_size = loaded.shapes, loaded.image_size

    def predict(
        self, context: Any, model_input: list[PictureInput], params: dict[str, Any] | None = None
    ) -> list[ServedAnswer]:
        # pictures, or what is wrong with them
        read = [self._picture(at, given) for at, given in enumerate(_to_items(model_input))]
        pictures = [picture for picture in read if not isinstance(picture, str)]
        scores = iter(self.probabilities(np.stack(pictures)) if pictures else ())
        # Plain dictionaries of Answer's shape: JSON as they are.
        return [{"error": each} if isinstance(each, str) else self._answer(next(scores)) for each in read]  # type: ignore[misc]

    def _picture(self, at: int, given: Any) -> Any:
        """The picture, uint8 (G, G), or what is wrong with it."""
        from strokewise.errors import PictureError
        from strokewise.preprocessing.preprocess import preprocess

        try:
            return preprocess(_decode_item(given), self.image_size)
        except PictureError as error:
            return f"item {at}: {error}"

    def _answer(self, scores: Any) -> dict[str, Any]:
        best = int(scores.argmax())
        named = {shape: float(score) for shape, score in zip(self.shapes, scores, strict=True)}
        return {"shape": self.shapes[best], "confidence": float(scores[best]), "scores": named}


def _to_items(given: Any) -> list[Any]:
    """The pictures of whatever a caller thinks is a list of them."""
    if hasattr(given, "iloc"):  # a data frame, or a column of one: MLflow's own tools send these
        return list(given.iloc[:, 0]) if given.ndim == 2 else list(given)
    if isinstance(given, str | bytes) or (isinstance(given, np.ndarray) and given.ndim == 2):
        return [given]
    return list(given)


def _decode_item(given: Any) -> Any:
    """Bytes of base64 text, an array of nested lists; raises PictureError for what is neither."""
    from strokewise.errors import PictureError
    from strokewise.preprocessing import image_header

    if isinstance(given, str):
        try:
            given = base64.b64decode(given.rpartition(",")[2], validate=True)  # also a browser's data:image/png;base64,
        except ValueError:  # binascii's is one, and so is that for letters beyond ASCII
            raise PictureError("this text is not base64; send the bytes of a picture as base64") from None
    if isinstance(given, bytes):
        if given and (size := image_header.read_header(given)).width * size.height > MAX_SERVED_PIXELS:
            raise PictureError(
                f"{size.width}×{size.height} pixels; at most {MAX_SERVED_PIXELS:,} are served: shrink it"
            )
        return given
    if not isinstance(given, list | tuple | np.ndarray):
        kind = "null" if given is None else f"the type {type(given).__name__}"
        raise PictureError(f"{kind} is no picture; send base64 text or an array (H, W), (H, W, 3) or (H, W, 4)")
    if wrong := _array_problem(given):
        raise PictureError(f"{wrong}; send numbers (H, W), (H, W, 3) or (H, W, 4), or a picture's bytes as base64")
    try:
        return np.asarray(given)
    except (ValueError, OverflowError):
        raise PictureError("this is no array: its rows differ in length; send (H, W), (H, W, 3) or (H, W, 4)") from None


def _array_problem(given: Any, depth: int = 1) -> str:
    """What makes nested lists no picture, before NumPy would make each number as long as the longest text in them."""
    if not isinstance(given, list | tuple):
        return ""
    if depth > 3:
        return "this array has too many dimensions"
    kinds = set(map(type, given))
    if any(issubclass(kind, str | bytes) for kind in kinds):
        return "this array holds text"
    if not any(issubclass(kind, list | tuple) for kind in kinds):
        return ""
    return next(filter(None, (_array_problem(inner, depth + 1) for inner in given)), "")


set_model(ServedModel())
