"""Errors for users: each a single line that says what was given, what is allowed and what to do.

Any other exception is a bug of this package.
"""

import re

CONTROL_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)  # of terminals (ESC), and invisible ones that break a line or reverse its direction


def printable(text: object) -> str:
    """The text with its control characters escaped, so that a name can neither move the cursor nor feign a line."""
    return CONTROL_CHARACTERS.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text))


def one_line(error: object, limit: int = 300) -> str:
    """The text of an error (of a library, say) in one printable line of at most `limit` characters."""
    text = printable(" ".join(str(error).split()))
    return text if len(text) <= limit else text[: limit - 3] + "..."


class UserError(Exception):
    """Base class; the command line prints it in one line and exits with `exit_code`."""

    exit_code = 2


class ParamsError(UserError):
    """`params.yaml` or a `--set` has an unknown key, a wrong type or a value out of range."""


class ProjectError(UserError):
    """A project cannot be laid out in a folder."""


class OutlineError(UserError):
    """An SVG file of the catalogue cannot be used as an outline."""


class PictureError(UserError):
    """A picture cannot be read, or contains nothing that could be a shape."""


class DatasetError(UserError):
    """Paintings or drawings on disk are missing, damaged or of unexpected shapes."""


class ModelError(UserError):
    """A model folder is missing, incomplete, damaged or unsuitable for its use."""


class RegistryError(UserError):
    """The tracking store or the model registry cannot do what was requested."""


class Refusal(UserError):
    """A valid negative result (`--strict`, say): everything worked, and the answer is no."""

    exit_code = 3
