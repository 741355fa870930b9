"""`params.yaml` -> frozen, strict models: one section a stage, each value with its type, range and meaning.

Nothing here decides an output; what is unknown, mistyped or out of range is named before anything is touched.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from strokewise.errors import ParamsError
from strokewise.support import validation_errors


class Section(BaseModel):
    """A section of `params.yaml`: every key stands in the file, none may be unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class HandKnobs(Section):
    """How unsteady the hand is. Every knob: null follows `imprecision`, 0 is a ruler's, 1 people's, 2 in a hurry."""

    stretch: float | None = Field(ge=0, le=4)
    """Width against height, within what the outline allows."""
    slant: float | None = Field(ge=0, le=4)
    """Shear."""
    turn: float | None = Field(ge=0, le=4)
    """Turned, and mirrored, within what the outline allows."""
    perspective: float | None = Field(ge=0, le=4)
    """One side nearer than the other."""
    corners: float | None = Field(ge=0, le=4)
    """Corners off their place."""
    bow: float | None = Field(ge=0, le=4)
    """Straight edges that rise or sag."""
    rounding: float | None = Field(ge=0, le=4)
    """Corners cut round."""
    start: float | None = Field(ge=0, le=4)
    """Begun at any corner or between two, either way round."""
    lifting: float | None = Field(ge=0, le=4)
    """Several strokes instead of one."""
    overshoot: float | None = Field(ge=0, le=4)
    """Strokes that miss each other at a corner, beyond it or short of it."""
    closing: float | None = Field(ge=0, le=4)
    """Ends that overlap, stay apart or fly off."""
    loops: float | None = Field(ge=0, le=4)
    """Loops and cut corners where the pen turns without being lifted."""
    hooks: float | None = Field(ge=0, le=4)
    """Hooks where the pen lands or leaves."""
    drift: float | None = Field(ge=0, le=4)
    """Slow wandering along the way."""
    tremor: float | None = Field(ge=0, le=4)
    """Quick shaking."""


class InkKnobs(Section):
    """Pens and paper. Every knob: null follows `imprecision`, 0 is one black pen on white paper, 1 people's tables."""

    place: float | None = Field(ge=0, le=4)
    """Anywhere on the canvas, at any size."""
    pen: float | None = Field(ge=0, le=4)
    """Pens from hairline to brush."""
    pressure: float | None = Field(ge=0, le=4)
    """Width that changes along a stroke."""
    breaks: float | None = Field(ge=0, le=4)
    """Gaps where the pen gave no ink."""
    bleeding: float | None = Field(ge=0, le=4)
    """Ink that runs into the paper."""
    fill: float | None = Field(ge=0, le=4)
    """Solid, hatched and scribbled-in shapes."""
    paper: float | None = Field(ge=0, le=4)
    """Lined, squared, photographed, grey and dark paper."""
    colour: float | None = Field(ge=0, le=4)
    """Coloured ink and paper."""
    strays: float | None = Field(ge=0, le=4)
    """Stray marks, and a neighbour's line at the edge."""


class GenerateParams(Section):
    """Paints the data set."""

    seed: int = Field(ge=0, lt=2**63)
    """Another seed is another data set."""
    train: int = Field(ge=1, le=1_000_000_000)
    """Paintings to learn from."""
    validation: int = Field(ge=1, le=1_000_000_000)
    """Paintings that training is watched on; nothing is learned from them."""
    test: int = Field(ge=1, le=1_000_000_000)
    """Paintings that judge; never looked at before `evaluate`."""
    canvas: int = Field(ge=32, le=2048)
    """Width and height of a painting, in pixels."""
    imprecision: float = Field(ge=0, le=2)
    """0 is drawn with a ruler, 1 by people, 2 in a hurry."""
    hand: HandKnobs
    ink: InkKnobs


class NetworkParams(Section):
    """The architecture of the CNN."""

    image_size: int = Field(ge=16, le=1024)
    """Width and height of the picture that the network sees, in pixels."""
    line_filters: Literal["fixed", "seeded", "learned"]
    """The four 2×2 line filters: fixed, a start for learning, or learned from scratch."""
    extra_filters: int = Field(ge=0, le=252)
    """Learned 2×2 filters beside the four."""
    depth: int | None = Field(ge=1, le=16)
    """Convolution stages after the lines; null follows the grid."""
    base_channels: int = Field(ge=1, le=1024)
    """Feature maps of the curves; every later stage has twice as many."""
    max_channels: int = Field(ge=1, le=4096)
    """But no stage has more maps than this."""
    kernel_size: int = Field(ge=1, le=15)
    """Width and height of the filters after the lines."""
    stride: int = Field(ge=1, le=8)
    """Pixels from one place of a filter to the next."""
    padding: Literal["zero", "valid"]
    """Whether maps get a frame of zeros before a convolution, or shrink."""
    pooling: Literal["max", "average", "strided"]
    """How a map gets smaller: the best of four, their mean, or a convolution with twice the stride."""
    activation: Literal["relu", "leaky_relu", "gelu", "silu"]
    """What follows each convolution."""
    normalisation: Literal["batch", "group", "none"]
    """What makes the maps of a stage comparable."""
    hidden_units: int = Field(ge=0, le=4096)
    """Units of the fully connected layer before the last; 0 leaves it out."""


