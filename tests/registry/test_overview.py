"""The names of the experiment and the model, another registry store, and the saved view of the runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.errors import RegistryError
from strokewise.params import Params
from strokewise.registry import overview, store, versions
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Project = Callable[..., Path]


def test_page_of_the_runs_is_a_saved_view_that_stays_the_same(project: Project) -> None:
    project()
    with store.connect() as connection:
        page = overview.runs_page(connection)
        assert page == overview.runs_page(connection)
        experiment = connection.client.get_experiment(connection.experiment())
    assert page.startswith(f"/#/experiments/{experiment.experiment_id}/runs?")
    assert overview.VIEW_TAG in experiment.tags


def test_names_and_registry_store_of_ones_own_are_used(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shapes")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:///models.db")
    monkeypatch.setenv("STROKEWISE_MODEL_NAME", "my-shapes")
    assert "version 1, champion" in register(params).summary.replace("a new version, champion", "version 1, champion")
    with store.connect() as connection:
        assert connection.client.get_experiment_by_name("shapes") is not None
        assert connection.client.get_experiment_by_name("strokewise") is None
        assert [model.name for model in connection.client.search_registered_models()] == ["my-shapes"]
    assert (root / "models.db").is_file()
    folder = versions.champion_dir()
    assert folder is not None
    assert folder == versions.named_model_dir("champion") == versions.model_dir("models:/my-shapes/1")
    monkeypatch.delenv("STROKEWISE_MODEL_NAME")
    assert versions.champion_dir() is None


def test_model_name_that_a_uri_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STROKEWISE_MODEL_NAME", "a/b")
    with pytest.raises(RegistryError, match="STROKEWISE_MODEL_NAME is 'a/b'"):
        store.model_name()
