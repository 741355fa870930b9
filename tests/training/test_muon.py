"""Muon: orthogonal updates of the size that AdamW would make, and weights that decay."""

import pytest
import torch

from strokewise.training.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (12, 12)])
def test_orthogonalised_matrix_has_singular_values_of_about_one_and_the_same_vectors(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalise(matrix)
    assert torch.linalg.svdvals(result).sub(1).abs().max() < 0.5
    rotated = u.T @ result @ v.T
    assert (rotated - rotated.diagonal().diag()).abs().max() < 1e-4


def test_update_of_a_convolution_has_the_root_mean_square_of_adam() -> None:
    weight = torch.nn.Parameter(torch.zeros(20, 8, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    Muon([weight], lr=0.01, weight_decay=0.0).step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.25)


def test_weights_decay_in_proportion_to_the_learning_rate() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert weight.detach().numpy() == pytest.approx(0.95)


def test_momentum_goes_on_after_a_gradient_of_zero() -> None:
    weight = torch.nn.Parameter(torch.zeros(4, 4))
    optimizer = Muon([weight], lr=0.1, weight_decay=0.0)
    weight.grad = torch.eye(4)
    optimizer.step()
    first = weight.detach().clone()
    weight.grad = torch.zeros(4, 4)
    optimizer.step()
    assert (weight - first).norm() > 0.5 * first.norm()
