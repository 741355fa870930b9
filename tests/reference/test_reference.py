"""The reference model that comes with the package: small, of this checkout's outlines, and as its card says."""

import json
import re
from pathlib import Path

import numpy as np

from strokewise.loading import REFERENCE_MODEL
from strokewise.model.onnx_file import load_onnx
from strokewise.params import Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.reference.__main__ import MAX_BYTES
from strokewise.synthesis import render
from strokewise.synthesis.outlines import load_catalogue, plain_outlines


def test_it_is_small_and_knows_the_shapes_and_outlines_of_this_checkout(root: Path) -> None:
    model = load_onnx(REFERENCE_MODEL)  # raises for another version of the preprocessing
    assert len(model.content) <= MAX_BYTES
    assert model.shapes == load_catalogue(root / "data/outlines").shapes
    outlines = plain_outlines(load_catalogue(root / "data/outlines"))
    assert json.loads(model.metadata["outlines"]) == outlines, "run `python -m strokewise.reference pack`"


def test_card_is_about_this_model() -> None:
    model, card = load_onnx(REFERENCE_MODEL), REFERENCE_MODEL.with_name("README.md").read_text(encoding="utf-8")
    assert f"weights      {model.metadata['weights']}" in card
    assert re.findall(r"^\| (\w+) \| \d", card, re.MULTILINE) == list(model.shapes)


def test_it_recognises_paintings_as_its_card_says(root: Path) -> None:
    model, card = load_onnx(REFERENCE_MODEL), REFERENCE_MODEL.with_name("README.md").read_text(encoding="utf-8")
    claimed = float(re.search(r"accuracy ([\d.]+) %", card)[1]) / 100  # type: ignore[index]
    catalogue, generate = load_catalogue(root / "data/outlines"), Params.load(root / "params.yaml").generate
    paintings = [render.render_painting(catalogue, generate, "preview", index) for index in range(400)]
    pictures = np.stack([preprocess(painting.scene, model.image_size) for painting in paintings])
    correct = model.predict_proba(pictures).argmax(axis=1) == [painting.label for painting in paintings]
    deviation = (claimed * (1 - claimed) / len(paintings)) ** 0.5
    assert abs(correct.mean() - claimed) < 5 * deviation
