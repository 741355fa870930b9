"""A registered model answers in a process without strokewise, in every input format."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from foreign_process import predict_without_strokewise
from registry_queries import search_logged_models
from strokewise.data.dataset import load_scenes
from strokewise.geometry.snap import MAX_MISFIT
from strokewise.params import Params
from strokewise.recogniser import Recogniser
from strokewise.registry import versions
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Project = Callable[..., Path]


def test_champion_loads_without_strokewise(project: Project, params: Params) -> None:
    root = project()
    register(params)
    folder = versions.champion_dir()
    assert folder is not None
    assert not [path for path in (root / "mlruns").rglob("*") if path.suffix in (".pkl", ".pickle", ".pyc", ".pt")]
    (scene,) = load_scenes("test", [2])
    expected = Recogniser(folder).predict(scene)[0]
    answers, (signature, modules) = predict_without_strokewise("models:/strokewise@champion", root, scene)
    for name in ("text", "array", "list", "frame"):
        (answer,) = answers[name]
        assert answer["shape"] == expected.shape == "ring"
        assert answer["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
        assert answer["scores"] == pytest.approx(expected.scores, abs=1e-6)
    assert len(answers["both"]) == 2
    assert ["error" in answer for answer in answers["wrong"]] == [False, True, True, True, True, False]
    assert "not base64" in answers["wrong"][1]["error"]
    assert "rows differ in length" in answers["wrong"][4]["error"]
    assert modules == []
    assert json.loads(signature["inputs"]) == [{"type": "any", "required": True}]
    fields = {"shape", "confidence", "scores", "error", "geometry", "no_geometry"}
    assert set(json.loads(signature["outputs"])[0]["properties"]) == fields
    assert [(param["name"], param["default"]) for param in json.loads(signature["params"])] == [
        ("snap", False),
        ("max_misfit", MAX_MISFIT),
    ]
    (logged,) = search_logged_models("tags.model = 'baseline'")
    answers, _ = predict_without_strokewise(f"models:/{logged.model_id}", root, scene)
    assert answers["text"] == answers["list"]
    assert sum(answers["text"][0]["scores"].values()) == pytest.approx(1, abs=1e-5)
