"""Progress without a terminal: plain lines on stderr, with the rate of this run only."""

import time

import pytest

from strokewise.support import progress


def test_track_without_a_terminal_prints_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(5), 5, "painting", "pictures")) == [0, 1, 2, 3, 4]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "\r" not in printed.err
    assert "\x1b" not in printed.err
    assert printed.err.splitlines()[-1].startswith("painting: 5/5 [")


def test_rate_leaves_out_what_an_earlier_run_did(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar(1000, "train", "paintings", done=900) as bar:
        time.sleep(0.2)
        bar.update(100)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("train: 900/1000 [")
    assert last.startswith("train: 1000/1000 [")
    assert float(last.split(", ")[1].split()[0].removesuffix("paintings/s")) < 600  # 1,000 in that time would be 5,000
