"""The npm package: it is complete, installs, passes its own test, has true types, and its README's examples run."""

import gzip
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from strokewise.baseline import selection
from strokewise.baseline.augmented import augmented_copies
from strokewise.baseline.estimator import save_baseline
from strokewise.baseline.selection import Trial
from strokewise.loading import REFERENCE_MODEL
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params
from strokewise.synthesis.plain_svg import plain_svg

RunCli = Callable[..., tuple[int, str, str]]
MAX_CODE_BYTES, MAX_WEIGHT_BYTES = 40_000, 163_840  # compressed, not minified; of the reference model with 8 bits
HOUSE = plain_svg("M10 90 L10 40 L50 8 L90 40 L90 90 Z", {"data-fit": "vertices"})


def export(run_cli: RunCli, *words: str) -> None:
    code, _, errors = run_cli("export", "--npm", *words)
    assert code == 0, errors


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_readme(cwd: Path, name: str) -> str:
    """Run the first example of the README of an installed package."""
    (example, *_) = re.findall(r"```js\n(.*?)```", (cwd / "node_modules" / name / "README.md").read_text(), re.DOTALL)
    (cwd / "example.mjs").write_text(example)
    return run("node", "example.mjs", cwd=cwd)


@pytest.fixture
def user_model(tmp_path: Path, root: Path) -> Path:
    """A model of a user's shapes, untrained."""
    params = Params.load(root / "params.yaml", ["network.image_size=40", "network.base_channels=8"]).network
    torch.manual_seed(1)
    save_model(CNN(("house", "other"), params), tmp_path / "model", {}, {"house": {"front": HOUSE}})
    return tmp_path / "model"


