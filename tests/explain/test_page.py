"""The page: complete and self-contained HTML with the CNN's numbers, which no name can break."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.explain import analysis, attribution, html, page
from strokewise.explain.analysis import Analysis
from strokewise.explain.page import ModelSummary
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, to_tensor
from strokewise.model.tta import NO_TTA

Pictures = NDArray[np.uint8]


def test_page_is_complete_and_self_contained(
    cnn: CNN, analyses: list[Analysis], baseline_summary: ModelSummary, parse_page: Any
) -> None:
    text = page.explanation_page(cnn, analyses, baseline_summary, 4)
    parsed = parse_page(text)
    assert not parsed.open
    assert "script" not in parsed.text
    assert "<script" not in text
    for address in parsed.addresses:
        assert address.startswith(("data:", "#")), address[:60]
    assert not re.search(r"url\(|@import|https?:", text)
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_page_links_to_the_page_to_draw_on_if_there_is_one(default_cnn: CNN, parse_page: Any) -> None:
    for name in ("live.html", ""):
        addresses = parse_page(page.explanation_page(default_cnn, [], None, 4, live_page=name)).addresses
        assert [address for address in addresses if address[:1] not in ("#", "d")] == [name] * bool(name)


def test_classes_of_the_page_are_in_the_style_sheet_and_no_others(
    cnn: CNN, analyses: list[Analysis], baseline_summary: ModelSummary
) -> None:
    text = page.explanation_page(cnn, analyses, baseline_summary, 4)
    body = text.split("</style>")[1]
    used = {name for names in re.findall(r'class="([^"]*)"', body) for name in names.split()}
    styled = set(re.findall(r"\.([a-z]+)\b", html.style_sheet("style.css", "index.css")))
    assert used == styled


def test_scores_are_those_of_a_plain_forward_pass(cnn: CNN, analyses: list[Analysis], parse_page: Any) -> None:
    with torch.no_grad():
        logits = cnn(to_tensor(analyses[0].picture[np.newaxis]))[0]
    expected = [
        f"{shape}{score:.1%}{logit:.2f}".replace("-", "−")
        for shape, score, logit in zip(cnn.shapes, logits.softmax(0).tolist(), logits.tolist(), strict=True)
    ]
    rows = parse_page(page.explanation_page(cnn, analyses[:1], None, 4)).text["tr"]
    for row in expected:
        assert row.replace("−0.00", "0.00") in rows, row


def test_arithmetic_on_the_page_adds_up(cnn: CNN, analyses: list[Analysis], parse_page: Any) -> None:
    text = " ".join(parse_page(page.explanation_page(cnn, analyses[:1], None, 4)).text["p"])
    match = re.search(r": ([-−.·()\d +]+) \+ bias ([−.\d]+) = ([−.\d]+)\.", text)
    assert match
    terms, bias, total = (part.replace("−", "-") for part in match.groups())
    products = [float(a) * float(b.strip("()")) for a, b in (term.split("·") for term in terms.split(" + "))]
    assert len(products) == 4
    assert sum(products) + float(bias) == pytest.approx(float(total), abs=0.04), "up to rounding"


def test_scores_after_covering_and_shifting_are_those_of_the_cnn(
    cnn: CNN, analyses: list[Analysis], parse_page: Any
) -> None:
    one = analyses[0]
    text = "".join(parse_page(page.explanation_page(cnn, [one], None, 4)).text["section"])
    after = predict_proba(cnn, one.cnn.occlusion.picture[np.newaxis], angles=NO_TTA)[0]
    assert f"→ {after[one.cnn.occlusion.predicted]:.1%}" in text
    shifted = predict_proba(cnn, attribution.shift_right(one.picture, 5)[np.newaxis], angles=NO_TTA)[0]
    assert f"Shifted right by 5 pixels: {cnn.shapes[shifted.argmax()]}, {shifted.max():.1%}" in text


def test_prediction_that_differs_from_the_shown_look_is_reported(cnn: CNN, analyses: list[Analysis]) -> None:
    scores = analyses[0].cnn.scores
    same, other = (replace(analyses[0], prediction=np.roll(np.sort(scores), by)) for by in (0, 1))
    best = int(scores.argmax())
    for one in (same, other):
        predicted = int(one.prediction.argmax())
        sentence = f"A prediction, the mean of 2 views, says {cnn.shapes[predicted]}, {one.prediction[predicted]:.1%}."
        assert (sentence in page.explanation_page(cnn, [one], None, 4)) == (predicted != best)


def test_every_picture_has_a_section_and_its_title_is_escaped(
    cnn: CNN, analyses: list[Analysis], parse_page: Any
) -> None:
    headings = parse_page(page.explanation_page(cnn, analyses, None, 4)).text["h2"]
    assert headings == ["The line filters", "cross", "<script>alert(1)</script>.png", "The words"]


def test_same_analyses_make_the_same_page(default_cnn: CNN, pictures: Pictures) -> None:
    first, second = (
        page.explanation_page(
            default_cnn, [analysis.analyse(default_cnn, pictures[0], scene=pictures[0], title="x")], None, 4
        )
        for _ in range(2)
    )
    assert first == second
