"""The description of a registered version: complete, and never longer than MLflow's database holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from registry_queries import read_snapshot
from strokewise.params import Params
from strokewise.registry import artifacts, store
from strokewise.registry.artifacts import PipelineState
from strokewise.registry.model_card import version_card
from strokewise.stages.register import register

Project = Callable[..., Path]
SETTINGS = {"generate": {"train": 600}, "train": {"epochs": 150}}


@pytest.fixture
def state(project: Project) -> PipelineState:
    project()
    return artifacts.read_state(SETTINGS)


def test_card_says_what_the_model_knows_can_and_cannot_do(state: PipelineState) -> None:
    card = version_card(state, ["It beats the baseline.", "It has no rival."], "models:/strokewise@champion")
    assert card.startswith(f"{state.metrics['sentence']}\n\nIt beats the baseline. It has no rival.\n")
    assert "**Knows** 3 classes: bar, cross, ring." in card
    assert "600 synthetic paintings for 150 epochs, and on no other drawing" in card
    assert card.count("\n| ") == 4  # the header and the shapes
    assert 'mlflow.onnx.load_model("models:/strokewise@champion")' in card


def test_card_of_many_shapes_stays_short(state: PipelineState) -> None:
    names = [f"a shape with a long name {number}" for number in range(300)]
    numbers = {"precision": None, "recall": 0.5, "support": 9}
    config, metrics = {**state.cnn.config, "shapes": names}, {"shapes": dict.fromkeys(names, numbers)}
    card = version_card(replace(state, cnn=replace(state.cnn, config=config, metrics=metrics)), [], "models:/x@y")
    assert "and 260 more" in card
    assert len(card) < 5000


@pytest.mark.slow
def test_registered_version_carries_its_card(project: Project, params: Params) -> None:
    project()
    register(params)
    champion = read_snapshot().champion
    assert champion is not None
    with store.connect(create=False) as connection:
        description = connection.client.get_model_version("strokewise", str(champion.number)).description
    assert "**What it cannot do.**" in description
