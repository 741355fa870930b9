"""Ink on paper: a mask in, a scene out.

mask uint8 (C, C), 0 bare paper, 255 full ink  ->  scene uint8 (C, C), or (C, C, 3) RGB where it is coloured
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.paint.ink import Image, Manner
from strokewise.paint.strokes import course

GRAIN = 3.0  # grey levels, the standard deviation of the worst sensor's grain


def on_paper(mask: Image, how: Manner, rng: np.random.Generator) -> Image:
    """Lay the ink on the paper that `how` asks for."""
    tones = _casts(how, rng) if how.coloured else [_tones(how)]
    if how.paper == "plain":
        planes = [cv2.LUT(mask, _ramp(*tone)) for tone in tones]
    else:
        light = sheet(len(mask), how, rng)
        planes = [cv2.multiply(cv2.LUT(mask, _ramp(*tone)), light, scale=1 / 255, dtype=cv2.CV_8U) for tone in tones]
        if how.paper == "photographed":
            planes = [cv2.add(plane, _grain(len(mask), rng), dtype=cv2.CV_8U) for plane in planes]
    return np.asarray(planes[0] if len(planes) == 1 else cv2.merge(planes), dtype=np.uint8)


def sheet(canvas: int, how: Manner, rng: np.random.Generator) -> Image:
    """What the paper leaves of the light, 255 all: ruling, and in a photograph uneven shade. uint8 (C, C)."""
    u = rng.random(10).tolist()
    if how.paper == "photographed":
        corners = 1 - 0.45 * u[0] * np.array(u[6:10], dtype=np.float32).reshape(2, 2)
        light = cv2.convertScaleAbs(cv2.resize(255 * corners, (canvas, canvas), interpolation=cv2.INTER_LINEAR))
    else:
        light = np.full((canvas, canvas), 255, dtype=np.uint8)
    if how.paper in ("lined", "squared") or u[1] < 0.25:
        faint = 1 - (0.04 + 0.16 * u[2])
        apart = max(6, round(canvas * (0.06 + 0.14 * u[3])))
        for row in range(max(1, round(canvas / 160))):
            rows = light[round(u[4] * apart) + row :: apart]
            rows[:] = (rows * faint).astype(np.uint8)
            if how.paper == "squared":
                columns = light[:, round(u[5] * apart) + row :: apart]
                columns[:] = (columns * faint).astype(np.uint8)
    return np.asarray(light, dtype=np.uint8)


def _tones(how: Manner) -> tuple[int, int]:
    """Grey of paper and of ink."""
    return (how.dark, how.light) if how.inverted else (how.light, how.dark)


def _casts(how: Manner, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Paper and ink for each channel: the light one loses up to a fifth of some, the dark one gains some colour."""
    u = rng.random((2, 3))
    light = np.rint(how.light * (1 - 0.2 * u[0] * u[0].argsort() / 2)).astype(int).tolist()
    dark = np.rint(np.minimum(how.dark + 130 * u[1] ** 2, 150)).astype(int).tolist()
    return list(zip(dark, light, strict=True)) if how.inverted else list(zip(light, dark, strict=True))


@lru_cache(maxsize=4096)
def _ramp(paper: int, ink: int) -> Image:
    """What each strength of ink looks like: uint8 (256,)."""
    return np.rint(paper + (ink - paper) * course(256)).astype(np.uint8)


def _grain(canvas: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """A sensor's grain: a window of a fixed field, at a strength and a place of its own."""
    x, y = rng.integers(0, 64, 2).tolist()
    window = _field(canvas)[y : y + canvas, x : x + canvas]
    return np.asarray(np.rint(np.float32(GRAIN * rng.random()) * window).astype(np.int16))


@lru_cache(maxsize=2)
def _field(canvas: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((canvas + 64, canvas + 64), dtype=np.float32)
