"""Results of the pipeline that are missing, damaged or of another state: one line that says what to run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.errors import ModelError
from strokewise.params import Params
from strokewise.stages.register import register
from strokewise.support import atomic_io

Project = Callable[..., Path]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/report/metrics.json", "there is no data/report/metrics.json; run `dvc repro`, or `strokewise evaluate`"),
        ("data/model/config.json", "there is no data/model/config.json; run `dvc repro`, or `strokewise train`"),
        ("data/model/model.safetensors", "data/model holds no weights"),
        ("data/report/confusion-cnn.csv", "confusion-cnn.csv cannot be read: .*; run `strokewise evaluate`"),
    ],
)
def test_missing_result_raises_model_error(path: str, message: str, project: Project, params: Params) -> None:
    (project() / path).unlink()
    with pytest.raises(ModelError, match=message):
        register(params)


def test_history_without_numbers_raises_model_error(project: Project, params: Params) -> None:
    (project() / "data/model/history.csv").write_text("epoch,loss\n1,little\n")
    with pytest.raises(ModelError, match=r"history.csv cannot be read: .*'little'; run `strokewise train`"):
        register(params)


def test_report_about_another_model_raises_model_error(project: Project, params: Params) -> None:
    root = project()
    config = root / "data/model/config.json"
    atomic_io.write_json(config, json.loads(config.read_text()) | {"fingerprint": "f" * 64})
    with pytest.raises(ModelError, match=r"data/report is about another model than data/model; run `strokewise eval"):
        register(params)
