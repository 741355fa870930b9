"""`strokewise verify`: whether what lies here belongs together. Everything is read, nothing is run or changed.

A check is one function: the pipeline in, findings out. "bad" is a disagreement, "warn" what is not here to be compared.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from strokewise.code_digest import code_digest, json_digest
from strokewise.data.dataset import split_digest
from strokewise.data.outline_files import read_outlines
from strokewise.errors import UserError, one_line
from strokewise.evaluation import report
from strokewise.loading import REFERENCE_MODEL
from strokewise.model.onnx_file import OnnxModel, load_onnx
from strokewise.model.verify import verify_model
from strokewise.params import parse_yaml
from strokewise.registry import audit
from strokewise.registry.artifacts import MODEL_DIRS, read_state, test_predictions
from strokewise.reproduction import lock_file
from strokewise.reproduction.pipeline_files import PipelineFiles, join_some, open_pipeline
from strokewise.support.findings import Finding, Findings
from strokewise.support.paths import MODEL_DIR, OUTLINES_DIR, PAINTINGS_DIR, PARAMS_FILE, REPORT_DIR
from strokewise.synthesis.outlines import load_catalogue, plain_outlines

RUN_AGAIN = "`dvc repro` makes the results of what is here; `git diff` and `git checkout` bring back what was"
BRING_BACK = "`dvc checkout` brings it back from the cache, `dvc repro` makes it again"
CODE_MODULES = {"cnn": "stages.train", "baseline": "stages.baseline"}  # whose code decides a model, by kind
DECIDING_KEYS = {  # of config.json, by kind of model: with the code they decide it
    "cnn": ("paintings", "drawings", "paintings_per_shape", "network", "training"),
    "baseline": ("baseline", "image_size", "drawings", "paintings_per_shape"),
}


def verify_project(root: Path, exported: Sequence[Path] = ()) -> Findings:
    """Yield the findings about the checkout `root`, which is the working directory, and about exported model files.

    Raises UserError if there is no pipeline, or it has not run.
    """
    with open_pipeline(root) as files:
        for check in VERIFICATIONS:
            name = check.__name__.removeprefix("check_")
            try:
                yield from check(files)
            except UserError as error:
                yield Finding(name, "bad", one_line(error))
        known = _known_models()
    for path in exported:
        yield _check_exported(path, known)


def check_inputs(files: PipelineFiles) -> Findings:
    """Commands, parameters, data and code, against what `dvc.lock` says that the stages ran with."""
    problems: dict[str, list[str]] = {}  # what differs → the stages that it concerns
    values = dict(lock_file.flatten_params(_read_params(files)))
    made = {out for stage in files.stages.values() for out in stage.outs}
    digests: dict[str, str | None] = {}
    count = 0
    for name, stage in files.stages.items():
        locked = files.lock.get(name)
        if locked is None:
            yield Finding("inputs", "bad", f"stage {name} of dvc.yaml has not run", "dvc repro")
            continue
        found = []
        if stage.command != locked.command:
            found.append(f"the command in dvc.yaml is {stage.command!r}, was {locked.command!r}")
        found += [f"{path} is a new dependency in dvc.yaml" for path in sorted(stage.deps - locked.deps.keys())]
        found += [f"{path} was a dependency in dvc.yaml" for path in sorted(locked.deps.keys() - stage.deps)]
        for path in sorted(stage.deps & locked.deps.keys()):
            if any(path == out or path.startswith(f"{out}/") or out.startswith(f"{path}/") for out in made):
                continue  # made by another stage: among the outputs
            digests.setdefault(path, files.digest(path))
            count += 1
            if digests[path] != locked.deps[path]:
                found.append(files.describe_change(path, locked.deps[path]))
        now = {key: value for key, value in values.items() if any(_is_in(key, section) for section in stage.params)}
        count += len(now)
        found += [
            f"{key} is {_show(now, key)} in {PARAMS_FILE}, was {_show(locked.params, key)}"
            for key in sorted(now.keys() | locked.params)
            if now.get(key, ...) != locked.params.get(key, ...)
        ]
        for problem in found:
            problems.setdefault(problem, []).append(name)
    for name in sorted(files.lock.keys() - files.stages):
        yield Finding("inputs", "bad", f"stage {name} of dvc.lock is not in dvc.yaml", "dvc repro")
    for problem, stages in problems.items():
        yield Finding("inputs", "bad", f"{problem}: not what {', '.join(stages)} ran with", RUN_AGAIN)
    if not problems:
        yield Finding("inputs", "ok", f"code, data and parameters are those of dvc.lock ({count} compared)")


def _is_in(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def _show(values: Any, key: str) -> str:
    return json.dumps(values[key], default=str) if key in values else "not there"


def _read_params(files: PipelineFiles) -> dict[str, Any]:
    try:
        values = parse_yaml((files.root / PARAMS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{PARAMS_FILE} cannot be read: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise UserError(f"{PARAMS_FILE} holds no sections; `git checkout {PARAMS_FILE}` brings it back")
    return values


def check_outputs(files: PipelineFiles) -> Findings:
    """What the stages wrote, against `dvc.lock`; and whether each stage read what another wrote."""
    count = 0
    for name, locked in files.lock.items():
        for path, recorded in locked.outs.items():
            count += 1
            if files.digest(path) != recorded:
                problem = files.describe_change(path, recorded)
                yield Finding("outputs", "bad", f"{problem}: not what {name} wrote", BRING_BACK)
                count -= 1
    yield from _check_handover(files)
    yield Finding("outputs", "ok", f"{count} are those that dvc.lock names")


def _check_handover(files: PipelineFiles) -> Findings:
    """Whether `dvc.lock` itself is consistent: what a stage read of another is what that one wrote."""
    written = {path: (name, digest) for name, locked in files.lock.items() for path, digest in locked.outs.items()}
    for name, locked in files.lock.items():
        for path, digest in locked.deps.items():
            maker, made = written.get(path, (name, digest))
            if made != digest:
                yield Finding("outputs", "bad", f"{name} ran with another {path} than {maker} wrote", "dvc repro")


def check_cache(files: PipelineFiles) -> Findings:
    """DVC's cache: whether it has every output, and whether its bytes are those that its names say."""
    missing, count = [], 0
    for locked in files.lock.values():
        for path, recorded in locked.outs.items():
            if path in files.uncached:
                continue
            digests = [recorded]
            if recorded.endswith(lock_file.FOLDER_SUFFIX):
                digests += (lock_file.cached_listing(files.cache, recorded) or {}).values()
            for digest in digests:
                place = lock_file.cache_path(files.cache, digest)
                if not place.is_file():
                    missing.append(path)
                elif lock_file.file_md5(place) != digest.removesuffix(lock_file.FOLDER_SUFFIX):
                    action = f"rm {place}, then `dvc commit --force` where the output itself is right"
                    yield Finding("cache", "bad", f"the cache's copy of {path} is damaged: {place}", action)
                else:
                    count += 1
    if missing:
        message = f"the cache lacks {join_some(sorted(set(missing)))}"
        yield Finding("cache", "warn", message, "`dvc pull`, or `dvc commit` where the output is here")
    yield Finding("cache", "ok", f"{count} files are what their names say")


