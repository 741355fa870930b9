"""Results of the pipeline that are missing, damaged or of another state: one line that says what to run."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_queries import search_runs
from strokewise.errors import DatasetError, ModelError
from strokewise.model.config_file import write_config
from strokewise.params import Params
from strokewise.stages.register import register
from strokewise.support import atomic_io

Project = Callable[..., Path]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/report/details.json", "there is no data/report/details.json; run `dvc repro`, or `strokewise evaluate`"),
        ("data/model/config.json", "no model in data/model: config.json is missing; run `strokewise train`"),
        ("data/model/model.safetensors", "no model in data/model: model.safetensors is missing"),
        ("data/model/model.onnx", "no model in data/model: model.onnx is missing"),
        ("data/baseline/model.onnx", "no model in data/baseline: model.onnx is missing; run `strokewise baseline`"),
        ("data/report/confusion-cnn.csv", "confusion-cnn.csv cannot be read: .*; run `strokewise evaluate`"),
    ],
)
def test_missing_result_raises_model_error(path: str, message: str, project: Project, params: Params) -> None:
    (project() / path).unlink()
    with pytest.raises(ModelError, match=message):
        register(params)


def test_history_without_numbers_raises_model_error(project: Project, params: Params) -> None:
    folder = project() / "data/model"
    (folder / "history.csv").write_text("epoch,loss\n1,little\n")
    digest = hashlib.sha256((folder / "history.csv").read_bytes()).hexdigest()
    config = json.loads((folder / "config.json").read_text())
    write_config(folder, {name: value for name, value in config.items() if name != "digest"} | {"history": digest})
    with pytest.raises(ModelError, match=r"history.csv cannot be read: .*'little'; run `strokewise train`"):
        register(params)


def test_report_about_another_model_raises_model_error(project: Project, params: Params) -> None:
    root = project()
    details = json.loads((root / "data/report/details.json").read_text())
    details["cnn"]["fingerprint"] = "f" * 64
    atomic_io.write_json(root / "data/report/details.json", details)
    with pytest.raises(ModelError, match=r"data/report is about another model than data/model; run `strokewise eval"):
        register(params)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("details.json", b"[" * 100_000, "details.json cannot be read: maximum recursion"),
        ("details.json", b"[1]", "details.json cannot be read: it holds no object"),
        ("details.json", b'{"cnn": \xff}', "details.json cannot be read: .*utf-8"),
        ("details.json", b'{"evaluation": 1, "paired": 2, "paintings": 3}', "details.json is damaged: cnn.accuracy is"),
        ("confusion-cnn.csv", b"actual,predicted\n\xff,1\n", "confusion-cnn.csv cannot be read"),
        ("confusion-cnn.csv", b"actual,predicted\nellipse\n", "confusion-cnn.csv cannot be read"),
        ("confusion-baseline.csv", b'"' + b"x" * 200_000, "confusion-baseline.csv cannot be read"),
    ],
)
def test_damaged_report_raises_model_error(
    path: str, content: bytes, message: str, project: Project, params: Params
) -> None:
    (project() / "data/report" / path).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        register(params)
    assert len(str(caught.value)) < 300
    assert search_runs() == []


@pytest.mark.parametrize(
    "path", ["report/details.json", "report/confusion-cnn.csv", "model/history.csv", "paintings/test/00000.parquet"]
)
def test_pipe_in_the_place_of_a_result_raises_at_once(path: str, project: Project, params: Params) -> None:
    file = project() / "data" / path
    file.unlink()
    os.mkfifo(file)
    with pytest.raises((ModelError, DatasetError), match="is no file"):
        register(params)


@pytest.mark.parametrize("place", ["paired.p", "paired.difference", "cnn.low", "baseline.accuracy"])
@pytest.mark.parametrize("value", [None, "1", [1]])
def test_report_whose_numbers_are_none_raises_model_error(
    place: str, value: object, project: Project, params: Params
) -> None:
    path, (section, name) = project() / "data/report/details.json", place.split(".")
    details = json.loads(path.read_text())
    details[section][name] = value
    atomic_io.write_json(path, details)
    with pytest.raises(ModelError, match=rf"details.json is damaged: {place} is no number; run `strokewise evaluate`"):
        register(params)


@pytest.mark.parametrize(
    "path",
    ["model/model.safetensors", "model/model.onnx", "model/config.json", "model/history.csv", "baseline/model.onnx"],
)
def test_damaged_model_is_refused_before_anything_is_logged(path: str, project: Project, params: Params) -> None:
    root = project()
    content = bytearray((root / "data" / path).read_bytes())
    content[len(content) // 2] ^= 1
    (root / "data" / path).write_bytes(content)
    with pytest.raises(ModelError):
        register(params)
    assert search_runs() == []
