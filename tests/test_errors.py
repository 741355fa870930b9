"""Texts of errors and names: one line, without characters that control a terminal."""

import pytest

from strokewise.errors import one_line, printable


@pytest.mark.parametrize(
    "character", ["\x1b", "\n", "\r", "\x00", "\x9b", "\x7f", "\u202e", "\u2066", "\u2028", "\u200b"]
)
def test_control_character_is_escaped(character: str) -> None:
    text = printable(f"a{character}b")
    assert text.isprintable()
    assert text == f"a{character.encode('unicode_escape').decode()}b"


@pytest.mark.parametrize("text", ["é ✓ 形 🙂", "a  b", r"a\x1b", "שלום"])
def test_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_one_line_is_short_and_printable() -> None:
    assert one_line("a\n  b\x1b") == r"a b\x1b"
    assert len(one_line("\x1b" * 1000, 60)) == 60
