"""The extra `pipeline`: its table is that of pyproject.toml, and a missing package is one line."""

import re
import tomllib
from pathlib import Path

import pytest

from strokewise.support import extras


def test_table_holds_the_packages_of_the_extra(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w.-]+", line) for line in project["optional-dependencies"]["pipeline"]]
    assert sorted(extras.PIPELINE_PACKAGES.values()) == sorted(name[0] for name in names if name)


@pytest.mark.parametrize(("module", "package"), [("torch", "torch"), ("ruamel.yaml", "ruamel.yaml"), ("PIL", "pillow")])
def test_missing_package_is_named_with_the_extra(module: str, package: str) -> None:
    error = extras.missing_extra(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert str(error) == f"this command needs {package}, which is not installed: pip install 'strokewise[pipeline]'"


@pytest.mark.parametrize("module", ["numpy", "strokewise.nothing", None])
def test_other_missing_module_is_no_mistake_of_the_user(module: str | None) -> None:
    assert extras.missing_extra(ModuleNotFoundError("No module", name=module)) is None
