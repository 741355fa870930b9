"""`data/report/predictions.parquet` → both models' answers to the test paintings."""

import io
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

PREDICTION_COLUMNS = ("label", "cnn", "baseline")


def read_predictions(content: bytes) -> dict[str, NDArray[Any]]:
    """The columns label, cnn and baseline, each int (N,), from the bytes of the file.

    Raises ValueError if it is no such table.
    """
    table = pq.read_table(io.BytesIO(content), columns=list(PREDICTION_COLUMNS))
    if table.num_columns != len(PREDICTION_COLUMNS):
        raise ValueError("it is no table of predictions")
    return {name: np.asarray(table[name]) for name in PREDICTION_COLUMNS}
