"""strokewise: recognise hand-drawn shapes without collecting a single drawing.

`strokewise.load("champion").predict(pictures)` does what `strokewise predict` does. Importing the package is fast;
ONNX Runtime is imported when `load` is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strokewise.loading import load
    from strokewise.recogniser import Prediction, Recogniser

    __version__: str

__all__ = ["Prediction", "Recogniser", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, and read the version when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("strokewise")
    if name in __all__:
        from strokewise import loading, recogniser

        return getattr(loading if name == "load" else recogniser, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
