"""Which model answers: what is named, else the champion, else data/model, else the reference model of the package."""

from pathlib import Path

import pytest

import strokewise
from strokewise import loading
from strokewise.errors import ModelError, RegistryError


def test_reference_model_answers_where_there_is_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert loading.find_model() == (loading.REFERENCE_MODEL, "the reference model")
    (answer,) = strokewise.load().predict([[(0, 0), (9, 0), (9, 9), (0, 9), (0, 0)]])
    assert answer == "rectangle"
    (tmp_path / "data/model").mkdir(parents=True)
    assert loading.find_model() == (Path("data/model"), "data/model")


def test_named_model_is_a_path_or_a_registered_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert loading.find_model("some/folder") == (Path("some/folder"), "some/folder")
    assert loading.find_model(tmp_path) == (tmp_path, str(tmp_path))
    with pytest.raises(RegistryError, match="nothing is registered here yet"):
        loading.find_model("models:/strokewise@champion")
    with pytest.raises(ModelError, match=r"no model in .*nowhere"):
        strokewise.load(tmp_path / "nowhere")
