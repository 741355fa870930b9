"""`model.onnx`: loaded from a folder or alone; damaged, foreign and other versions are refused; no torch is needed."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from strokewise.errors import ModelError
from strokewise.model import onnx_file
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.model.onnx_file import load_onnx
from strokewise.model.onnx_writer import onnx_bytes
from strokewise.params import Params

SHAPES = ("circle", "other")


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    params = Params.load(root / "params.yaml", ["network.image_size=16", "network.base_channels=4"])
    save_model(CNN(SHAPES, params.network).eval(), path, {"fingerprint": "f" * 64}, {"circle": {"round": "<svg/>"}})
    return path


def test_file_alone_is_as_good_as_its_folder(folder: Path) -> None:
    one, other = load_onnx(folder), load_onnx(folder / "model.onnx")
    assert (one.shapes, one.image_size, one.metadata) == (other.shapes, other.image_size, other.metadata)
    assert (one.shapes, one.image_size, one.metadata["outlines"]) == (SHAPES, 16, '{"circle": {"round": "<svg/>"}}')


def test_probabilities_do_not_depend_on_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_onnx(folder)
    pictures = np.random.default_rng(0).integers(0, 256, (70, 16, 16), dtype=np.uint8)
    expected = model.predict_proba(pictures)
    assert (expected.shape, expected.dtype) == ((70, 2), np.float32)
    assert expected.sum(axis=1) == pytest.approx(np.ones(70), abs=1e-5)
    monkeypatch.setattr(onnx_file, "BATCH", 7)
    assert model.predict_proba(pictures) == pytest.approx(expected, abs=1e-6)
    assert model.predict_proba(pictures[:0]).shape == (0, 2)


@pytest.mark.parametrize("shape", [(16, 16), (2, 16, 15), (2, 32, 32)])
def test_pictures_of_another_size_raise_model_error(folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"do not fit a model of image_size 16; give \(N, 16, 16\)"):
        load_onnx(folder).predict_proba(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("at", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_any_flipped_bit_is_found(folder: Path, tmp_path: Path, at: float) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[int(at * len(content))] ^= 4
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged|is no model that this version of strokewise wrote"):
        load_onnx(tmp_path)


def test_other_files_and_other_versions_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model in .*: model.onnx is missing; run `strokewise train`"):
        load_onnx(tmp_path)
    with pytest.raises(ModelError, match=r"no model in .*: nowhere.onnx is missing; run `strokewise baseline`"):
        load_onnx(tmp_path / "nowhere.onnx", stage="baseline")
    for content in (b"", b"PNG", (folder / "model.safetensors").read_bytes()):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(ModelError, match="no model that this version of strokewise wrote"):
            load_onnx(tmp_path)
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-9])
    with pytest.raises(ModelError, match="is damaged: its content does not match its digest"):
        load_onnx(tmp_path)


def test_model_of_another_preprocessing_is_refused(folder: Path, tmp_path: Path) -> None:
    model = load_onnx(folder)
    metadata = {**model.metadata, "preprocessing_version": "0"}
    content = onnx_bytes(onnx.load_from_string(model.content), model.shapes, model.image_size, metadata)
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="trained with version 0 of the preprocessing, this is version"):
        load_onnx(tmp_path)


@pytest.mark.slow
def test_prediction_imports_nothing_of_the_pipeline(folder: Path) -> None:
    heavy = {
        "torch",
        "mlflow",
        "dvc",
        "onnx",
        "sklearn",
        "scipy",
        "pandas",
        "pyarrow",
        "pydantic",
        "safetensors",
        "PIL",
    }
    code = (
        "import sys, numpy as np, strokewise\n"
        f"model = strokewise.Recogniser({str(folder)!r})\n"
        "model.predict([[(0, 0), (9, 9), (0, 9)]])\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("text", [b"preprocessing_version", b"fingerprint", b"\x0a\x0dprobabilities\x12"])
def test_text_that_is_none_raises_model_error(
    text: bytes, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (folder / "model.onnx").read_bytes()
    assert text in content
    content = content.replace(text, text[:5] + b"\xff\xfe" + text[7:])
    before, field, rest = content.rpartition(onnx_file.DIGEST_FIELD)
    blank = before + field + onnx_file.NO_DIGEST + rest[64:]
    digest = hashlib.sha256(blank).hexdigest().encode()
    (tmp_path / "model.onnx").write_bytes(before + field + digest + rest[64:])
    with pytest.raises(ModelError, match="cannot be run: 'utf-8' codec can't decode"):
        load_onnx(tmp_path)
    assert capfd.readouterr() == ("", ""), "ONNX Runtime printed something"
