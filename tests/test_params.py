"""params.yaml: what is not allowed is reported at once, in one line, with what is allowed."""

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from strokewise.errors import ParamsError
from strokewise.params import Params, parse_yaml
from strokewise.support.validation_errors import format_value


def load(root: Path, *overrides: str) -> Params:
    return Params.load(root / "params.yaml", overrides)


def test_params_yaml_is_valid_and_frozen(root: Path) -> None:
    params = load(root)
    assert params.generate.train == 600
    with pytest.raises(ValidationError, match="frozen"):
        params.train.epochs = 3  # type: ignore[misc]


def test_overrides_replace_single_values(root: Path) -> None:
    params = load(root, "train.epochs=7", "train.learning_rate=3e-3", "network.line_filters=fixed")
    assert (params.train.epochs, params.train.learning_rate, params.network.line_filters) == (7, 0.003, "fixed")
    assert params.train.batch_size == load(root).train.batch_size


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", r"train\.epoch is unknown; did you mean epochs\?"),
        ("trian.epochs=3", r"trian is unknown; did you mean train\?"),
        ("house.roof=1", r"house is unknown; allowed: generate, network, train, baseline"),
        ("train.epochs=0", r"train\.epochs is 0; it must be a whole number ≥ 1"),
        ("train.epochs=many", r"train\.epochs is 'many'; it must be a whole number ≥ 1"),
        ("train.epochs=2.5", r"train\.epochs is 2\.5; it must be a whole number"),
        ("train.epochs=true", r"train\.epochs is True; it must be a whole number"),
        ("train.epochs=", r"train\.epochs is nothing; it must be a whole number"),
        ("generate.imprecision=3", r"generate\.imprecision is 3; it must be a number ≥ 0 and ≤ 2"),
        ("generate.imprecision=.nan", r"generate\.imprecision is nan; it must be a number"),
        ("network.line_filters=seed", r"'seed'; it must be one of fixed, seeded, learned; did you mean seeded\?"),
        ("register.alpa=1", r"register\.alpa is unknown; did you mean alpha\?"),
        ("generate.hand.tremor=5", r"hand\.tremor is 5; it must be a number or null ≥ 0 and ≤ 4"),
        ("generate.hand.tremr=1", r"hand\.tremr is unknown; did you mean tremor\?"),
        ("train", r"is not section\.key=value; write, say, --set train\.epochs=40"),
        ("train=3", r"is not section\.key=value"),
        ("train.epochs.more=3", r"train\.epochs is \d+, not a section"),
        ("train.epochs=[3", r"the value cannot be read"),
    ],
)
def test_invalid_override_raises_params_error_with_what_is_allowed(root: Path, override: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message) as caught:
        load(root, override)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing; it must hold the sections generate, network"),
        ("- 1", r"holds \[1\]; it must hold the sections"),
        ("generate: [", "cannot be read: .*; fix it"),
        ("generate: 3", r"generate is 3; it must be a section with seed, train"),
        ("\x00", "cannot be read"),
    ],
)
def test_invalid_file_raises_params_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=message):
        Params.load(path)


def test_missing_section_or_key_is_named(root: Path, tmp_path: Path) -> None:
    text = (root / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("  epochs:", "  # epochs:"))
    with pytest.raises(ParamsError, match=r"train\.epochs is missing; add it \(Passes over"):
        Params.load(path)
    path.write_text(text.replace("\ntrain:", "\ntrained:"))
    with pytest.raises(ParamsError, match=r"train is missing; add it .*\(and 1 more like it\)"):
        Params.load(path)


def test_missing_file_error_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"no .*params\.yaml here; run strokewise in the root"):
        Params.load(tmp_path / "params.yaml")


def test_invalid_override_exits_2_at_once_with_one_line_and_writes_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    words = [sys.executable, "-m", "strokewise", "train", "--set", "train.epoch=3"]
    start = time.perf_counter()
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    took = time.perf_counter() - start
    assert done.returncode == 2
    assert done.stderr == "strokewise: params.yaml: train.epoch is unknown; did you mean epochs?\n"
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
    assert took < 10, "a second on a quiet machine; ten would mean that something heavy was imported first"


ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        ALIASES,
        "generate: &g [*g]",
        "[" * 5000,
        "{a: " * 5000,
        "train: {epochs: " + "9" * 10_000 + "}",
        "train: {epochs: 0x" + "f" * 9_000 + "}",
        "k" * 90_000 + ": 1",
        "x" * 200_000,
        "a: \x00",
        "!!python/object/apply:os.system [ls]",
        "a: 1\na: 2",
    ],
    ids=lambda text: text[:12],
)
def test_strange_yaml_is_refused_in_one_bounded_line_at_once(text: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(ParamsError) as caught:
        Params.load(path)
    assert time.process_time() - start < 10  # what is not bounded takes minutes or memory
    assert len(str(caught.value)) < 400 + len(str(path))
    assert "\n" not in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    "value", ["[" * 3000, "9" * 9_999, "&a [*a, *a]", "0x" + "f" * 9_000, "{" * 3000, "'" + "x" * 50_000 + "'"]
)
def test_strange_override_is_refused_in_one_bounded_line(value: str, root: Path) -> None:
    with pytest.raises(ParamsError) as caught:
        Params.load(root / "params.yaml", [f"train.epochs={value}"])
    assert len(str(caught.value)) < 400 + len(str(root))


@pytest.mark.parametrize("override", ["\udcff.ice=cuda", "\udcff\udcff.a.b=1", "train.\udcff=1", "train.device=\udcff"])
def test_override_that_is_no_text_is_refused(override: str, root: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml|--set") as caught:
        Params.load(root / "params.yaml", [override])
    assert len(str(caught.value)) < 400 + len(str(root))


@pytest.mark.parametrize("kind", ["pipe", "device", "large", "link"])
def test_file_that_is_none_or_too_large_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "large":
            path.touch()
            os.truncate(path, 2**42)
        case "link":
            path.symlink_to("params.yaml")
    with pytest.raises(ParamsError, match=r"it is no file|it has more than 400,000 bytes|symbolic links"):
        Params.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# " + "x" * 150_000, "it has 150,002 characters, 100,000 are allowed"),
        ("a: " + "[" * 101 + "{" * 100, "it has more than 200 brackets"),
        ("- " * 3000 + "1", "it is nested too deeply"),
    ],
    ids=["long", "brackets", "deep"],
)
def test_limits_of_yaml_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_yaml(text)


def test_value_of_aliases_that_double_is_printed_at_once(tmp_path: Path) -> None:
    levels = "\n".join(f"  - &{after} [{', '.join([f'*{before}'] * 9)}]" for before, after in pairwise("abcdefghi"))
    (tmp_path / "params.yaml").write_text(f"generate:\n  - &a [x]\n{levels}\n")
    start = time.process_time()
    with pytest.raises(ParamsError, match=r"generate is \[\['x'\], \[\['x'\], .*; it must be a section"):
        Params.load(tmp_path / "params.yaml")
    assert time.process_time() - start < 3  # all 43 million of them take longer
    assert format_value(10**10_000) == "a number of thousands of digits"
    assert format_value("x" * 10_000) == "'" + "x" * 26 + "..." + "x" * 27 + "'"


def test_key_of_any_length_is_cut(root: Path) -> None:
    with pytest.raises(ParamsError, match=r"params.yaml: train\.k{71}\.\.\. is unknown"):
        Params.load(root / "params.yaml", ["train." + "k" * 90_000 + "=1"])