@pytest.mark.slow
def test_package_is_packed_installed_and_run_from_its_readme(run_cli: RunCli, npm: str, tmp_path: Path) -> None:
    export(run_cli, str(tmp_path / "my-shapes"), "--model", str(REFERENCE_MODEL))
    folder = tmp_path / "my-shapes"
    assert len(gzip.compress((folder / "index.js").read_bytes())) <= MAX_CODE_BYTES
    assert (folder / "model.safetensors").stat().st_size <= MAX_WEIGHT_BYTES
    assert "# fail 0" in run(npm, "test", cwd=folder)
    (packed,) = json.loads(run(npm, "pack", "--json", cwd=folder))
    assert {file["path"] for file in packed["files"]} == {path.name for path in folder.iterdir()} - {packed["filename"]}
    (tmp_path / "app").mkdir()
    run(npm, "install", "--offline", "--no-audit", "--no-fund", str(folder / packed["filename"]), cwd=tmp_path / "app")
    shape, path = run_readme(tmp_path / "app", "my-shapes").splitlines()
    assert shape.startswith("triangle ")
    assert path.startswith("M")
    assert "accuracy" in (folder / "README.md").read_text()  # the card of the reference model
    assert "$" not in re.sub(r"```.*?```", "", (folder / "README.md").read_text(), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--float16",)])
def test_package_of_a_users_shapes(
    run_cli: RunCli, npm: str, tmp_path: Path, user_model: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "houses"
    export(run_cli, str(folder), "--model", str(user_model), *words)
    assert "# fail 0" in run(npm, "test", cwd=folder)
    assert json.loads((folder / "vectors.json").read_text())["shapes"] == ["house", "other"]
    assert json.loads((folder / "package.json").read_text())["name"] == "houses"
    assert "a CNN for house, other" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_types_are_those_of_the_code(run_cli: RunCli, tsc: str, tmp_path: Path) -> None:
    export(run_cli, str(tmp_path / "node_modules" / "my-shapes"), "--model", str(REFERENCE_MODEL))
    (tmp_path / "right.ts").write_text("""
      import { load, ModelError, PictureError, Recogniser } from "my-shapes";
      import type { Geometry, Snap } from "my-shapes";
      const recogniser: Recogniser = await load();
      const bytes: Recogniser = new Recogniser(new ArrayBuffer(8));
      await load(new URL("https://example.com/model.safetensors"));
      const { shape, confidence, scores } = recogniser.recognise([[[1, 2], [3, 4]]], { rejectBelow: 0.5 });
      const text: string = shape.toUpperCase() + confidence.toFixed(2) + scores["star"].toFixed(2);
      const events: PointerEvent[] = [];
      recogniser.recognise([events]);
      recogniser.recognise(events);
      recogniser.recognise({ drawing: [[[1, 2], [3, 4]]] }, { strokes: "columns" });
      recogniser.recognise(new ImageData(10, 10));
      const snap: Snap = recogniser.snap([[{ x: 1, y: 2, pressure: 0.3 }]], { maxMisfit: 0.3 });
      if (snap.geometry) {
        const geometry: Geometry = snap.geometry;
        new Path2D(geometry.path);
        const [x, y] = geometry.parameters.centre;
        geometry.parameters.vertices?.map(([a, b]) => a + b + x + y);
      } else console.log(snap.no_geometry);
      try { recogniser.preprocess([]); } catch (error) {
        if (error instanceof PictureError && error.code === "photograph") console.log(error.message);
        if (error instanceof ModelError) throw error;
      }
      const picture: Uint8Array = recogniser.preprocess("[]");
      for (const { layer, values } of recogniser.activations(picture)) console.log(layer.output_size[0], values.length);
    """)
    wrong = {
        "option": 'r.recognise([], { rejectBelow: "much" });',
        "drawing": "r.recognise(3);",
        "null": "r.snap([]).geometry.path;",
        "result": "const n: number = r.recognise([]).shape;",
        "code": 'new PictureError("").code === "other";',
    }
    header = 'import { load, PictureError } from "my-shapes";\nconst r = await load();\n'
    for name, line in wrong.items():
        (tmp_path / f"{name}.ts").write_text(header + line + "\n")
    options = {"strict": True, "noEmit": True, "module": "nodenext", "target": "es2022", "lib": ["es2023", "dom"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": {**options, "types": []}}))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    done = subprocess.run([tsc, "--pretty", "false"], cwd=tmp_path, capture_output=True, text=True)
    assert sorted({line.partition("(")[0] for line in done.stdout.splitlines() if "error" in line}) == sorted(
        f"{name}.ts" for name in wrong
    ), done.stdout


def refusal(run_cli: RunCli, *words: str) -> str:
    code, _, errors = run_cli("export", *words)
    assert code == 2
    assert errors.count("\n") == 1
    return errors


@pytest.mark.parametrize("name", ["My-Shapes", ".shapes", "a b", "node_modules", "x" * 215, "_x", "ümlaut"])
def test_folder_whose_name_is_no_package_name_is_refused(run_cli: RunCli, tmp_path: Path, name: str) -> None:
    assert "small letters" in refusal(run_cli, "--npm", str(tmp_path / name))
    assert not (tmp_path / name).exists()


def test_folder_that_holds_something_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "mine.txt").write_text("mine")
    assert "exists already" in refusal(run_cli, "--npm", str(tmp_path / "shapes"))
    assert [path.name for path in (tmp_path / "shapes").iterdir()] == ["mine.txt"]
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert "exists already" in refusal(run_cli, "--npm", str(tmp_path / "link"))


def test_model_that_is_no_cnn_is_refused_and_leaves_nothing(run_cli: RunCli, tmp_path: Path) -> None:
    assert "no model in" in refusal(run_cli, "--npm", str(tmp_path / "shapes"), "--model", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_baseline_is_refused(tmp_path: Path, run_cli: RunCli) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (24, 16, 16)).astype(np.uint8)
    trial = Trial(next(iter(selection.candidates(10, 0))), 1, 0.9, (0.9, 0.9), None)
    model = selection.refit(trial, pictures, np.arange(24) % 2, augmented_copies(pictures, 1, 0), seed=0)
    config = {
        "shapes": ["cross", "other"],
        "image_size": 16,
        "fingerprint": "f" * 64,
        "choice": trial.model,
        "temperature": None,
    }
    save_baseline(model, pictures, tmp_path / "baseline", config)
    assert "no CNN" in refusal(run_cli, "--npm", str(tmp_path / "shapes"), "--model", str(tmp_path / "baseline"))
    assert not (tmp_path / "shapes").exists()


def test_options_that_do_nothing_are_refused(run_cli: RunCli, tmp_path: Path) -> None:
    assert "--npm DIR" in refusal(run_cli)
    assert "add --npm" in refusal(run_cli, "--onnx", str(tmp_path / "a.onnx"), "--float16")
    assert list(tmp_path.iterdir()) == []


def test_failure_while_writing_leaves_nothing(run_cli: RunCli, tmp_path: Path, monkeypatch: Any) -> None:
    from strokewise.web import npm_package

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(npm_package, "_write_json_file", fail)
    assert "make room" in refusal(run_cli, "--npm", str(tmp_path / "shapes"), "--model", str(REFERENCE_MODEL))
    assert list(tmp_path.iterdir()) == []
