"""Ink mask uint8 (C, C), 0 bare paper, 255 full ink → scene on paper: uint8 (C, C), or RGB (C, C, 3) if coloured."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.pen import Image
from strokewise.synthesis.strokes import unit_steps


def composite(mask: Image, params: InkParams, rng: np.random.Generator) -> Image:
    """Put the ink of a mask (C, C) on the paper that `params` describes; `rng` places the sensor noise."""
    tones = _channel_tones(params) if params.coloured else [(params.light, params.dark)]
    curves = [_tone_curve(dark, light) if params.inverted else _tone_curve(light, dark) for light, dark in tones]
    channels = [cv2.LUT(mask, curve) for curve in curves]
    if params.paper != "plain":
        light = paper_light(len(mask), params)
        channels = [cv2.multiply(channel, light, scale=1 / 255, dtype=cv2.CV_8U) for channel in channels]
    if params.grain:
        channels = [
            cv2.add(channel, _sensor_noise(len(mask), params.grain, rng), dtype=cv2.CV_8U) for channel in channels
        ]
    return np.asarray(channels[0] if len(channels) == 1 else cv2.merge(channels), dtype=np.uint8)


def paper_light(canvas: int, params: InkParams) -> Image:
    """The light that the paper reflects, uint8 (C, C), 255 = all: rules, and the uneven light of a photograph."""
    light = np.full((canvas, canvas), 255, dtype=np.uint8)
    if params.paper == "photographed":
        shadow = [
            [params.shadow_top_left, params.shadow_top_right],
            [params.shadow_bottom_left, params.shadow_bottom_right],
        ]
        corners = 255 * (1 - np.array(shadow, dtype=np.float32))
        light[:] = cv2.convertScaleAbs(cv2.resize(corners, (canvas, canvas), interpolation=cv2.INTER_LINEAR))
    if params.ruling:
        spacing = round(canvas * params.ruling_apart)
        for offset in range(max(1, round(canvas / 160))):  # a rule's width in pixels
            rows = light[round(params.ruling_y * spacing) + offset :: spacing]
            rows[:] = (rows * (1 - params.ruling)).astype(np.uint8)
            if params.paper == "squared":
                columns = light[:, round(params.ruling_x * spacing) + offset :: spacing]
                columns[:] = (columns * (1 - params.ruling)).astype(np.uint8)
    return light


def _channel_tones(params: InkParams) -> list[tuple[int, int]]:
    """The light and the dark level of each channel: the light tone loses colour, the dark tone gains some."""
    casts = params.cast_red, params.cast_green, params.cast_blue
    tints = params.tint_red, params.tint_green, params.tint_blue
    return [
        (round(params.light * (1 - cast)), round(params.dark + tint)) for cast, tint in zip(casts, tints, strict=True)
    ]


@lru_cache(maxsize=4096)
def _tone_curve(paper: int, ink: int) -> Image:
    """The level that each strength of ink gives: uint8 (256,)."""
    return np.rint(paper + (ink - paper) * unit_steps(256)).astype(np.uint8)


def _sensor_noise(canvas: int, level: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """Sensor noise (C, C) with standard deviation `level`: a random window of a fixed field, which is fast."""
    x, y = rng.integers(0, 64, 2).tolist()
    window = _noise_field(canvas)[y : y + canvas, x : x + canvas]
    return np.asarray(np.rint(np.float32(level) * window).astype(np.int16))


@lru_cache(maxsize=2)
def _noise_field(canvas: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((canvas + 64, canvas + 64), dtype=np.float32)
