"""A bar on a terminal, plain lines elsewhere."""

import pytest

from strokewise import progress


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(5), 5, "painting", "pictures")) == [0, 1, 2, 3, 4]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "\r" not in shown.err
    assert "\x1b" not in shown.err
    assert shown.err.splitlines()[-1].startswith("painting: 5/5 [")
