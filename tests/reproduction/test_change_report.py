"""`strokewise report --against`: what changed, on a toy pipeline that ran with two settings."""

import re
from typing import Any

import pytest

from strokewise.reproduction.change_report import ReportSection, format_report
from strokewise.reproduction.lock_file import parse_lock


def test_text_and_markdown_hold_the_same_and_escape_markup() -> None:
    sections = [
        ReportSection("Numbers", ("It is better.",), (("figure", "here"), ("a_b|c", "<1"))),
        ReportSection("Pictures", pictures={"a.png": "a picture"}),
    ]
    text = "Numbers\n\nIt is better.\nfigure  here\na_b|c   <1\n\nPictures\n\na.png  a picture\n"
    assert format_report(sections, markdown=False) == text
    markdown = format_report(sections, markdown=True)
    assert markdown.startswith("## Numbers\n\nIt is better.\n\n| figure | here |\n| --- | --- |\n")
    assert "| a\\_b\\|c | &lt;1 |" in markdown
    assert "![a picture](a.png)" in markdown


@pytest.mark.slow
def test_changed_settings_are_reported_against_the_cache_and_against_a_run(
    project_and_digests: Any, tmp_path: Any
) -> None:
    project = project_and_digests[0].copy(tmp_path / "project", register=False)
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 16 ", "epochs: 2 "))
    outline = project.folder / "data/outlines/star"
    (outline / "second.svg").write_text(next(outline.glob("*.svg")).read_text())
    project.run("dvc", "repro", "evaluate")
    code, markdown, stderr = project.run_cli("report", "--against", "HEAD", "--markdown")
    assert code == 0, stderr
    assert "the CNN is worse: -" in markdown
    assert re.search(r"^The gate, with that CNN as champion: \w+\.$", markdown, re.MULTILINE)
    assert "| train.epochs | 16 | 2 |" in markdown
    assert "generate ran with other files: data/outlines." in markdown
    assert re.search(
        r"\| cnn.accuracy \| 0\.\d{4} \(0\.\d{4} to 0\.\d{4}\) \| 0\.\d{4} \(.*\) \| -0\.\d{4} \|", markdown
    )
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", markdown)
    assert "data/report/robustness.png" in pictures
    assert [path for path in pictures if path.startswith(".strokewise/report/contact-sheet-")]
    assert all((project.folder / path).is_file() for path in pictures)

    model = parse_lock(project.run("git", "show", "HEAD:dvc.lock"))["train"].outs["data/model/model.onnx"]
    (project.folder / ".dvc/cache/files/md5" / model[:2] / model[2:]).unlink()  # the rest is in the run cache
    code, _, stderr = project.run_cli("report", "--against", "HEAD")
    assert (code, "is not in the DVC cache" in stderr) == (2, True)
    code, again, stderr = project.run_cli("report", "--against", "HEAD", "--markdown", "--run")
    assert code == 0, stderr
    assert again == markdown
