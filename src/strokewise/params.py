"""`params.yaml` → frozen, strict pydantic models: a section per stage, each value with type, range and description.

The text under each field is its description in the JSON Schema and, shortened, the comment in `params.yaml`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from strokewise.errors import ParamsError, one_line
from strokewise.support.paths import PARAMS_FILE
from strokewise.support.regular_file import read_regular
from strokewise.support.validation_errors import describe_error, format_value, join_names, section_fields, shorten

MAX_YAML_LENGTH, MAX_YAML_BRACKETS = 100_000, 200  # characters, and [ or {; params.yaml has some 7,000 and 0
Strength = Annotated[float | None, Field(ge=0, le=4)]


class Section(BaseModel):
    """A section of `params.yaml`: every key is required, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class HandStrengths(Section):
    """Strength of each imprecision of the hand: null follows `imprecision`, 0 is a ruler, 1 people, 2 in a hurry."""

    stretch: Strength
    """Width against height, within what the outline allows."""
    slant: Strength
    """Shear."""
    turn: Strength
    """Rotation and mirroring, within what the outline allows."""
    perspective: Strength
    """One side nearer than the other."""
    corners: Strength
    """Displacement of corners."""
    bow: Strength
    """Curvature of straight edges."""
    lumps: Strength
    """Lumps, flat sides and dents of smooth outlines."""
    rounding: Strength
    """Rounded corners."""
    start: Strength
    """Start at any corner or between two, in either direction."""
    lifting: Strength
    """Several strokes instead of one."""
    overshoot: Strength
    """Strokes that miss each other at a corner, beyond it or short of it."""
    closing: Strength
    """Ends that overlap, leave a gap, curl or fly off."""
    sketching: Strength
    """The outline gone over again and again without lifting the pen."""
    loops: Strength
    """Loops and cut corners where the pen turns without being lifted."""
    hooks: Strength
    """Hooks where the pen lands or leaves."""
    drift: Strength
    """Slow wandering along the stroke."""
    tremor: Strength
    """Fast shaking."""
    mouse: Strength
    """Steps of a coarse grid, and straight pieces between few points, as of a mouse or trackpad."""


class InkStrengths(Section):
    """Variety of pens and paper: null follows `imprecision`, 0 is one black pen on white paper, 1 what people use."""

    place: Strength
    """Position on the canvas, and size."""
    pen: Strength
    """Width of the pen, from hairline to brush."""
    pressure: Strength
    """Width that changes along a stroke."""
    breaks: Strength
    """Gaps where the pen gave no ink."""
    bleeding: Strength
    """Ink that runs into the paper."""
    fill: Strength
    """Solid, hatched and scribbled-in shapes, with an outline or without."""
    paper: Strength
    """Lined, squared, photographed, grey and dark paper."""
    colour: Strength
    """Coloured ink and paper."""
    strays: Strength
    """Stray marks, and a line of a neighbouring drawing or bits of writing at the edge."""
    connectors: Strength
    """Lines that touch a closed shape from outside, as in a diagram."""


class GenerateParams(Section):
    """Paints the data set."""

    seed: int = Field(ge=0, lt=2**63)
    """Random seed of the data set."""
    train: int = Field(ge=1, le=1_000_000_000)
    """Number of training paintings."""
    validation: int = Field(ge=1, le=1_000_000_000)
    """Number of validation paintings, measured during training, not trained on."""
    test: int = Field(ge=1, le=1_000_000_000)
    """Number of test paintings, not used before `evaluate`."""
    canvas: int = Field(ge=32, le=2048)
    """Width and height of a painting in pixels."""
    imprecision: float = Field(ge=0, le=2)
    """Imprecision of the hand: 0 is a ruler, 1 people, 2 in a hurry."""
    hand: HandStrengths
    ink: InkStrengths


class NetworkParams(Section):
    """The architecture of the CNN."""

    image_size: int = Field(ge=16, le=1024)
    """Width and height of the network's input in pixels."""
    line_filters: Literal["fixed", "seeded", "learned"]
    """The four 2×2 line filters: fixed, seeded (initial values that are trained) or learned from random ones."""
    extra_filters: int = Field(ge=0, le=252)
    """Number of learned 2×2 filters beside these four."""
    depth: int | None = Field(ge=1, le=16)
    """Convolution stages after the line filters; null derives it from `image_size`."""
    base_channels: int = Field(ge=1, le=1024)
    """Channels of the first stage after the line filters; each later stage has twice as many."""
    max_channels: int = Field(ge=1, le=4096)
    """Upper limit of channels in a stage."""
    kernel_size: int = Field(ge=1, le=15)
    """Width and height of the filters after the line filters."""
    stride: int = Field(ge=1, le=8)
    """Stride of the convolutions after the line filters."""
    padding: Literal["zero", "valid"]
    """Padding of the convolutions: zero, or valid (none, so that maps shrink)."""
    pooling: Literal["max", "average", "strided"]
    """Downsampling: max pooling, average pooling, or strided (a convolution with twice the stride)."""
    activation: Literal["relu", "leaky_relu", "gelu", "silu"]
    """Activation function after each convolution."""
    normalisation: Literal["batch", "group", "none"]
    """Normalisation after each convolution except the line filters."""
    hidden_units: int = Field(ge=0, le=4096)
    """Units of the fully connected layer before the last; 0 leaves it out."""


