"""The packaged model as MLflow loads it: pictures → the shape, its confidence and all scores.

MLflow's "models from code": MLflow runs this file, on any machine, with the model folder and the source files that it
needs packaged beside it (`packaging.py`). No module imports it.

In: a list whose items are base64 strings (PNG or any format of `preprocess.py`) or arrays, (H, W), (H, W, 3) or
(H, W, 4), as nested lists or NumPy; or one array (N, H, W, ...); or a data frame with a single column of them.
Out: one answer per picture, in order. The answer to an unreadable picture is its `error`, which begins with the
picture's index in the list; the others are answered all the same.
"""

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from pydantic import BaseModel

PictureInput = str | list[list[int]] | list[list[list[int]]]


class ServedAnswer(BaseModel):
    """The answer to one picture: the likeliest shape, its score and all scores; or only the error.

    With the parameter `snap`, also where the shape's outline lies, or why no outline fits.
    """

    shape: str | None = None
    confidence: float | None = None
    scores: dict[str, float] | None = None
    geometry: dict[str, Any] | None = None
    no_geometry: str | None = None
    error: str | None = None


class ServedModel(PythonModel):
    """The CNN, or the baseline, of a model folder, with its preprocessing."""

    # MLflow's check of the input against the type hint refuses arrays; `to_source` checks every item instead.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Load the model folder; MLflow calls this once."""
        from strokewise.recogniser import Recogniser

        self.recogniser = Recogniser(Path(context.artifacts["model"]))

    def predict(
        self, context: Any, model_input: list[PictureInput], params: dict[str, Any] | None = None
    ) -> list[ServedAnswer]:
        """Answer every picture of the input, in order; `params` are `snap` and `max_misfit`, as of `Recogniser`."""
        from strokewise.errors import PictureError
        from strokewise.serving.picture_items import to_source

        sources: list[Any] = []
        for item in _to_items(model_input):
            try:
                sources.append(to_source(item))
            except PictureError as error:
                sources.append(error)
        # Plain dictionaries with the keys of ServedAnswer: MLflow writes them as JSON.
        return [
            {"error": f"item {index}: {answer}"} if isinstance(answer, PictureError) else answer.to_dict()  # type: ignore[misc]
            for index, answer in enumerate(self.recogniser.stream(sources, **(params or {})))
        ]


def _to_items(model_input: Any) -> list[Any]:
    """The input as a list of pictures."""
    if hasattr(model_input, "iloc"):  # a data frame, or a column of one: MLflow's own tools send these
        return list(model_input.iloc[:, 0]) if model_input.ndim == 2 else list(model_input)
    if isinstance(model_input, str | bytes) or (isinstance(model_input, np.ndarray) and model_input.ndim == 2):
        return [model_input]
    return list(model_input)


set_model(ServedModel())
