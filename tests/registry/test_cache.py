"""Cached answers: MLflow is imported only if there is a store and it has changed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from strokewise.errors import RegistryError
from strokewise.registry import promotion, versions

CHAMPION = (
    "import sys; from strokewise.registry import versions; print(versions.champion_dir(), 'mlflow' in sys.modules)"
)


def read_champion(folder: Path) -> tuple[str, str]:
    """The champion's folder in a new process, and whether that imported MLflow."""
    done = subprocess.run([sys.executable, "-c", CHAMPION], cwd=folder, capture_output=True, text=True, check=True)
    champion, imported = done.stdout.split()
    return champion, imported


def test_without_a_store_mlflow_is_not_imported(tmp_path: Path) -> None:
    assert read_champion(tmp_path) == ("None", "False")


@pytest.mark.slow
def test_mlflow_is_imported_only_if_the_store_has_changed(champion_and_challenger: None) -> None:
    (first, imported), (again, imported_again) = read_champion(Path.cwd()), read_champion(Path.cwd())
    assert (imported, imported_again, again) == ("True", "False", first)
    promotion.promote_version(2, "a person knows better")
    second, imported = read_champion(Path.cwd())
    assert (imported, read_champion(Path.cwd())) == ("True", (second, "False"))
    assert second != first
    shutil.rmtree(second)
    with pytest.raises(RegistryError, match="are gone"):
        versions.champion_dir()
