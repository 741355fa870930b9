"""MLflow with short timeouts, and silent except for errors, during a block."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator

# Set during the block unless the user has set them. MLflow's own timeout is 2 minutes, tried 8 times.
CLIENT_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


@contextlib.contextmanager
def client_environment() -> Iterator[None]:
    """Set `CLIENT_ENVIRONMENT` during the block; variables that the user has set stay as they are."""
    unset = {name: value for name, value in CLIENT_ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(unset)
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


@contextlib.contextmanager
def errors_only() -> Iterator[None]:
    """Show only errors of MLflow and Alembic, and no Python warnings, during the block.

    Importing MLflow sets up logging and warnings anew: use one block for the import and another after it.
    """
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(record=True):  # a filter is not enough: MLflow adds its own
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
