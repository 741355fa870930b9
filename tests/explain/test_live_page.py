"""The page to draw on: its text holds all that it needs, and in a browser it computes what PyTorch does."""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from browser_page import BrowserPage
from strokewise.errors import ModelError
from strokewise.explain.activations import layer_activations
from strokewise.explain.live_page import LivePage, live_page, read_snapshots
from strokewise.loading import REFERENCE_MODEL
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import save_model
from strokewise.model.onnx_file import OnnxModel, load_onnx
from strokewise.model.tta import NO_TTA
from strokewise.params import NetworkParams
from strokewise.training.snapshots import Snapshots, keep_snapshot, snapshots_bytes
from strokewise.web.onnx_network import FloatArrays, read_network

slow = pytest.mark.slow
TOLERANCE = 1e-4
MAX_PAGE_BYTES = 1_500_000
SHARES = (0.0, 0.02, 0.1, 0.3)
IS_SMALL = "(e) => e.textContent.trim() && e.checkVisibility() && parseFloat(getComputedStyle(e).fontSize) < 11"
TRIANGLE = [(0.5, 0.15), (0.85, 0.8), (0.15, 0.8), (0.5, 0.15)]  # shares of the sheet


def perturbed(weights: FloatArrays, strength: float, seed: int) -> FloatArrays:
    """Weights of the same sizes, each moved by a share of its layer's spread."""
    rng = np.random.default_rng(seed)
    moved = {
        name: value + strength * value.std() * rng.standard_normal(value.shape).astype(np.float32)
        for name, value in weights.items()
    }
    return {name: np.abs(value) if name.endswith("running_var") else value for name, value in moved.items()}


def build_torch(model: OnnxModel, weights: FloatArrays) -> CNN:
    """The network in PyTorch with these weights as float16."""
    params, _ = read_network(model.content, len(model.shapes))
    cnn = CNN(model.shapes, params)
    state = cnn.state_dict()
    for name, value in weights.items():
        state[name] = torch.from_numpy(value.astype(np.float16).astype(np.float32)).reshape(state[name].shape)
    cnn.load_state_dict(state)
    return cnn.eval()


@dataclass(frozen=True)
class Example:
    """A page of the reference model, with snapshots that are none of a training, and the same networks in PyTorch."""

    page: LivePage
    file: Path
    cnns: dict[float, CNN]


@pytest.fixture(scope="module")
def reference() -> OnnxModel:
    """The model of the package."""
    return load_onnx(REFERENCE_MODEL)


@pytest.fixture(scope="module")
def example(reference: OnnxModel, tmp_path_factory: pytest.TempPathFactory) -> Example:
    _, weights = read_network(reference.content, len(reference.shapes))
    snapshots = {share: perturbed(weights, 1.0 - share, 1) for share in SHARES[:1]}
    snapshots |= {SHARES[1]: perturbed(snapshots[SHARES[0]], 0.003, 2)}
    snapshots |= {share: perturbed(weights, 1.0 - share, 3) for share in SHARES[2:]}
    made = live_page(reference, "the reference model", snapshots, "index.html")
    file = tmp_path_factory.mktemp("live") / "live.html"
    file.write_text(made.html, encoding="utf-8")
    cnns = {share: build_torch(reference, values) for share, values in {**snapshots, 1.0: weights}.items()}
    return Example(made, file, cnns)


@pytest.fixture
def opened(example: Example, browser_page: BrowserPage) -> BrowserPage:
    """The page, in a wide window, with all its snapshots."""
    open_page(browser_page, example.file)
    return browser_page


def open_page(browser: BrowserPage, file: Path, width: int = 1280, dark: bool = False) -> None:
    browser.problems.clear()
    browser.requests.clear()
    browser.open(file.as_uri(), width, 900, dark)
    browser.wait_for("document.documentElement.dataset.ready")


