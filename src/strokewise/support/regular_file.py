"""Read a file that a user named or may have put there: a pipe would block, a device has no end, a size is a claim."""

from pathlib import Path


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes.

    Raises OSError if it cannot be read, FileNotFoundError if there is none, and ValueError if it is no regular file or
    larger.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it has more than {limit:,} bytes")
    return content
