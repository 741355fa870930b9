"""Small CNNs of several architectures, pictures for them, and a stand-in for the baseline."""

from collections.abc import Callable
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.explain import analysis
from strokewise.explain.analysis import Analysis
from strokewise.explain.attribution import Predictor, ink_correlation
from strokewise.explain.page import ModelSummary
from strokewise.model.cnn import CNN
from strokewise.params import NetworkParams, Params

ARCHITECTURES = {
    "default": {},
    "fixed lines, valid padding": {"line_filters": "fixed", "padding": "valid", "depth": 2},
    "strided, group norm, leaky": {"pooling": "strided", "normalisation": "group", "activation": "leaky_relu"},
    "bare": {
        "normalisation": "none",
        "pooling": "average",
        "kernel_size": 5,
        "depth": 1,
        "extra_filters": 0,
        "hidden_units": 8,
    },
}
VOID_TAGS = {"img", "meta", "link", "br", "input"}


class ParsedPage(HTMLParser):
    """Checks that elements nest, and collects addresses, ids and the text of each element by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.text.setdefault(tag, []).append("")
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.text[tag][-1] += data


@pytest.fixture(scope="session")
def parse_page() -> Callable[[str], ParsedPage]:
    """Call it with the HTML of a page."""
    return ParsedPage


@pytest.fixture(scope="session")
def network_params() -> NetworkParams:
    """An architecture small enough to build for every test."""
    changes = {"image_size": 32, "base_channels": 8, "extra_filters": 3, "hidden_units": 16}
    return Params.load().network.model_copy(update=changes)


@pytest.fixture(params=ARCHITECTURES)
def cnn(request: pytest.FixtureRequest, network_params: NetworkParams) -> CNN:
    """An untrained CNN with running statistics, of one architecture after the other."""
    return build_cnn(network_params, ARCHITECTURES[request.param])


@pytest.fixture
def default_cnn(network_params: NetworkParams) -> CNN:
    """An untrained CNN of the default architecture."""
    return build_cnn(network_params, {})


def build_cnn(params: NetworkParams, changes: dict[str, object]) -> CNN:
    torch.manual_seed(3)
    cnn = CNN(("cross", "ellipse", "other"), params.model_copy(update=changes))
    cnn.train()
    with torch.no_grad():
        cnn(torch.rand(16, 1, params.image_size, params.image_size))
    return cnn.eval()


@pytest.fixture(scope="session")
def pictures() -> NDArray[np.uint8]:
    """Eight pictures (32, 32) of four strokes each."""
    rng = np.random.default_rng(5)
    drawn = np.zeros((8, 32, 32), np.uint8)
    for picture in drawn:
        cv2.polylines(picture, [rng.integers(3, 29, (5, 2), dtype=np.int32)], False, 255, 1, cv2.LINE_AA)
    return drawn


@pytest.fixture(scope="session")
def ink_model() -> Predictor:
    """A stand-in for the baseline that looks at the amount of ink alone."""

    def predict(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        share = pictures.mean(axis=(1, 2)) / 255
        return np.stack([share, 1 - share, share * 0], axis=1).astype(np.float32)

    return predict


@pytest.fixture
def baseline_summary(ink_model: Predictor, pictures: NDArray[np.uint8]) -> ModelSummary:
    """Of `ink_model`."""
    return ModelSummary(
        estimator="a stand-in",
        ink_correlation=ink_correlation(ink_model, pictures),
        baseline_accuracy=(0.5, 0.25),
        cnn_accuracy=(1.0, 0.75),
        test_paintings=8,
        train_paintings=8,
    )


@pytest.fixture
def analyses(cnn: CNN, ink_model: Predictor, pictures: NDArray[np.uint8]) -> list[Analysis]:
    """Of two pictures that the CNN was not trained on, one with a title that tries to inject HTML."""
    return [
        analysis.analyse(
            cnn,
            pictures[0],
            scene=255 - pictures[0],
            title="cross",
            truth="cross",
            reference=analysis.build_reference(cnn, pictures),
            baseline=ink_model,
        ),
        analysis.analyse(cnn, pictures[1], scene=np.dstack([pictures[1]] * 3), title="<script>alert(1)</script>.png"),
    ]
