"""What *register* tells a person at the end of the pipeline. What it does to a store: `tests/registry`."""

from pathlib import Path
from typing import Any

import pytest

from strokewise.registry.artifacts import ModelArtifact, PipelineState
from strokewise.registry.promotion import RegistrationOutcome
from strokewise.stages import register

REASONS = (
    "It beats the baseline by 35.60 points (p = 1e-240), and no shape's recall is below 70 %.",
    "And more. " * 20,
)


def state(**paired: float) -> PipelineState:
    def made(kind: str, accuracy: float) -> ModelArtifact:
        measured = {"accuracy": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01, "choice": "random forest"}
        return ModelArtifact(kind, Path("data"), {"fingerprint": "f", "shapes": ["a", "b"]}, "w", measured)

    pair = {"difference": 0.356, "low": 0.336, "high": 0.375, "p": 1e-240} | paired
    metrics: dict[str, Any] = {"paired": pair, "paintings": 2400, "evaluation": "e"}
    cnn, baseline = made("cnn", 0.968), made("baseline", 0.612)
    return PipelineState(cnn, baseline, metrics, {}, "d", Path("r"), Path("p"), None, False, None)


def test_the_comparison_is_aligned() -> None:
    lines = register.format_summary(
        state(), RegistrationOutcome("version 1, champion", True, REASONS, True)
    ).splitlines()
    assert lines[:4] == [
        "CNN         96.8 % right (95.8 to 97.8)",
        "Baseline    61.2 % right (60.2 to 62.2)   random forest",
        "Difference  35.6 points (33.6 to 37.5)   p < 0.001: significant, on 2,400 paintings",
        "Registered version 1, champion",
    ]
    assert len(lines) <= 15
    assert all(len(line) <= 111 for line in lines)
    assert "70 %." in lines[4]
    assert any("strokewise predict" in line for line in lines)
    assert any("strokewise ui" in line for line in lines)


@pytest.mark.parametrize(
    ("paired", "told"),
    [
        ({"p": 0.04, "low": 0.001}, "p = 0.040: significant"),
        ({"p": 0.06, "low": 0.001}, "p = 0.060: not significant"),
        ({"p": 0.04, "low": -0.001}, "p = 0.040: not significant"),
    ],
)
def test_significant_needs_the_test_and_the_interval(paired: dict[str, float], told: str) -> None:
    assert told in register.format_summary(state(**paired), RegistrationOutcome(None, False, REASONS, True))


@pytest.mark.parametrize(
    ("outcome", "dry", "told"),
    [
        (RegistrationOutcome(None, False, (), False, "gone"), False, "Registered not now (see the warning)"),
        (RegistrationOutcome(None, False, REASONS, True), False, "Registered refused\n           It beats"),
        (
            RegistrationOutcome(None, False, REASONS, False),
            False,
            "Registered refused before, and for the same reason now\n",
        ),
        (
            RegistrationOutcome("version 3, previous", False, REASONS, False),
            False,
            "already registered: version 3, previous\n",
        ),
        (RegistrationOutcome("version 3, previous", False, REASONS, False), False, "           Decided then: It beats"),
        (
            RegistrationOutcome("a new version, champion", True, REASONS, True),
            True,
            "would become a new version, champion\n",
        ),
        (RegistrationOutcome(None, False, REASONS, True), True, "would be refused\n"),
    ],
)
def test_every_outcome_is_told(outcome: RegistrationOutcome, dry: bool, told: str) -> None:
    assert told in register.format_summary(state(), outcome, dry)
