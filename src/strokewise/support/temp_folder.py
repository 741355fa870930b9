"""Tell errors of the folder for temporary files (TMPDIR) from others, and say what helps."""

import os
import re
import tempfile


def temp_folder_problem(error: OSError) -> str | None:
    """What is wrong with the temporary folder if that caused the error, in one line with a remedy; else None."""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:  # it has tried to write a file in each of its candidates
        return "no folder for temporary files can be written; set TMPDIR to a folder that has room, and run it again"
    if "AF_UNIX path too long" in str(error):  # of a socket between processes
        return f"the path of the temporary folder is too long ({folder}); set TMPDIR to a shorter one, say /tmp"
    # A project may lie in the same folder, so what counts is the names that `tempfile` gives.
    if re.search(rf"{re.escape(folder.rstrip(os.sep))}{os.sep}tmp[a-z0-9_]{{8}}\b", str(error)):
        reason = f" ({error.strerror})" if error.strerror else ""
        return f"{folder} cannot hold temporary files{reason}; make room there or set TMPDIR, and run it again"
    return None
