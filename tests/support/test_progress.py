"""A bar on a terminal, plain lines elsewhere."""

import time

import pytest

from strokewise.support import progress


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(5), 5, "painting", "pictures")) == [0, 1, 2, 3, 4]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "\r" not in shown.err
    assert "\x1b" not in shown.err
    assert shown.err.splitlines()[-1].startswith("painting: 5/5 [")


def test_what_was_done_before_is_no_work_of_now(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar(1000, "train", "paintings", done=900) as shown:
        time.sleep(0.2)
        shown.update(100)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("train: 900/1000 [")
    assert last.startswith("train: 1000/1000 [")
    assert float(last.split(", ")[1].split()[0].removesuffix("paintings/s")) < 600  # 1,000 in that time would be 5,000
