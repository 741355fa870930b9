"""The workflow that comments on pull requests: what it posts, with git's own server and a `gh` that only notes it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_report_is_posted_with_pictures_that_are_in_the_repository(root: Path, tmp_path: Path) -> None:
    steps = YAML(typ="safe").load(root / ".github/workflows/report.yml")["jobs"]["report"]["steps"]
    (post,) = [step for step in steps if "gh pr comment" in step.get("run", "")]
    assert "head.repo.full_name == github.repository" in post["if"], "a fork's token may not write"

    server, checkout, bin_folder = tmp_path / "server.git", tmp_path / "checkout", tmp_path / "bin"
    git(tmp_path, "init", "--quiet", "--bare", str(server))
    git(tmp_path, "clone", "--quiet", str(server), str(checkout))
    (checkout / ".gitignore").write_text("/data\n/.strokewise\n")
    pictures = {"data/report/robustness.png": b"1", ".strokewise/report/contact-sheet-1.png": b"2"}
    for path, content in pictures.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_bytes(content)
    lines = [f"![a | picture (of {path})]({path})" for path in pictures]
    (checkout / "report.md").write_text("## Against main\n\n| a | b |\n" + "\n\n".join(lines) + "\n")
    bin_folder.mkdir()
    (bin_folder / "gh").write_text('#!/bin/sh\necho "$@" > arguments\n')
    (bin_folder / "gh").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_SERVER_URL": "https://forge.example",
        "GITHUB_REPOSITORY": "someone/shapes",
        "NUMBER": "7",
    }
    subprocess.run(["bash", "-e", "-c", post["run"]], cwd=checkout, env=environment, check=True, capture_output=True)

    text = (checkout / "report.md").read_text()
    (commit,) = set(re.findall(r"\]\(https://forge\.example/someone/shapes/raw/([0-9a-f]{40})/", text))
    assert all(f"/raw/{commit}/{path})\n" in text for path in pictures)
    assert git(server, "rev-parse", "refs/reports/7") == commit
    assert git(server, "ls-tree", "-r", "--name-only", commit).splitlines() == sorted(pictures)
    assert git(checkout, "status", "--porcelain", "--untracked-files=no") == ""
    arguments = (checkout / "arguments").read_text()
    assert arguments == "pr comment 7 --body-file report.md --edit-last --create-if-none\n"
