"""Corrections of the page → `<folder>/<shape>/<digest>.png`, a form that `strokewise import` takes: bounded in all.

What is kept is the scene that the strokes were recognised as, without times or anything else that a browser sends.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strokewise.data.png import encode_png
from strokewise.errors import PictureError, UserError, one_line
from strokewise.preprocessing.stroke_input import rasterize_strokes
from strokewise.serving.limits import RequestRefused
from strokewise.support import atomic_io

FEEDBACK_KEYS = {"shape", "strokes"}
MAX_KEPT = 5000  # drawings in a folder
MAX_KEPT_BYTES = 2**16  # of a drawing: a scene of 256×256 pixels takes some 4,000
EXPECTED_FEEDBACK = 'send {"shape": name, "strokes": [[[x, y], ...], ...]}'


class FeedbackFolder:
    """The drawings that were kept; several threads may add to them at once."""

    def __init__(self, folder: Path, shapes: Sequence[str], max_kept: int = MAX_KEPT) -> None:
        """Keep drawings of `shapes` in `folder`, which is created. Raises UserError where that cannot be."""
        self._folder, self._shapes, self._max_kept = folder, tuple(shapes), max_kept
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._count = sum(1 for _ in folder.glob("*/*.png"))
        except OSError as error:
            raise UserError(f"{folder} cannot hold drawings: {one_line(error)}; name another folder") from None

    def keep(self, content: Any) -> int:
        """Keep the drawing of a request's JSON, and return how many there are now.

        Raises RequestRefused for JSON of another form, strokes that cannot be read, and where the folder is full.
        """
        shape, drawing = self._read(content)
        try:
            scene, _ = rasterize_strokes(drawing, "points")
        except PictureError as error:
            raise RequestRefused(400, str(error)) from None
        png = encode_png(scene)
        path = self._folder / shape / f"{hashlib.sha256(png).hexdigest()[:24]}.png"
        if len(png) > MAX_KEPT_BYTES:
            raise RequestRefused(413, f"the drawing takes {len(png):,} bytes; at most {MAX_KEPT_BYTES:,} are kept")
        with self._lock:
            if path.exists():
                return self._count
            if self._count >= self._max_kept:
                raise RequestRefused(
                    507, f"{self._max_kept:,} drawings are kept, and no more; import them, then empty it"
                )
            try:
                with atomic_io.atomic_replace(path) as fresh:
                    fresh.write_bytes(png)
            except OSError as error:
                raise RequestRefused(507, f"the drawing could not be kept: {error.strerror}") from None
            self._count += 1
            return self._count

    def _read(self, content: Any) -> tuple[str, Any]:
        if not isinstance(content, dict) or set(content) != FEEDBACK_KEYS:
            raise RequestRefused(400, f"this is no correction; {EXPECTED_FEEDBACK}")
        shape, strokes = content["shape"], content["strokes"]
        if not isinstance(shape, str) or shape not in self._shapes:
            raise RequestRefused(
                400, f"{one_line(shape, 40)!r} is no shape of this model; {', '.join(self._shapes)} are"
            )
        if not isinstance(strokes, list) or not strokes:
            raise RequestRefused(400, f"there are no strokes; {EXPECTED_FEEDBACK}")
        return shape, strokes


def check_same_origin(headers: Mapping[str, str]) -> None:
    """Raise RequestRefused unless a page of this very server sends the request, as a browser says in its headers."""
    host = headers.get("host", "")
    is_own = headers.get("origin", "") in (f"http://{host}", f"https://{host}")
    if not host or not is_own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise RequestRefused(403, "only the page of this server may send corrections: open it, and draw there")
