"""Ink on paper: a mask in, a scene out.

mask uint8 (C, C), 0 bare paper, 255 full ink  ->  scene uint8 (C, C), or (C, C, 3) RGB where it is coloured
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.synthesis.ink import Image
from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.strokes import unit_steps


def composite(mask: Image, how: InkParams, rng: np.random.Generator) -> Image:
    """Lay the ink on the paper that `how` asks for."""
    tones = _channel_tones(how) if how.coloured else [(how.light, how.dark)]
    ramps = [_tone_curve(dark, light) if how.inverted else _tone_curve(light, dark) for light, dark in tones]
    planes = [cv2.LUT(mask, ramp) for ramp in ramps]
    if how.paper != "plain":
        light = paper_light(len(mask), how)
        planes = [cv2.multiply(plane, light, scale=1 / 255, dtype=cv2.CV_8U) for plane in planes]
    if how.grain:
        planes = [cv2.add(plane, _sensor_grain(len(mask), how.grain, rng), dtype=cv2.CV_8U) for plane in planes]
    return np.asarray(planes[0] if len(planes) == 1 else cv2.merge(planes), dtype=np.uint8)


def paper_light(canvas: int, how: InkParams) -> Image:
    """What the paper leaves of the light, 255 all: ruling, and in a photograph uneven shade. uint8 (C, C)."""
    light = np.full((canvas, canvas), 255, dtype=np.uint8)
    if how.paper == "photographed":
        shadow = [[how.shadow_top_left, how.shadow_top_right], [how.shadow_bottom_left, how.shadow_bottom_right]]
        corners = 255 * (1 - np.array(shadow, dtype=np.float32))
        light[:] = cv2.convertScaleAbs(cv2.resize(corners, (canvas, canvas), interpolation=cv2.INTER_LINEAR))
    if how.ruling:
        apart = round(canvas * how.ruling_apart)
        for row in range(max(1, round(canvas / 160))):
            rows = light[round(how.ruling_y * apart) + row :: apart]
            rows[:] = (rows * (1 - how.ruling)).astype(np.uint8)
            if how.paper == "squared":
                columns = light[:, round(how.ruling_x * apart) + row :: apart]
                columns[:] = (columns * (1 - how.ruling)).astype(np.uint8)
    return light


def _channel_tones(how: InkParams) -> list[tuple[int, int]]:
    """The light and the dark in each channel: the light one loses some colour, the dark one gains some."""
    casts, tints = (how.cast_red, how.cast_green, how.cast_blue), (how.tint_red, how.tint_green, how.tint_blue)
    return [(round(how.light * (1 - cast)), round(how.dark + tint)) for cast, tint in zip(casts, tints, strict=True)]


@lru_cache(maxsize=4096)
def _tone_curve(paper: int, ink: int) -> Image:
    """What each strength of ink looks like: uint8 (256,)."""
    return np.rint(paper + (ink - paper) * unit_steps(256)).astype(np.uint8)


def _sensor_grain(canvas: int, level: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """A sensor's grain, its standard deviation `level`: a window of a fixed field, at a place of its own."""
    x, y = rng.integers(0, 64, 2).tolist()
    window = _grain_field(canvas)[y : y + canvas, x : x + canvas]
    return np.asarray(np.rint(np.float32(level) * window).astype(np.int16))


@lru_cache(maxsize=2)
def _grain_field(canvas: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((canvas + 64, canvas + 64), dtype=np.float32)
