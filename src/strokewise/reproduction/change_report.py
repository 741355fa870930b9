"""`strokewise report`: what changed between the results of a commit and the present ones, as text or Markdown.

Both CNNs answer the same test paintings, the present ones, so that the difference is paired.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from strokewise.data.dataset import load_paintings
from strokewise.errors import ModelError
from strokewise.evaluation import gate, metrics
from strokewise.evaluation.gate import GateDecision
from strokewise.evaluation.metrics import PairedComparison
from strokewise.model.onnx_file import load_onnx
from strokewise.params import Params, RegisterParams
from strokewise.registry.artifacts import PipelineState, read_state, test_predictions
from strokewise.reproduction import checkout, lock_file
from strokewise.reproduction.base_results import CONTACT_SHEET, base_results
from strokewise.reproduction.pipeline_files import git
from strokewise.support.paths import DVC_LOCK_FILE, MODEL_DIR, REPORT_DIR, SCRATCH_DIR
from strokewise.support.text_tables import markdown_table, text_table

FIGURES = {
    "data/report/robustness.png": "accuracy along the factors of the paintings",
    "data/report/reliability.png": "confidence against accuracy",
    "data/report/mistakes.png": "the CNN's most confident mistakes",
    "data/report/disagreements.png": "where only one of CNN and baseline is right",
}


@dataclass(frozen=True)
class ReportSection:
    """A part of the report: sentences, a table (heading first) and pictures (path → title)."""

    title: str
    sentences: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    pictures: Mapping[str, str] | None = None


def report_changes(root: Path, params: Params, revision: str, run: bool) -> list[ReportSection]:
    """Compare the present results with those of a revision.

    Args:
        root: the checkout, which is the working directory.
        params: the present ones.
        revision: of git, or a DVC experiment.
        run: make the revision's results again if DVC's cache lacks them.

    Raises UserError if either results are missing.
    """
    sha = checkout.resolve_commit(root, revision)
    state = read_state({})
    with base_results(root, sha, run) as base:
        old = json.loads((base / REPORT_DIR / "details.json").read_text(encoding="utf-8"))
        pair, decision, problem = _judge(state, params, base)
        name = f"{revision} ({sha[:8]})" if revision != sha else sha[:8]
        return [
            ReportSection(
                f"Against {name}", (_verdict_sentence(pair, problem), *_gate_sentences(decision, params.register_))
            ),
            _changes_section(root, sha),
            _metrics_section(state.metrics, old, base),
            _pictures_section(sha, base),
        ]


def _judge(state: PipelineState, params: Params, base: Path) -> tuple[PairedComparison | None, GateDecision, str]:
    """The comparison with the base's CNN, or why there is none; and the gate's decision if that were the champion."""
    labels, cnn, baseline = (np.asarray(values) for values in test_predictions(state))
    settings: dict[str, Any] = {"bootstrap_samples": params.evaluate.bootstrap_samples, "seed": params.evaluate.seed}
    try:
        model = load_onnx(base / MODEL_DIR)
    except ModelError as error:
        return None, gate.decide(labels, cnn, baseline, state.cnn.shapes, params.register_, **settings), str(error)
    predicted, pair, problem = None, None, ""
    if model.shapes == state.cnn.shapes:
        predicted = model.predict_proba(load_paintings("test", model.image_size).pictures).argmax(axis=1)
        pair = metrics.compare_paired(labels, cnn, predicted, settings["bootstrap_samples"], settings["seed"])
    else:
        other = ", ".join(sorted(set(model.shapes) ^ set(state.cnn.shapes))) or "another order"
        problem = f"they know different shapes ({other})"
    decision = gate.decide(
        labels,
        cnn,
        baseline,
        state.cnn.shapes,
        params.register_,
        champion_predicted=predicted,
        champion_shapes=model.shapes,
        is_champion=model.metadata["fingerprint"] == state.cnn.fingerprint,
        **settings,
    )
    return pair, decision, problem


def _verdict_sentence(pair: PairedComparison | None, problem: str) -> str:
    if pair is None:
        return f"The two CNNs cannot be compared on the same paintings: {problem}."
    better, worse = pair.low > 0 and pair.p < 0.05, pair.high < 0 and pair.p < 0.05
    verdict = "better" if better else "worse" if worse else "neither shown to be better nor worse"
    return (
        f"On the same test paintings the CNN is {verdict}: {100 * pair.difference:+.2f} points"
        f" ({100 * pair.low:+.2f} to {100 * pair.high:+.2f}), {pair.wins} won and {pair.losses} lost, p = {pair.p:.2g}."
    )


def _gate_sentences(decision: GateDecision, rules: RegisterParams) -> Iterator[str]:
    yield f"The gate, with that CNN as champion: {decision.outcome}."
    yield from decision.reasons
    if rules.seeds > 1 and "champion" in decision.numbers:
        yield f"That is by one seed; to register it, register.seeds asks for {rules.seeds}: `strokewise repeat`."


def _changes_section(root: Path, sha: str) -> ReportSection:
    """Parameters, code and data that the stages ran with, as both `dvc.lock` name them."""
    before = lock_file.parse_lock(git(root, "show", f"{sha}:./{DVC_LOCK_FILE}").decode())
    after = lock_file.parse_lock((root / DVC_LOCK_FILE).read_text(encoding="utf-8"))
    old, new = (
        {key: value for stage in reversed(lock.values()) for key, value in stage.params.items()}
        for lock in (before, after)  # the stage that uses a parameter comes before *register*, which logs it
    )
    rows = [
        (key, _text(old.get(key, "not there")), _text(new.get(key, "not there")))
        for key in sorted(old.keys() | new)
        if old.get(key, ...) != new.get(key, ...)
    ]
    made = {out for stage in (*before.values(), *after.values()) for out in stage.outs}
    sentences = []
    for name, stage in after.items():
        deps = before[name].deps if name in before else {}
        changed = [
            path
            for path in sorted(stage.deps.keys() | deps)
            if stage.deps.get(path) != deps.get(path)
            and not any(path == out or f"{out}/".startswith(f"{path}/") for out in made)
        ]
        if changed:
            sentences.append(f"{name} ran with other files: {', '.join(changed)}.")
    if not rows:
        sentences.insert(0, "The parameters are the same.")
    heading = ("parameter", "base", "here")
    return ReportSection("What went in", tuple(sentences), (heading, *rows) if rows else ())


def _metrics_section(new: Mapping[str, Any], old: Mapping[str, Any], base: Path) -> ReportSection:
    """The numbers of metrics.json, whichever there are, with the intervals that the details have."""
    before, after = (
        dict(lock_file.flatten_params(json.loads((folder / REPORT_DIR / "metrics.json").read_text(encoding="utf-8"))))
        for folder in (base, Path())
    )
    rows = []
    for key in sorted(before.keys() | after):
        if key.rpartition(".")[2] in ("low", "high"):
            continue
        change = after[key] - before[key] if key in before and key in after else None
        texts = (_with_interval(values, details, key) for values, details in ((before, old), (after, new)))
        rows.append((key, *texts, "" if change is None else f"{change:+.4f}"))
    return ReportSection("What came out", (), (("figure", "base", "here", "change"), *rows))


def _with_interval(values: Mapping[str, float], details: Mapping[str, Any], key: str) -> str:
    """A number with its interval, where the report has one: the ends stand beside it, or under `<name>_interval`."""
    if key not in values:
        return ""
    parent, _, name = key.rpartition(".")
    branch: Any = details
    for part in (key if parent == "drawings" else "paired" if parent == "difference" else parent).split("."):
        branch = branch.get(part, {}) if isinstance(branch, Mapping) else {}
    ends = branch.get(f"{name}_interval")
    if name == "accuracy" or parent in ("drawings", "difference"):
        ends = branch.get("low"), branch.get("high")
    interval = f" ({ends[0]:.4f} to {ends[1]:.4f})" if ends and None not in ends else ""
    return f"{values[key]:.4f}{interval}"


def _pictures_section(sha: str, base: Path) -> ReportSection:
    pictures = {path: title for path, title in FIGURES.items() if Path(path).is_file()}
    if CONTACT_SHEET.is_file():
        pictures[CONTACT_SHEET.as_posix()] = "the paintings, a row a shape"
        old = base / CONTACT_SHEET
        if old.is_file() and old.read_bytes() != CONTACT_SHEET.read_bytes():
            copy = SCRATCH_DIR / "report" / f"contact-sheet-{sha[:8]}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old, copy)
            pictures[copy.as_posix()] = "the paintings of the base"
    return ReportSection("Pictures", pictures=pictures)


def format_report(sections: Sequence[ReportSection], markdown: bool) -> str:
    """The report as Markdown, or as text for a terminal."""
    lines: list[str] = []
    for section in sections:
        lines += [f"## {section.title}" if markdown else section.title, ""]
        lines += [line for sentence in section.sentences for line in ([sentence, ""] if markdown else [sentence])]
        if section.rows:
            lines += [*(markdown_table(section.rows) if markdown else text_table(section.rows))]
        for path, title in (section.pictures or {}).items():
            lines += [f"![{title}]({path})", ""] if markdown else [f"{path}  {title}"]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
