"""The glossary shows the numbers of the CNN at hand."""

from typing import Any

import torch

from strokewise.explain import page
from strokewise.model.cnn import CNN


def test_glossary_shows_the_numbers_of_the_cnn(default_cnn: CNN, parse_page: Any) -> None:
    text = page.explanation_page(default_cnn, [], None, 4)
    meanings = dict(zip(*(parse_page(text).text[tag] for tag in ("dt", "dd")), strict=True))
    for term in ("kernel", "filter", "convolving", "feature map", "stride", "receptive field", "padding"):
        assert term in meanings
    count = sum(value.numel() for value in default_cnn.parameters())
    assert f"{count:,} numbers" in meanings["CNN, convolutional neural network"]
    assert "2×2 pixels after the lines" in meanings["receptive field"]
    size = next(layer for layer in default_cnn.layers if layer.kind == "flatten").input_size
    length = default_cnn.flatten(torch.zeros(1, *size)).shape[1]
    assert f"= {length:,} numbers" in meanings["flatten"]