def check_models(files: PipelineFiles) -> Findings:
    """Both models: their files, and whether their digests follow from the paintings, parameters, outlines and code."""
    for kind, folder in MODEL_DIRS.items():
        try:
            config = verify_model(folder, kind)
        except UserError as error:
            yield Finding("models", "bad" if folder.is_dir() else "warn", one_line(error), BRING_BACK)
            continue
        problems = list(_model_problems(kind, config))
        for problem in problems:
            yield Finding("models", "bad", f"{folder}: {problem}", "dvc repro")
        if not problems:
            yield Finding(
                "models", "ok", f"{folder}: fingerprint {str(config['fingerprint'])[:8]} follows from what is here"
            )


def _model_problems(kind: str, config: dict[str, Any]) -> Iterator[str]:
    """What of a model is not of the paintings, outlines and code here; parameters are checked against `dvc.lock`."""
    for split, digest in config["paintings"].items():
        if digest != split_digest(split):
            yield f"it was trained on other paintings than data/paintings/{split}"
    code = code_digest(CODE_MODULES[kind])
    decided = {name: value for name, value in config.items() if name in DECIDING_KEYS[kind]}
    if kind == "baseline":
        digests = [({**decided, "paintings": config["paintings"]["train"], "code": code}, "fingerprint")]
    else:
        digests = [
            ({**decided, "code": code}, "training_digest"),
            ({"training": config["training_digest"], "outlines": config["outlines"]}, "fingerprint"),
        ]
        if config["outlines"] != json_digest(read_outlines()):
            yield f"it carries other outlines than {PAINTINGS_DIR}"
    for value, name in digests:
        if json_digest(value) != config[name]:
            yield f"its {name} {config[name][:8]} does not follow from its config.json and the code here"


