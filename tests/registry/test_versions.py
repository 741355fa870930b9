"""From the name of a registered model to its folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.errors import RegistryError
from strokewise.params import Params
from strokewise.registry import versions
from strokewise.stages.register import register

Project = Callable[..., Path]


@pytest.mark.slow
def test_names_lead_to_model_folders(project: Project, params: Params) -> None:
    root = project()
    assert versions.champion_dir() is None
    register(params)
    folder = versions.champion_dir()
    assert folder is not None
    assert folder == versions.model_dir("models:/strokewise@champion") == versions.model_dir("models:/strokewise/1")
    for name in ("config.json", "model.safetensors", "model.onnx", "history.csv"):
        assert (folder / name).read_bytes() == (root / "data/model" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/strokewise@nobody", "models:/strokewise@nobody does not exist"),
        ("models:/strokewise/7", "models:/strokewise/7 does not exist"),
        ("models:/unheard@champion", "models:/unheard@champion does not exist"),
        ("models:/strokewise@" + "x" * 5000, r"^models:/strokewise@x{50,}\.\.\. does not exist"),
        ("models:/strokewise", "names no registered model; write models:/strokewise@champion"),
    ],
)
def test_unknown_model_raises_registry_error(uri: str, message: str, champion_and_challenger: None) -> None:
    with pytest.raises(RegistryError, match=message):
        versions.model_dir(uri)


def test_without_a_store_there_are_no_events_and_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert versions.read_events() == []
    with pytest.raises(RegistryError, match="nothing is registered here yet"):
        versions.model_dir("models:/strokewise@champion")
