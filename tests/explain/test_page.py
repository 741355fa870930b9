"""The page: whole and self-contained HTML whose numbers are those of the network; names cannot break it."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.explain import analysis, attribution, comparison, page
from strokewise.explain.analysis import Analysis
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, to_tensor
from strokewise.model.tta import NO_TTA

Pictures = NDArray[np.uint8]
VOID = {"img", "meta", "link", "br"}


class Page(HTMLParser):
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
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.text[tag][-1] += data


@pytest.fixture
def stories(network: CNN, pictures: Pictures) -> list[Analysis]:
    """Two pictures of what the network has not learned, one of them with a name that tries to break out."""
    memory = analysis.build_reference(network, pictures)
    return [
        analysis.analyse(network, 255 - pictures[0], pictures[0], memory, ink_only, "cross", "cross"),
        analysis.analyse(
            network, np.dstack([pictures[1]] * 3), pictures[1], None, None, "<script>alert(1)</script>.png"
        ),
    ]


def ink_only(pictures: Pictures) -> NDArray[np.float32]:
    share = pictures.mean(axis=(1, 2)) / 255
    return np.stack([share, 1 - share, share * 0], axis=1).astype(np.float32)


def rival(pictures: Pictures) -> page.ModelSummary:
    return page.ModelSummary(
        "a stand-in", attribution.ink_correlation(ink_only, pictures), (0.5, 0.25), (1.0, 0.75), 8, 8
    )


def test_the_page_is_whole_and_needs_nothing_beside_it(
    network: CNN, stories: list[Analysis], pictures: Pictures
) -> None:
    text = page.explanation_page(network, stories, rival(pictures), 4)
    page = Page(text)
    assert not page.open
    assert "script" not in page.text
    assert "<script" not in text
    for address in page.addresses:
        assert address.startswith(("data:", "#")), address[:60]
    assert not re.search(r"url\(|@import|https?:", text)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_scores_are_those_of_a_plain_forward_pass(network: CNN, stories: list[Analysis]) -> None:
    with torch.no_grad():
        logits = network(to_tensor(stories[0].picture[np.newaxis]))[0]
    expected = [f"{name}{p:.1%}{value:.2f}".replace("-", "−") for name, p, value in zip(
        network.shapes, logits.softmax(0).tolist(), logits.tolist(), strict=True
    )]  # fmt: skip
    shown = Page(page.explanation_page(network, stories[:1], None, 4)).text["tr"]
    for line in expected:
        assert line.replace("−0.00", "0.00") in shown, line


def test_the_arithmetic_adds_up_on_the_page(network: CNN, stories: list[Analysis]) -> None:
    text = " ".join(Page(page.explanation_page(network, stories[:1], None, 4)).text["p"])
    found = re.search(r": ([-−.·()\d +]+) \+ bias ([−.\d]+) = ([−.\d]+)\.", text)
    assert found
    terms, bias, total = (part.replace("−", "-") for part in found.groups())
    products = [float(a) * float(b.strip("()")) for a, b in (term.split("·") for term in terms.split(" + "))]
    assert len(products) == 4
    assert sum(products) + float(bias) == pytest.approx(float(total), abs=0.04), "but for the rounding"


def test_what_is_covered_and_shifted_is_what_the_network_says_then(network: CNN, stories: list[Analysis]) -> None:
    told = stories[0]
    text = "".join(Page(page.explanation_page(network, [told], None, 4)).text["section"])
    after = predict_proba(network, told.network.covered.picture[np.newaxis], looks=NO_TTA)[0]
    assert f"→ {after[told.network.covered.answer]:.1%}" in text
    moved = predict_proba(network, attribution.shift_right(told.picture, 5)[np.newaxis], looks=NO_TTA)[0]
    assert f"Shifted right by 5 pixels: {network.shapes[moved.argmax()]}, {moved.max():.1%}" in text


def test_a_prediction_that_says_otherwise_is_told(network: CNN, stories: list[Analysis]) -> None:
    told = stories[0]
    np.testing.assert_allclose(told.predicted, predict_proba(network, told.picture[np.newaxis])[0], atol=1e-6)
    same, other = (replace(told, predicted=np.roll(np.sort(told.network.scores), at)) for at in (0, 1))
    best = int(told.network.scores.argmax())
    for one in (same, other):
        said = int(one.predicted.argmax())
        sentence = f"A prediction, the mean of 2 looks, says {network.shapes[said]}, {one.predicted[said]:.1%}."
        assert (sentence in page.explanation_page(network, [one], None, 4)) == (said != best)


def test_every_picture_has_its_chapter_and_its_name_is_only_text(network: CNN, stories: list[Analysis]) -> None:
    page = Page(page.explanation_page(network, stories, None, 4))
    assert page.text["h2"] == ["The line filters", "cross", "<script>alert(1)</script>.png", "The words"]


def test_the_words_carry_the_networks_numbers(plain: CNN, pictures: Pictures) -> None:
    text = page.explanation_page(plain, [], None, 4)
    words = dict(zip(*(Page(text).text[tag] for tag in ("dt", "dd")), strict=True))
    for word in ("kernel", "filter", "convolving", "feature map", "stride", "receptive field", "padding"):
        assert word in words
    assert (
        f"{sum(value.numel() for value in plain.parameters()):,} numbers" in words["CNN, convolutional neural network"]
    )
    assert "2×2 pixels after the lines" in words["receptive field"]
    row = plain.flatten(torch.zeros(1, *plain.layers[-3].output)).shape[1]
    assert f"= {row:,} numbers" in words["flatten"]


def test_the_same_stories_make_the_same_page(plain: CNN, pictures: Pictures) -> None:
    first, second = (
        page.explanation_page(plain, [analysis.analyse(plain, pictures[0], pictures[0], None, None, "x")], None, 4)
        for _ in range(2)
    )
    assert first == second


def test_telling_a_story_leaves_no_trace(network: CNN, pictures: Pictures) -> None:
    network.train()
    before = probabilities_of(network, pictures)
    analysis.analyse(network, pictures[0], pictures[0], None, None, "x")
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    assert probabilities_of(network, pictures) == before


def probabilities_of(network: CNN, pictures: Pictures) -> bytes:
    modes = [module.training for module in network.modules()]
    found = predict_proba(network.eval(), pictures).tobytes()
    for module, mode in zip(network.modules(), modes, strict=True):
        module.training = mode
    return found


def test_models_side_by_side(network: CNN, plain: CNN, pictures: Pictures) -> None:
    labels = np.arange(8) % 3
    rivals = [
        comparison.compare_model(name, one, pictures[:3], pictures, labels)
        for name, one in (("a<b", network), ("c", plain))
    ]
    page = Page(comparison.comparison_page(rivals, pictures[:3], labels[:3]))
    assert not page.open
    assert all(address.startswith("data:") for address in page.addresses)
    right = (predict_proba(plain, pictures).argmax(1) == labels).mean()
    numbers = sum(value.numel() for value in plain.parameters())
    assert f"c{plain.settings.lines}{numbers:,}{right:.1%}" in page.text["tr"]
    assert page.text["h4"].count("a<b") == 3
