"""Whether MLflow's store agrees with itself and with the results on disk: versions, their files, and the runs' numbers.

Nothing is changed. The files of a version are looked at where they lie on this machine.
"""

import math
from pathlib import Path

from strokewise.errors import ModelError, RegistryError, one_line
from strokewise.model.verify import verify_model
from strokewise.registry import artifacts, runs, store, versions
from strokewise.registry.artifacts import ModelArtifact, PipelineState
from strokewise.registry.store import Store, StoreUnavailable, model_name
from strokewise.registry.versions import ModelVersionRecord, RegistrySnapshot
from strokewise.serving import packaging
from strokewise.support.findings import Finding, Findings

REPAIR = "`strokewise register` writes the files anew where the fingerprint is that of data/model"


def audit_store(state: PipelineState | None) -> Findings:
    """Findings about every version and about the runs of `state`, the results on disk; None if they cannot be read."""
    try:
        if not store.store_exists():
            yield Finding("registry", "warn", "nothing is registered here", "`strokewise register` does it")
            return
        with store.connect(create=False) as connection:
            snapshot = versions.read_snapshot(connection)
            for version in snapshot.versions:
                yield from _audit_version(connection, snapshot, version)
            yield from _audit_aliases(snapshot)
            if state is not None:
                yield from _audit_state(connection, snapshot, state)
    except (RegistryError, StoreUnavailable) as error:
        yield Finding("registry", "bad", one_line(error), "strokewise doctor says more")


def _audit_version(connection: Store, snapshot: RegistrySnapshot, version: ModelVersionRecord) -> Findings:
    name = snapshot.status(version)
    source = connection.client.get_model_version_download_uri(model_name(), str(version.number))
    if runs.local_path(source) is None:
        yield Finding("registry", "warn", f"{name}: its files are on a server, and were not looked at")
        return
    try:
        folder = versions.fetch_version(connection, model_name(), version.number)
        config = verify_model(folder, "cnn")
    except (ModelError, RegistryError) as error:
        yield Finding("registry", "bad", f"{name}: {one_line(error)}", REPAIR)
        return
    problems = [
        f"its tag {tag} is {recorded[:8] or 'missing'}, its config.json says {str(config[tag])[:8]}"
        for tag, recorded in (("fingerprint", version.fingerprint), ("weights", version.weights_digest))
        if recorded != config[tag]
    ]
    logged = str(connection.client.get_model_version(model_name(), str(version.number)).source).removeprefix("models:/")
    digest = connection.client.get_logged_model(logged).tags.get(packaging.PACKAGE_TAG) if "/" not in logged else None
    package = folder.parents[len(Path(packaging.MODEL_ARTIFACT).parts) - 1]
    if digest is not None and digest != packaging.package_digest(package):
        problems.append(f"a file of its package was changed: {_changed_code(package) or 'its description or examples'}")
    for problem in problems:
        yield Finding("registry", "bad", f"{name}: {problem}", REPAIR)
    if not problems:
        yield Finding("registry", "ok", f"{name}: model and package are as they were registered")


def _changed_code(package: Path) -> str:
    """The packaged source files that are not those of this installation, by name."""
    source = Path(packaging.__file__).parents[1]
    return ", ".join(
        path.relative_to(package).as_posix()
        for path in sorted((package / "code" / "strokewise").rglob("*.py"))
        if path.stat().st_size  # an empty __init__.py
        and _bytes_if_file(source / path.relative_to(package / "code" / "strokewise")) != path.read_bytes()
    )


def _bytes_if_file(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _audit_aliases(snapshot: RegistrySnapshot) -> Findings:
    for alias, number in sorted(snapshot.aliases.items()):
        if snapshot.version(number) is None:
            yield Finding("registry", "bad", f"{alias} is version {number}, which does not exist", "strokewise promote")


def _audit_state(connection: Store, snapshot: RegistrySnapshot, state: PipelineState) -> Findings:
    """Whether the results on disk are registered, with the same weights and the same numbers."""
    register = "`strokewise register` logs what is missing"
    version = snapshot.find_fingerprint(state.cnn.fingerprint)
    refused = any(event.fingerprint == state.cnn.fingerprint for event in snapshot.events)
    if version is None and not refused:
        yield Finding("registry", "warn", "data/model is not registered", register)
    elif version is not None and version.weights_digest != state.cnn.weights_digest:
        message = f"{snapshot.status(version)} has data/model's fingerprint, but other weights"
        yield Finding("registry", "bad", message, "`strokewise reproduce` says which of them can be made again")
    experiment = connection.experiment(create=False)
    for model in (state.cnn, state.baseline):
        problem = (
            "there is no store of runs" if experiment is None else _run_problem(connection, experiment, state, model)
        )
        if problem is None:
            yield Finding("registry", "ok", f"the {model.kind}'s run has the numbers of data/report")
        else:
            yield Finding("registry", "bad" if "instead" in problem else "warn", f"{model.kind}: {problem}", register)


def _run_problem(connection: Store, experiment: str, state: PipelineState, model: ModelArtifact) -> str | None:
    tags = {"model": model.kind, "fingerprint": model.fingerprint, "evaluation": state.evaluation}
    complete = [run for run in runs.find_runs(connection, experiment, tags) if "complete" in run.data.tags]
    if not complete:
        return "no run has this evaluation"
    logged = complete[0].data.metrics
    for name, value in runs.flat_metrics(state, model).items():
        if name not in logged or not math.isclose(logged[name], value, rel_tol=1e-12, abs_tol=1e-12):
            return f"its run's {name} is {logged.get(name)} instead of {value}, as data/report has it"
    return None


def read_project_state() -> PipelineState | None:
    """The results on disk, as far as the registry needs them; None if they are incomplete or do not fit together."""
    try:
        return artifacts.read_state({})
    except ModelError:
        return None


def registered_models() -> dict[tuple[str, str], str]:
    """The names of all registered versions, by fingerprint and digest of the weights.

    Raises RegistryError if the store cannot be read.
    """
    if not store.store_exists():
        return {}
    try:
        with store.connect(create=False) as connection:
            snapshot = versions.read_snapshot(connection)
    except StoreUnavailable as error:
        raise RegistryError(f"the versions cannot be read: {error}") from None
    return {(each.fingerprint, each.weights_digest): snapshot.status(each) for each in snapshot.versions}
