"""The root of the checkout."""

from pathlib import Path

import pytest

from strokewise.support.paths import project_root


def test_project_root_is_the_checkout_that_dvc_was_called_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert project_root() == tmp_path
    monkeypatch.setenv("DVC_ROOT", "/somewhere/else")
    assert project_root() == Path("/somewhere/else")
