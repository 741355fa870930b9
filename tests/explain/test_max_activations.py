"""Receptive fields with training patches: the patch that is shown is what excites the unit, and as much as it says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.explain import activations, max_activations, receptive_field
from strokewise.model.cnn import CNN

Pictures = NDArray[np.uint8]


def test_excitement_is_the_largest_value_of_each_map_of_each_picture(network: CNN, pictures: Pictures) -> None:
    found = max_activations.max_activations(network, pictures)
    for number, picture in enumerate(pictures):
        ends = {
            step.stage: step.maps for step in activations.layer_steps(network, picture)
        }  # the last step of a stage stays
        for stage, values in found.values.items():
            maps = ends[stage]
            assert values[number] == pytest.approx(maps.max(axis=(1, 2)), abs=1e-5)
            rows, columns = np.divmod(found.places[stage][number], found.width[stage])
            assert maps[np.arange(len(maps)), rows, columns] == pytest.approx(values[number], abs=1e-5)


def test_the_strongest_units_come_with_the_paintings_that_excite_them_most(plain: CNN, pictures: Pictures) -> None:
    steps = activations.layer_steps(plain, pictures[0])
    excited = max_activations.max_activations(plain, pictures)
    found = max_activations.strongest_units(
        steps, receptive_field.receptive_fields(steps, 32), 32, pictures, excited, count=2
    )
    assert [unit.stage for unit in found] == [stage for stage in plain.stages for _ in range(2)]
    for unit in found:
        values = excited.values[unit.stage][:, unit.channel]
        assert values[list(unit.paintings)].tolist() == sorted(values.tolist(), reverse=True)
        assert unit.value == pytest.approx(values[0], abs=1e-5)
        assert unit.patches.shape == (8, unit.field.size, unit.field.size)


def test_a_unit_sees_nothing_but_its_patch(plain: CNN, pictures: Pictures) -> None:
    """The picture with everything outside the box wiped out still excites the first stages' units as much."""
    steps = activations.layer_steps(plain, pictures[0])
    excited = max_activations.max_activations(plain, pictures)
    for unit in max_activations.strongest_units(
        steps, receptive_field.receptive_fields(steps, 32), 32, pictures, excited, count=3
    ):
        top, left, bottom, right = unit.box
        alone = np.zeros_like(pictures[0])
        alone[top:bottom, left:right] = pictures[0][top:bottom, left:right]
        ends = {step.stage: step.maps for step in activations.layer_steps(plain, alone)}
        assert np.abs(ends[unit.stage][unit.channel] - unit.value).min() < 1e-5, unit.stage


def test_without_paintings_there_are_no_patches(plain: CNN, pictures: Pictures) -> None:
    steps = activations.layer_steps(plain, pictures[0])
    excited = max_activations.max_activations(plain, pictures[:1])
    found = max_activations.strongest_units(
        steps, receptive_field.receptive_fields(steps, 32), 32, pictures[:0], excited, count=1
    )
    assert [len(unit.patches) for unit in found] == [0] * len(plain.stages)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 3), (7, 2)])
def test_a_patch_is_cut_out_of_the_padded_picture(row: int, column: int) -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    field = receptive_field.ReceptiveField(size=6, jump=2, start=-2)
    padded = np.pad(picture, 2 + 6)
    top, left = 8 + field.start + row * 2, 8 + field.start + column * 2
    assert (max_activations.extract_patch(picture, field, row, column) == padded[top : top + 6, left : left + 6]).all()
