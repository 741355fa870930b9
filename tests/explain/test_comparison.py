"""The page that sets models side by side."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import comparison
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba


def test_comparison_page_shows_every_model(
    cnn: CNN, default_cnn: CNN, pictures: NDArray[np.uint8], parse_page: Any
) -> None:
    labels = np.arange(8) % 3
    models = [
        comparison.compare_model(name, model, shown=pictures[:3], pictures=pictures, labels=labels)
        for name, model in (("a<b", cnn), ("c", default_cnn))
    ]
    page = parse_page(comparison.comparison_page(models, pictures[:3], labels[:3]))
    assert not page.open
    assert all(address.startswith("data:") for address in page.addresses)
    accuracy = (predict_proba(default_cnn, pictures).argmax(1) == labels).mean()
    count = sum(value.numel() for value in default_cnn.parameters())
    assert f"c{default_cnn.params.line_filters}{count:,}{accuracy:.1%}" in page.text["tr"]
    assert page.text["h4"].count("a<b") == 3
