"""What a user can do wrong: one family of errors, each a single line of text and an exit code.

A message says what was given, what is allowed and what to do. Anything else that is raised is our mistake.
"""


def one_line(error: object, limit: int = 300) -> str:
    """The text of an error (of a library, say) in one line of at most `limit` characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


class UserError(Exception):
    """A user's mistake in one line. The command line prints it and exits with `exit_code` (2)."""

    exit_code = 2


class ParamsError(UserError):
    """`params.yaml` or a `--set` holds an unknown key, a wrong type or a value out of range."""


class OutlineError(UserError):
    """A file of the catalogue cannot become an outline."""


class PictureError(UserError):
    """A picture cannot be read, or holds nothing that could be a shape."""


class DatasetError(UserError):
    """The paintings on disk are missing, damaged or of other shapes than expected."""


class ModelError(UserError):
    """A model folder is missing, incomplete or does not fit what it is used for."""


class RegistryError(UserError):
    """The tracking store or the model registry cannot do what was asked."""


class Refusal(UserError):
    """A considered "no" (`--strict`): everything worked, and the answer is no."""

    exit_code = 3
