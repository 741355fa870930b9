"""strokewise: recognise hand-drawn shapes without collecting a single drawing.

`strokewise.load("champion").predict(pictures)` does what `strokewise predict` does. Importing the package is fast;
torch is imported when `load` is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strokewise.recogniser import Prediction, Recogniser, load

__all__ = ["Prediction", "Recogniser", "load"]


def __getattr__(name: str) -> Any:
    """Import `recogniser` when one of its names is first used."""
    if name in __all__:
        from strokewise import recogniser

        return getattr(recogniser, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
