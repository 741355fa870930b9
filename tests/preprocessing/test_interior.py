"""What ink encloses: closed outlines have an inside, open ones and bare paper have none."""

import cv2
import numpy as np
import pytest

from strokewise.preprocessing.interior import enclosed_paper


def test_ring_encloses_its_inside_alone() -> None:
    picture = np.zeros((64, 64), np.uint8)
    cv2.circle(picture, (32, 32), 20, 255, 2)
    disc = np.zeros((64, 64), np.uint8)
    cv2.circle(disc, (32, 32), 17, 255, -1)
    enclosed = enclosed_paper(picture)
    assert enclosed[disc > 0].all()
    assert not enclosed[picture > 0].any()
    assert not enclosed[:8].any()


@pytest.mark.parametrize("kind", ["open", "bare", "full", "faint"])
def test_nothing_is_enclosed_by_what_is_not_closed(kind: str) -> None:
    picture = np.full((64, 64), 255 if kind == "full" else 0, np.uint8)
    if kind == "open":
        cv2.ellipse(picture, (32, 32), (20, 20), 0, 0, 300, 255, 2)
    if kind == "faint":
        cv2.circle(picture, (32, 32), 20, 40, 2)
    assert not enclosed_paper(picture).any()


def test_shape_at_the_edge_is_closed_by_its_own_ink_only() -> None:
    picture = np.zeros((20, 20), np.uint8)
    picture[5:15, 0] = picture[5, :10] = picture[14, :10] = picture[5:15, 9] = 255
    assert enclosed_paper(picture)[10, 5]
    picture[5:15, 0] = 0
    assert not enclosed_paper(picture).any()