def check_report(files: PipelineFiles) -> Findings:
    """The report: about these models, and every number of it consistent with the predictions that it lists."""
    import numpy as np

    if not (REPORT_DIR / "details.json").is_file():
        yield Finding("report", "warn", f"there is no {REPORT_DIR / 'details.json'}", BRING_BACK)
        return
    state = read_state({})
    labels, cnn, baseline = (np.asarray(values) for values in test_predictions(state))
    problems = [
        f"{REPORT_DIR / 'details.json'} says {numbers['accuracy']} for the {kind}, confusion-{kind}.csv counts {share}"
        for kind, predicted, numbers in (
            ("cnn", cnn, state.metrics["cnn"]),
            ("baseline", baseline, state.metrics["baseline"]),
        )
        if abs((share := float((labels == predicted).mean())) - numbers["accuracy"]) > 1e-12
    ]
    metrics = json.loads((REPORT_DIR / "metrics.json").read_text(encoding="utf-8"))
    if metrics != report.headline_metrics(state.metrics):
        problems.append(f"{REPORT_DIR / 'metrics.json'} has other numbers than details.json")
    for problem in problems:
        yield Finding("report", "bad", problem, BRING_BACK)
    if not problems:
        yield Finding("report", "ok", f"it is about these models; its numbers follow from {len(labels):,} predictions")


def check_registry(files: PipelineFiles) -> Findings:
    """MLflow: versions, packed models, aliases and runs."""
    yield from audit.audit_store(audit.read_project_state())


def check_reference(files: PipelineFiles) -> Findings:
    """The reference model of the package: whole, as its card says, and with the outlines of this checkout."""
    try:
        model = load_onnx(REFERENCE_MODEL)
        card = REFERENCE_MODEL.with_name("README.md").read_text(encoding="utf-8")
    except (OSError, UserError) as error:
        yield Finding("reference", "bad", one_line(error), "`git checkout` brings it back")
        return
    if f"weights      {model.metadata['weights']}" not in card:
        yield Finding("reference", "bad", "its card is about other weights", "python -m strokewise.reference pack")
        return
    carried, here = json.loads(model.metadata["outlines"]), plain_outlines(load_catalogue(OUTLINES_DIR))
    other = sorted(shape for shape in carried.keys() | here if carried.get(shape) != here.get(shape))
    if other and REFERENCE_MODEL.is_relative_to(files.root):  # a project of a user's own has other outlines
        message = f"it carries other outlines than {OUTLINES_DIR}: {join_some(other)}"
        yield Finding("reference", "warn", message, "python -m strokewise.reference pack")
    else:
        yield Finding("reference", "ok", "it is whole, and its card is about it")


def _known_models() -> dict[tuple[str, str], str]:
    """The names of the models here, by fingerprint and digest of the weights."""
    known: dict[tuple[str, str], str] = {}
    for name, path in (("data/model", MODEL_DIR), ("the reference model", REFERENCE_MODEL)):
        with contextlib.suppress(UserError):
            known[_identity(load_onnx(path))] = name
    with contextlib.suppress(UserError):
        for identity, name in audit.registered_models().items():
            known.setdefault(identity, name)
    return known


def _identity(model: OnnxModel) -> tuple[str, str]:
    return model.metadata["fingerprint"], model.metadata.get("weights", "")


def _check_exported(path: Path, known: Mapping[tuple[str, str], str]) -> Finding:
    """A file that `strokewise export` wrote: whole, and of a model that is here."""
    try:
        model = load_onnx(path)
    except UserError as error:
        return Finding("exported", "bad", one_line(error), "export it again")
    name = known.get(_identity(model))
    if name is None:
        message = f"{path} is whole, but of no model here (fingerprint {_identity(model)[0][:8]})"
        return Finding("exported", "bad", message, "`strokewise export` writes the present one")
    return Finding("exported", "ok", f"{path} is {name}")


VERIFICATIONS: tuple[Callable[[PipelineFiles], Findings], ...] = (
    check_inputs,
    check_outputs,
    check_cache,
    check_models,
    check_report,
    check_registry,
    check_reference,
)
