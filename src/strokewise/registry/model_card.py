"""The description of a registered version, in Markdown: what it knows, how good it is, what it cannot do, its use."""

from collections.abc import Mapping, Sequence
from typing import Any

from strokewise.registry.artifacts import PipelineState

MAX_LISTED_SHAPES = 40  # MLflow's database holds 5,000 characters
USE = """\
```python
strokewise.load("{uri}").predict("drawing.png")
mlflow.pyfunc.load_model("{uri}").predict([base64_text_of_a_png])
mlflow.onnx.load_model("{uri}")
```"""
LIMITS = (
    "It gives one answer for a whole picture, knows no text, and was trained on paintings of a synthetic hand: "
    "photographs and scribbles of several shapes are outside of what was measured."
)


def version_card(state: PipelineState, reasons: Sequence[str], uri: str) -> str:
    """The card of the CNN of `state`; `reasons` are the gate's, `uri` names it ("models:/strokewise@champion")."""
    shapes = state.cnn.shapes
    sections = [
        str(state.metrics.get("sentence", "")),
        " ".join(reasons),
        f"**Knows** {len(shapes)} classes: {_join_shapes(shapes)}.",
        f"**Trained on** {_training_text(state)}, and on no other drawing.",
        _recall_table(state.cnn.metrics.get("shapes", {})),
        f"**What it cannot do.** {LIMITS}",
        USE.format(uri=uri),
    ]
    return "\n\n".join(section for section in sections if section)


def _training_text(state: PipelineState) -> str:
    paintings = state.settings["generate"]["train"]
    drawings = state.cnn.config.get("drawings")
    others = " and drawings by people (data/drawings-train)" if drawings else ""
    return f"{paintings:,} synthetic paintings{others} for {state.settings['train']['epochs']} epochs"


def _recall_table(shapes: Mapping[str, Mapping[str, Any]]) -> str:
    def share(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.1f} %"

    rows = [
        f"| {name} | {share(numbers['precision'])} | {share(numbers['recall'])} | {numbers['support']} |"
        for name, numbers in list(shapes.items())[:MAX_LISTED_SHAPES]
    ]
    return "\n".join(["| class | precision | recall | test paintings |", "|---|---|---|---|", *rows]) if rows else ""


def _join_shapes(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED_SHAPES
    return ", ".join(names[:MAX_LISTED_SHAPES]) + (f" and {more} more" if more > 0 else "")