class TrainParams(Section):
    """Teaches the CNN."""

    seed: int = Field(ge=0, lt=2**63)
    """Decides the first weights, the order of the paintings and their augmentation."""
    epochs: int = Field(ge=1, le=1_000_000)
    """Times that every painting is looked at."""
    batch_size: int = Field(ge=1)
    """Paintings a step, over all processes together."""
    learning_rate: float = Field(gt=0, le=1)
    """The highest of the schedule."""
    weight_decay: float = Field(ge=0, le=1)
    """Of AdamW, decoupled from the gradient."""
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps in which the learning rate rises to its highest; then it falls to nothing."""
    label_smoothing: float = Field(ge=0, lt=1)
    """Probability that the target gives to the other shapes."""
    ema_decay: float = Field(ge=0, lt=1)
    """How much of the weights' running average stays at each step; the average is the model."""
    augment_strength: float = Field(ge=0, le=2)
    """Strength with which each painting is changed anew at each look."""
    threads: int = Field(ge=1, le=256)
    """Part of the result: another number of threads gives other weights."""
    device: Literal["auto", "cpu", "cuda"]
    """`auto` takes a GPU where there is one."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Of the numbers that are multiplied. `auto` is bfloat16 where there are units for it: most GPUs, Intel's AMX."""


class BaselineParams(Section):
    """scikit-learn on flattened pixels."""

    seed: int = Field(ge=0, lt=2**32)
    """Decides folds, augmented copies and the models' own randomness."""
    folds: int = Field(ge=2, le=20)
    """Of the cross-validation that chooses the model."""
    augmented_copies: int = Field(ge=0, le=64)
    """Augmented copies a painting, at the most; used if they help."""


class EvaluateParams(Section):
    """Measures both models on the test paintings."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the bootstrap."""
    bootstrap_samples: int = Field(ge=100, le=1_000_000)
    """Of the bootstrap behind the paired difference."""
    imprecision_samples: int = Field(ge=1, le=100_000)
    """Test paintings drawn anew at each imprecision from 0 to 2."""


class ExplainParams(Section):
    """Pictures of what each layer saw."""

    feature_maps: int = Field(ge=1, le=64)
    """Feature maps shown a layer, the strongest first."""


class RegisterParams(Section):
    """The gate: when a model becomes champion."""

    min_improvement: float = Field(ge=0, lt=1)
    """It beats the baseline by at least this much accuracy."""
    alpha: float = Field(gt=0, lt=1)
    """And by chance less often than this (exact McNemar test)."""
    min_recall: float = Field(ge=0, le=1)
    """And no shape's recall is below this."""


class Params(Section):
    """All of `params.yaml`. A stage reads the sections that `dvc.yaml` names for it, as `params.<section>`."""

    generate: GenerateParams
    network: NetworkParams
    train: TrainParams
    baseline: BaselineParams
    evaluate: EvaluateParams
    explain: ExplainParams
    register_: RegisterParams = Field(alias="register")  # every pydantic model has a method of that name already

    @classmethod
    def load(cls, path: Path = Path("params.yaml"), overrides: Sequence[str] = ()) -> Self:
        """Read `path`, then apply overrides written `section.key=value`.

        Raises ParamsError, one line, for a missing or unreadable file and for whatever does not fit.
        """
        try:
            values = parse_yaml(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ParamsError(
                f"no {path} here; run strokewise in the root of the project, or name one with --params FILE"
            ) from None
        except (OSError, ValueError) as error:
            raise ParamsError(
                f"{path} cannot be read: {validation_errors.one_line(error)}; mend it, or name another with --params"
            ) from None
        if not isinstance(values, dict):
            raise ParamsError(
                f"{path} holds {validation_errors.format_value(values)}; it must hold the sections {validation_errors.join_names(validation_errors.section_fields(cls))}"
            )
        for override in overrides:
            _apply_override(values, override)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = error.errors()
            more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
            raise ParamsError(f"{path}: {validation_errors.describe_error(cls, problems[0])}{more}") from None


def json_schema() -> str:
    """The JSON Schema of `params.yaml`, for completion in editors (`make lock` writes it)."""
    return json.dumps(Params.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def parse_yaml(text: str) -> Any:
    """The value of a YAML 1.2 text, read as DVC reads it (3e-3 is a number). Raises ValueError where it is none."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set `section.key=value` in the nested dictionaries, the value read as YAML."""
    key, separator, text = override.partition("=")
    section, dot, name = key.partition(".")
    if not (separator and dot and section and name):
        raise ParamsError(f"--set {override!r} is not section.key=value; write, say, --set train.epochs=40")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise ParamsError(
            f"--set {override!r}: the value cannot be read: {validation_errors.one_line(error)}; try quoting it"
        ) from None
    branch = values.setdefault(section, {})
    *parents, last = name.split(".")
    for parent in parents:
        branch = branch.setdefault(parent, {}) if isinstance(branch, dict) else branch
    if not isinstance(branch, dict):
        raise ParamsError(
            f"--set {override!r}: {key.rpartition('.')[0]} is {validation_errors.format_value(branch)}, not a section"
        )
    branch[last] = value
