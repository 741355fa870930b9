"""The summary that *register* prints at the end of the pipeline. What it does to a store: `tests/registry`."""

from pathlib import Path

import pytest

from strokewise.registry.artifacts import ModelArtifact, PipelineState
from strokewise.registry.promotion import RegistrationOutcome
from strokewise.stages import register

REASONS = (
    "It beats the baseline by 35.60 points (p = 1e-240), and no shape's recall is below 70 %.",
    "And more. " * 20,
)


def make_state(**paired: float) -> PipelineState:
    def make_model(kind: str, accuracy: float) -> ModelArtifact:
        return ModelArtifact(
            kind=kind,
            folder=Path("data"),
            config={"fingerprint": "f", "shapes": ["a", "b"]},
            weights_digest="w",
            metrics={"accuracy": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01, "choice": "random forest"},
        )

    comparison = {"difference": 0.356, "low": 0.336, "high": 0.375, "p": 1e-240} | paired
    return PipelineState(
        cnn=make_model("cnn", 0.968),
        baseline=make_model("baseline", 0.612),
        metrics={"paired": comparison, "paintings": 2400, "evaluation": "e"},
        settings={},
        test_digest="d",
        report=Path("r"),
        paintings=Path("p"),
        commit=None,
        dirty=False,
        experiment=None,
    )


def make_outcome(
    status: str | None, reasons: tuple[str, ...], new: bool, warning: str | None = None
) -> RegistrationOutcome:
    champion = bool(status and "champion" in status)
    return RegistrationOutcome(status=status, champion=champion, reasons=reasons, new=new, warning=warning)


def test_summary_aligns_the_comparison() -> None:
    lines = register.format_summary(make_state(), make_outcome("version 1, champion", REASONS, new=True)).splitlines()
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
    ("paired", "expected"),
    [
        ({"p": 0.04, "low": 0.001}, "p = 0.040: significant"),
        ({"p": 0.06, "low": 0.001}, "p = 0.060: not significant"),
        ({"p": 0.04, "low": -0.001}, "p = 0.040: not significant"),
    ],
)
def test_significance_needs_both_p_value_and_interval(paired: dict[str, float], expected: str) -> None:
    assert expected in register.format_summary(make_state(**paired), make_outcome(None, REASONS, new=True))


@pytest.mark.parametrize(
    ("outcome", "dry_run", "expected"),
    [
        (make_outcome(None, (), new=False, warning="gone"), False, "Registered not now (see the warning)"),
        (make_outcome(None, REASONS, new=True), False, "Registered refused\n           It beats"),
        (
            make_outcome(None, REASONS, new=False),
            False,
            "Registered refused before, and for the same reason now\n",
        ),
        (
            make_outcome("version 3, previous", REASONS, new=False),
            False,
            "already registered: version 3, previous\n",
        ),
        (make_outcome("version 3, previous", REASONS, new=False), False, "           Decided then: It beats"),
        (
            make_outcome("a new version, champion", REASONS, new=True),
            True,
            "would become a new version, champion\n",
        ),
        (make_outcome(None, REASONS, new=True), True, "would be refused\n"),
    ],
)
def test_summary_names_the_outcome(outcome: RegistrationOutcome, dry_run: bool, expected: str) -> None:
    assert expected in register.format_summary(make_state(), outcome, dry_run)
