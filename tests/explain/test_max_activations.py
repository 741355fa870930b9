"""Largest activations over pictures, and the patches that are shown for them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.explain.activations import LayerActivation, layer_activations
from strokewise.explain.max_activations import extract_patch, max_activations, strongest_units
from strokewise.model.cnn import CNN
from strokewise.model.layers import ReceptiveField

Pictures = NDArray[np.uint8]


def block_ends(cnn: CNN, picture: Pictures) -> dict[str, LayerActivation]:
    """The last activation of each block."""
    return {activation.layer.block: activation for activation in layer_activations(cnn, picture)}


def convolution_blocks(cnn: CNN) -> list[str]:
    return [layer.block for layer in cnn.layers if layer.kind == "convolution"]


def test_max_activations_are_the_largest_values_of_each_map_of_each_picture(cnn: CNN, pictures: Pictures) -> None:
    maxima = max_activations(cnn, pictures)
    assert list(maxima.values) == convolution_blocks(cnn)
    for number, picture in enumerate(pictures):
        ends = block_ends(cnn, picture)
        for block, values in maxima.values.items():
            maps = ends[block].maps
            assert values[number] == pytest.approx(maps.max(axis=(1, 2)), abs=1e-5)
            rows, columns = np.divmod(maxima.places[block][number], maxima.width[block])
            assert maps[np.arange(len(maps)), rows, columns] == pytest.approx(values[number], abs=1e-5)


def test_strongest_units_come_with_the_paintings_that_excite_them_most(default_cnn: CNN, pictures: Pictures) -> None:
    maxima = max_activations(default_cnn, pictures)
    units = strongest_units(layer_activations(default_cnn, pictures[0]), pictures, maxima, count=2)
    assert [unit.block for unit in units] == [block for block in convolution_blocks(default_cnn) for _ in range(2)]
    for unit in units:
        values = maxima.values[unit.block][:, unit.channel]
        assert values[list(unit.paintings)].tolist() == sorted(values.tolist(), reverse=True)
        assert unit.value == pytest.approx(values[0], abs=1e-5)
        assert unit.patches.shape == (8, unit.receptive_field.size, unit.receptive_field.size)


def test_unit_depends_on_its_box_alone(default_cnn: CNN, pictures: Pictures) -> None:
    maxima = max_activations(default_cnn, pictures)
    for unit in strongest_units(layer_activations(default_cnn, pictures[0]), pictures, maxima, count=3):
        top, left, bottom, right = unit.box
        masked = np.zeros_like(pictures[0])
        masked[top:bottom, left:right] = pictures[0][top:bottom, left:right]
        maps = block_ends(default_cnn, masked)[unit.block].maps
        assert np.abs(maps[unit.channel] - unit.value).min() < 1e-5, unit.block


def test_units_have_no_patches_without_paintings(default_cnn: CNN, pictures: Pictures) -> None:
    maxima = max_activations(default_cnn, pictures[:1])
    units = strongest_units(layer_activations(default_cnn, pictures[0]), pictures[:0], maxima, count=1)
    assert [len(unit.patches) for unit in units] == [0] * len(convolution_blocks(default_cnn))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 3), (7, 2)])
def test_patch_is_cut_out_of_the_padded_picture(row: int, column: int) -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    field = ReceptiveField(size=6, jump=2, start=-2)
    padded = np.pad(picture, 2 + 6)
    top, left = 8 + field.start + row * 2, 8 + field.start + column * 2
    assert (extract_patch(picture, field, row, column) == padded[top : top + 6, left : left + 6]).all()
