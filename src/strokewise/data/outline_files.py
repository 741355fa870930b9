"""The outlines that travel with a model, so that it can give back clean ones: `data/paintings/outlines.json`.

*generate* writes there what it painted: shape → variant → plain SVG (see `synthesis.plain_svg`), sorted.
"""

import json
from pathlib import Path

from strokewise.errors import DatasetError
from strokewise.support.paths import PAINTINGS_DIR
from strokewise.support.regular_file import read_regular

OUTLINES_FILE = "outlines.json"  # beside the splits
MAX_OUTLINES_BYTES = 2**24


def read_outlines(folder: Path = PAINTINGS_DIR) -> dict[str, dict[str, str]]:
    """The outlines of the paintings in `folder`; none where the file is missing, as beside paintings from elsewhere.

    Raises DatasetError for a file that is damaged.
    """
    try:
        content = read_regular(folder / OUTLINES_FILE, MAX_OUTLINES_BYTES)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder / OUTLINES_FILE} cannot be read: {error}; run `strokewise generate`") from None
    try:
        outlines = json.loads(content)
        return {shape: {variant: str(svg) for variant, svg in files.items()} for shape, files in outlines.items()}
    except (ValueError, AttributeError, RecursionError):
        raise DatasetError(f"{folder / OUTLINES_FILE} is damaged; run `strokewise generate`") from None
