"""Two paintings on one sheet: both are there, the label is `other`, and the rest of the batch is as it was."""

import pytest
import torch

from strokewise.learn import augment, compose
from strokewise.learn.compose import Sheets

GRID, OTHER = 64, 7


def rings(count: int) -> torch.Tensor:
    """Pictures of a square outline, (count, 1, GRID, GRID)."""
    picture = torch.zeros(1, 1, GRID, GRID)
    picture[..., 6:58, 6:58] = 1
    picture[..., 9:55, 9:55] = 0
    return picture.repeat(count, 1, 1, 1)


def sheets(size: float, offset: tuple[float, float], shared: bool = True) -> Sheets:
    return Sheets(torch.tensor([shared]), torch.tensor([0]), torch.tensor([size]), torch.tensor([offset]))


def test_side_by_side_both_are_seen_and_fill_the_frame() -> None:
    (made,), (label,) = compose.apply(rings(1), rings(1), torch.tensor([3]), sheets(0.5, (2.0, 0.0)), OTHER)
    assert label == OTHER
    (centre,), (half,) = augment.ink_box(made.unsqueeze(0))
    (was_centre,), (was_half,) = augment.ink_box(rings(1))
    assert centre == pytest.approx(was_centre, abs=0.06)
    assert half == pytest.approx(was_half, abs=0.06)
    columns = (made[0] > 0.3).any(0)
    edges = int((columns[1:] != columns[:-1]).sum())
    assert edges == 4, "two shapes with paper between them"


def test_one_within_another_is_seen() -> None:
    (made,), (label,) = compose.apply(rings(1), rings(1), torch.tensor([3]), sheets(0.4, (0.0, 0.0)), OTHER)
    assert label == OTHER
    middle = made[0, GRID // 2] > 0.3
    assert int((middle[1:] != middle[:-1]).sum()) == 8, "four lines across the middle"


def test_what_would_be_hidden_stays_as_it_is() -> None:
    solid = torch.zeros(1, 1, GRID, GRID)
    solid[..., 6:58, 6:58] = 1
    made, labels = compose.apply(solid, rings(1), torch.tensor([3]), sheets(0.4, (0.0, 0.0)), OTHER)
    assert torch.equal(made, solid)
    assert labels.tolist() == [3]


def test_what_is_not_shared_stays_as_it_is() -> None:
    made, labels = compose.apply(rings(1), rings(1), torch.tensor([3]), sheets(0.5, (2.0, 0.0), shared=False), OTHER)
    assert torch.equal(made, rings(1))
    assert labels.tolist() == [3]


def test_an_empty_picture_stays_finite() -> None:
    made, _ = compose.apply(0 * rings(1), 0 * rings(1), torch.tensor([3]), sheets(0.5, (2.0, 0.0)), OTHER)
    assert torch.isfinite(made).all()


def test_lots_are_repeatable_and_of_the_share_asked_for() -> None:
    lots = compose.draw(4000, torch.Generator().manual_seed(1), 0.1)
    again = compose.draw(4000, torch.Generator().manual_seed(1), 0.1)
    assert all(torch.equal(one, other) for one, other in zip(vars(lots).values(), vars(again).values(), strict=True))
    assert 0.08 < lots.shared.float().mean() < 0.12
    assert not compose.draw(100, torch.Generator().manual_seed(1), 0.0).shared.any()