class TrainParams(Section):
    """Trains the CNN."""

    seed: int = Field(ge=0, lt=2**63)
    """Random seed of the initial weights, the order of the paintings and their augmentation."""
    epochs: int = Field(ge=1, le=1_000_000)
    """Passes over the training paintings."""
    batch_size: int = Field(ge=1)
    """Paintings per step, over all processes together."""
    learning_rate: float = Field(gt=0, le=1)
    """Highest learning rate of the schedule."""
    weight_decay: float = Field(ge=0, le=1)
    """Weight decay of AdamW, decoupled from the gradient."""
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps in which the learning rate rises; then it falls to zero."""
    label_smoothing: float = Field(ge=0, lt=1)
    """Probability that the target gives to the other shapes."""
    other_prior: float = Field(gt=0, lt=1)
    """How likely a drawing is none of the shapes before it is seen, however many of the paintings are."""
    ema_decay: float = Field(ge=0, lt=1)
    """Decay per step of the exponential moving average of the weights; the average is the model."""
    augment_strength: float = Field(ge=0, le=2)
    """Strength of the random augmentation, new in every epoch; 0 is none."""
    threads: int = Field(ge=1, le=256)
    """CPU threads; another number gives slightly different weights."""
    device: Literal["auto", "cpu", "cuda"]
    """Device: cpu, cuda, or auto (a GPU where there is one)."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Precision of multiplications: auto is bfloat16 where the hardware has units for it (most GPUs, Intel's AMX)."""


class BaselineParams(Section):
    """Trains scikit-learn on flattened pixels."""

    seed: int = Field(ge=0, lt=2**32)
    """Random seed of the folds, the augmented copies and the models."""
    folds: int = Field(ge=2, le=20)
    """Folds of the cross-validation that selects the model."""
    augmented_copies: int = Field(ge=0, le=64)
    """Most augmented copies per painting; used if they improve the cross-validation."""


class EvaluateParams(Section):
    """Measures both models on the test paintings."""

    seed: int = Field(ge=0, lt=2**63)
    """Random seed of the bootstrap."""
    bootstrap_samples: int = Field(ge=100, le=1_000_000)
    """Resamples for the interval of the paired difference."""
    imprecision_samples: int = Field(ge=1, le=100_000)
    """Test paintings painted anew at each imprecision from 0 to 2."""


class ExplainParams(Section):
    """Shows what each layer of the CNN saw."""

    feature_maps: int = Field(ge=1, le=64)
    """Feature maps shown per layer, the strongest first."""


class RegisterParams(Section):
    """The gate: when a model becomes champion."""

    min_improvement: float = Field(ge=0, lt=1)
    """Least accuracy above the baseline's."""
    alpha: float = Field(gt=0, lt=1)
    """Significance level of the exact McNemar test."""
    min_recall: float = Field(ge=0, le=1)
    """Least recall of every shape."""
    seeds: int = Field(default=1, ge=1, le=1000)  # earlier states of a project, which `sync` registers, have none
    """Seeds over which to be better than the champion; more than 1 need `strokewise repeat` of both settings."""


class Params(Section):
    """All of `params.yaml`. A stage reads the sections that `dvc.yaml` names for it, as `params.<section>`."""

    generate: GenerateParams
    network: NetworkParams
    train: TrainParams
    baseline: BaselineParams
    evaluate: EvaluateParams
    explain: ExplainParams
    register_: RegisterParams = Field(alias="register")  # pydantic's models have a method `register`

    @classmethod
    def load(cls, path: Path = PARAMS_FILE, overrides: Sequence[str] = ()) -> Self:
        """Read the file `path`, then apply overrides of the form `section.key=value`.

        Raises ParamsError, one line, if the file is missing or unreadable, or anything in it is not allowed.
        """
        try:
            values = parse_yaml(read_regular(path, 4 * MAX_YAML_LENGTH).decode("utf-8"))
        except FileNotFoundError:
            raise ParamsError(
                f"no {path} here; run strokewise in the root of the project, or name one with --params FILE"
            ) from None
        except (OSError, ValueError) as error:
            raise ParamsError(
                f"{path} cannot be read: {one_line(error, 160)}; fix it, or name another with --params"
            ) from None
        if not isinstance(values, dict):
            sections = join_names(section_fields(cls))
            raise ParamsError(f"{path} holds {format_value(values)}; it must hold the sections {sections}")
        for override in overrides:
            _apply_override(values, override)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = error.errors()
            more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
            raise ParamsError(f"{path}: {describe_error(cls, problems[0])}{more}") from None


def json_schema() -> str:
    """The JSON Schema of `params.yaml`, for completion in editors (`make lock` writes it)."""
    return json.dumps(Params.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def parse_yaml(text: str) -> Any:
    """The value of a YAML 1.2 text, as DVC reads it (3e-3 is a number).

    Raises ValueError if the text is no YAML, or too long or too deeply nested to be parameters.
    """
    if len(text) > MAX_YAML_LENGTH:
        raise ValueError(f"it has {len(text):,} characters, {MAX_YAML_LENGTH:,} are allowed")
    if text.count("[") + text.count("{") > MAX_YAML_BRACKETS:
        raise ValueError(f"it has more than {MAX_YAML_BRACKETS} brackets")
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise ValueError(one_line(error, 80)) from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set `section.key=value` in the nested dictionaries; the value is parsed as YAML."""
    key, separator, text = override.partition("=")
    section, _, name = key.partition(".")
    if not (separator and section and name):
        raise ParamsError(f"--set {shorten(override)!r} is not section.key=value; write, say, --set train.epochs=40")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise ParamsError(
            f"--set {shorten(override)!r}: the value cannot be read: {one_line(error, 120)}; try quoting it"
        ) from None
    branch = values.setdefault(section, {})
    *parents, last = name.split(".")
    for parent in parents:
        branch = branch.setdefault(parent, {}) if isinstance(branch, dict) else branch
    if not isinstance(branch, dict):
        raise ParamsError(
            f"--set {shorten(override)!r}: {shorten(key.rpartition('.')[0])} is {format_value(branch)}, not a section"
        )
    branch[last] = value
