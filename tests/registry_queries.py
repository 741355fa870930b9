"""What a store holds, read for tests."""

from pathlib import Path
from typing import Any

from strokewise.registry import store, versions
from strokewise.registry.versions import RegistrySnapshot


def read_snapshot() -> RegistrySnapshot:
    """Versions, aliases and events."""
    with store.connect(create=False) as connection:
        return versions.read_snapshot(connection)


def search_runs(**tags: str) -> list[Any]:
    """The runs with these tags."""
    with store.connect(create=False) as connection:
        condition = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        return list(connection.client.search_runs([connection.experiment() or ""], condition))


def search_logged_models(condition: str = "") -> list[Any]:
    """The logged models that fulfil a condition of MLflow's search."""
    with store.connect(create=False) as connection:
        return list(connection.client.search_logged_models([connection.experiment() or ""], condition))


def artifact_paths(run: Any) -> set[str]:
    """The files that were logged with a run."""
    root = Path(run.info.artifact_uri)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def event_actions(snapshot: RegistrySnapshot) -> list[tuple[str, int | None]]:
    """(action, version) of every event, the oldest first."""
    return [(event.action, event.version) for event in snapshot.events]