def on_sheet(browser: BrowserPage, shares: Sequence[tuple[float, float]], steps: int = 8) -> list[tuple[float, float]]:
    """Points of the window along a line on the sheet."""
    left, top, width, height = browser.box("#pad")
    corners = [(left + x * width, top + y * height) for x, y in shares]
    points = [corners[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        points += [(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps) for step in range(1, steps + 1)]
    return points


def wait_until_thought(browser: BrowserPage) -> None:
    browser.wait_for("strokewise.version === strokewise.thoughtVersion")


def shown_picture(browser: BrowserPage) -> NDArray[np.uint8]:
    """The picture that the network in the page sees."""
    values = browser.evaluate("[...strokewise.thought.picture].map((value) => Math.round(value * 255))")
    side = int(len(values) ** 0.5)
    return np.array(values, np.uint8).reshape(side, side)


def shown_scores(browser: BrowserPage, column: str) -> list[float]:
    cells = f"[...document.querySelectorAll('#scores data.{column}')]"
    values: list[float] = browser.evaluate(f"{cells}.map((cell) => Number(cell.value))")
    return values


# --- the text


def test_page_is_one_file_that_fetches_nothing(example: Example, parse_page: Callable[[str], Any]) -> None:
    text = example.page.html
    parsed = parse_page(re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    assert not parsed.open
    for address in parsed.addresses:
        assert address.startswith(("data:", "#")) or address == "index.html"
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "default-src 'none'" in example.page.policy
    assert "unsafe" not in example.page.policy
    assert "style=" not in text.split("<script")[0]


def test_page_with_all_snapshots_is_small(example: Example) -> None:
    assert len(example.page.html.encode()) <= MAX_PAGE_BYTES * 1.05  # these snapshots are more random than a training's


def test_words_link_to_where_they_happen_and_back(example: Example) -> None:
    text = example.page.html.split("<script")[0]
    main, glossary = text.split('<section id="glossary">')
    words = set(re.findall(r'id="word-([\w-]+)"', glossary))
    assert set(re.findall(r'href="#word-([\w-]+)"', main)) <= words
    assert {"convolving", "pooling", "flatten", "fully-connected", "kernel", "stride"} <= set(
        re.findall(r'href="#word-([\w-]+)"', main)
    )
    places = re.findall(r'href="#([\w-]+)">See it happen', glossary)
    assert len(places) == len(words)
    for place in places:
        assert f'id="{place}"' in main


def test_page_without_snapshots_has_no_slider_and_other_names_are_escaped(reference: OnnxModel) -> None:
    text = live_page(reference, "<script>alert(1)</script>").html
    assert 'id="training"' not in text
    assert "correction" not in text.split("<script>")[0]
    assert "&lt;script&gt;alert(1)" in text
    assert 'id="correction"' in live_page(reference, "it", collects=True).html


def test_same_model_makes_the_same_page(reference: OnnxModel) -> None:
    assert live_page(reference, "it") == live_page(reference, "it")


def test_baseline_has_no_page(tmp_path: Path, reference: OnnxModel) -> None:
    broken = OnnxModel(reference.shapes[:3], reference.image_size, reference.metadata, reference.content, None)
    with pytest.raises(ModelError, match="no CNN"):
        live_page(broken, "it")


def test_snapshots_of_a_training_are_read_with_their_frozen_filters(
    network_params: NetworkParams, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    cnn = CNN(("cross", "other"), network_params.model_copy(update={"line_filters": "fixed"}))
    kept: Snapshots = {}
    keep_snapshot(kept, cnn, 0, 50)
    (tmp_path / "snapshots.safetensors").write_bytes(snapshots_bytes(kept))
    (weights,) = read_snapshots(tmp_path / "snapshots.safetensors").values()
    filters = cnn.line_filters.filters.detach().half().float().numpy()
    assert np.array_equal(weights["lines.convolution.weight"], filters)
    assert weights["lines.convolution.bias"].shape == (len(filters),)
    assert not weights["lines.convolution.bias"][:4].any()
    assert read_snapshots(tmp_path / "none.safetensors") == {}
    (tmp_path / "snapshots.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"is damaged.*strokewise train"):
        read_snapshots(tmp_path / "snapshots.safetensors")


# --- in a browser


@slow
def test_every_number_of_any_architecture_is_that_of_pytorch(
    cnn: CNN, tmp_path: Path, browser_page: BrowserPage
) -> None:
    save_model(cnn, tmp_path / "model", {})
    model = load_onnx(tmp_path / "model")
    (tmp_path / "live.html").write_text(live_page(model, "an untrained network").html, encoding="utf-8")
    open_page(browser_page, tmp_path / "live.html")
    half = build_torch(model, read_network(model.content, len(model.shapes))[1])
    picture = shown_picture(browser_page)
    assert picture.max() == 255
    expected = layer_activations(half, picture)
    shown = browser_page.evaluate("strokewise.thought.outputs.map(({ values }) => [...values])")
    rng = np.random.default_rng(0)
    for at, (values, layer) in enumerate(zip(shown, expected, strict=True)):
        assert np.array(values) == pytest.approx(layer.maps.ravel(), abs=TOLERANCE), layer.title
        for _ in range(3):
            channel, row, column = (int(rng.integers(side)) for side in layer.maps.shape)
            place = json.dumps({"at": at, "channel": channel, "row": row, "column": column})
            steps = browser_page.evaluate(f"strokewise.explain({place})")
            assert steps[-1]["value"] == pytest.approx(layer.maps[channel, row, column], abs=TOLERANCE), layer.title
            assert steps[0]["kind"] in ("convolution", "fully connected", "flatten")
    upright, prediction = (
        predict_proba(half, picture[np.newaxis], angles=angles)[0] for angles in (NO_TTA, (-8.5, 8.5))
    )
    assert shown_scores(browser_page, "upright") == pytest.approx(upright, abs=TOLERANCE)
    assert shown_scores(browser_page, "prediction") == pytest.approx(prediction, abs=TOLERANCE)
    assert browser_page.problems == []


@slow
def test_mouse_draws_and_the_page_thinks_meanwhile(example: Example, opened: BrowserPage) -> None:
    opened.click("#clear")
    wait_until_thought(opened)
    assert opened.evaluate("document.querySelector('#answer').textContent") == "draw something"
    before = opened.evaluate("strokewise.thoughts")
    stroke = on_sheet(opened, TRIANGLE)
    opened.mouse("mousePressed", stroke[0], 1)
    for point in stroke[1:]:
        opened.mouse("mouseMoved", point, 1)
    opened.wait_for(f"strokewise.thoughts > {before}")
    assert opened.evaluate("document.querySelector('#outline-note').dataset.path") in ("", None), "not before release"
    opened.mouse("mouseReleased", stroke[-1])
    opened.wait_for("document.querySelector('#outline-note').dataset.path")
    assert opened.evaluate("strokewise.thoughts") - before <= len(stroke) + 2, "thinking is skipped, not queued"
    assert opened.evaluate("document.querySelector('#answer').textContent").startswith("triangle, ")
    assert "triangle" in opened.evaluate("document.querySelector('#status').textContent")
    picture = shown_picture(opened)[np.newaxis]
    assert shown_scores(opened, "prediction") == pytest.approx(
        predict_proba(example.cnns[1.0], picture)[0], abs=TOLERANCE
    )
    opened.click("#undo")
    wait_until_thought(opened)
    assert opened.evaluate("strokewise.thought") is None


@slow
def test_sum_behind_a_value_under_the_mouse_is_that_of_numpy(example: Example, opened: BrowserPage) -> None:
    layers = example.cnns[1.0].layers
    at = next(number for number, layer in enumerate(layers) if layer.block == "shapes" and layer.kind == "convolution")
    selector = f"canvas.maps[data-layer='{at}']"
    left, top, width, height = opened.box(selector)
    opened.mouse("mouseMoved", (left + width * 0.31, top + height * 0.2))
    opened.wait_for("!document.querySelector('#sum').hidden")
    data = opened.evaluate("({...document.querySelector('#sum').dataset})")
    channel, row, column = (int(data[name]) for name in ("channel", "row", "column"))
    assert int(data["at"]) == at
    activations = layer_activations(example.cnns[1.0], shown_picture(opened))
    weight = example.cnns[1.0].get_parameter(f"{layers[at].name}.weight").detach().numpy()[channel]
    padded = np.pad(activations[at - 1].maps, ((0, 0), (1, 1), (1, 1)))
    products = (padded[:, row : row + 3, column : column + 3] * weight).sum(axis=(1, 2))
    assert float(data["value"]) == pytest.approx(products.sum(), abs=TOLERANCE)
    assert float(data["value"]) == pytest.approx(activations[at].maps[channel, row, column], abs=TOLERANCE)
    listed = opened.evaluate("[...document.querySelectorAll('#sum .products li')].map((item) => item.textContent)")
    assert len(listed) == len(products)
    for text, product in zip(listed, products, strict=True):
        *terms, total = re.split(r" = ", text.replace("−", "-").partition(": ")[2])
        assert float(total) == pytest.approx(product, abs=2e-4)
        factors = [[float(factor.strip("()")) for factor in term.split("·")] for term in terms[0].split(" + ")]
        assert sum(a * b for a, b in factors) == pytest.approx(product, abs=0.01)
    box = layers[at].receptive_field.box(row, column, 64)
    field = opened.evaluate("document.querySelector('#sum-field').textContent")
    assert field == f"sees rows {box[0]} to {box[2] - 1}, columns {box[1]} to {box[3] - 1} of the picture"


@slow
def test_one_pixel_can_be_followed_from_the_decision_back(example: Example, opened: BrowserPage) -> None:
    opened.click("#scores tbody tr:last-child button")
    names = [opened.evaluate("document.querySelector('#sum').dataset.layer")]
    while opened.evaluate("!document.querySelector('#follow').disabled"):
        opened.evaluate("document.querySelector('#follow').click()")
        names.append(opened.evaluate("document.querySelector('#sum').dataset.layer"))
    blocks = [layer.name for layer in example.cnns[1.0].layers]
    assert names[0] == "fully_connected.logits"
    assert names[-1].startswith("lines.")
    assert [blocks.index(name) for name in names] == sorted((blocks.index(name) for name in names), reverse=True)
    assert {"flatten", "blocks.curves.activation", "blocks.shapes.activation"} <= set(names)


@slow
def test_slider_shows_the_network_as_it_was(example: Example, opened: BrowserPage) -> None:
    picture = shown_picture(opened)[np.newaxis]
    opened.evaluate("document.querySelector('#training').focus()")
    for share in reversed(SHARES):
        opened.press("ArrowLeft")
        opened.wait_for(f"strokewise.model === strokewise.models.get({share})")
        wait_until_thought(opened)
        expected = predict_proba(example.cnns[share], picture)[0]
        assert shown_scores(opened, "prediction") == pytest.approx(expected, abs=TOLERANCE), share
    assert "random weights" in opened.evaluate("document.querySelector('#moment').textContent")
    filters = opened.evaluate("document.querySelector('#filters td').textContent").replace("−", "-")
    assert float(filters) == pytest.approx(example.cnns[0.0].line_filters.filters[0, 0, 0, 0].item(), abs=0.006)


@slow
def test_finger_draws_and_taps(opened: BrowserPage) -> None:
    opened.click("#clear")
    opened.send("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        opened.touch(on_sheet(opened, TRIANGLE, 12))
        opened.wait_for("document.querySelector('#outline-note').dataset.path")
        assert opened.evaluate("document.querySelector('#answer').textContent").startswith("triangle, ")
        left, top, width, height = opened.box("canvas.maps[data-layer='0']")
        opened.touch([(left + width * 0.1, top + height * 0.1)])
        opened.wait_for("document.querySelector('#sum.pinned')")
    finally:
        opened.send("Emulation.setTouchEmulationEnabled", enabled=False)


@slow
def test_keys_draw_undo_and_move_over_maps(opened: BrowserPage) -> None:
    opened.click("#clear")
    opened.evaluate("document.querySelector('#pad').focus()")
    opened.press(" ")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        opened.press(key, 10)
    opened.press(" ")
    opened.wait_for("document.querySelector('#outline-note').dataset.path")
    assert opened.evaluate("document.querySelector('#answer').textContent").startswith("rectangle, ")
    opened.press("Tab", 2)  # over the buttons
    opened.press("Backspace")
    opened.evaluate("document.querySelector('#pad').focus()")
    opened.press("Backspace")
    wait_until_thought(opened)
    assert opened.evaluate("strokewise.thought") is None
    opened.click("#examples button[data-shape=star]")
    opened.wait_for("document.querySelector('#outline-note').dataset.path")
    opened.evaluate("document.querySelector(\"canvas.maps[data-layer='2']\").focus()")
    opened.press("ArrowRight")
    first = opened.evaluate("({...document.querySelector('#sum').dataset})")
    opened.press("PageUp" if int(first["channel"]) else "PageDown")
    second = opened.evaluate("({...document.querySelector('#sum').dataset})")
    assert abs(int(second["channel"]) - int(first["channel"])) == 1
    assert (second["row"], second["column"]) == (first["row"], first["column"])


@slow
def test_examples_of_all_shapes_are_recognised(example: Example, opened: BrowserPage) -> None:
    for shape in example.cnns[1.0].shapes:
        opened.click(f"#examples button[data-shape='{shape}']")
        opened.wait_for(
            "strokewise.version === strokewise.thoughtVersion && document.querySelector('#outline-note').textContent"
        )
        opened.wait_for(f"document.querySelector('#answer').textContent.startsWith('{shape}, ')")


@slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_fits_the_window_and_fetches_nothing(
    example: Example, browser_page: BrowserPage, width: int, dark: bool
) -> None:
    open_page(browser_page, example.file, width, dark)
    browser_page.click("canvas.maps[data-layer='3']")
    assert browser_page.evaluate("!document.querySelector('#sum').hidden")
    assert browser_page.box("canvas.maps[data-layer='1']")[2] <= width
    assert browser_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    small = f"[...document.querySelectorAll('p,td,th,h2,button,figcaption,dd')].filter({IS_SMALL}).length"
    assert browser_page.evaluate(small) == 0
    assert browser_page.requests == [example.file.as_uri()]
    assert browser_page.problems == []
