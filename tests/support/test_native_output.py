"""What a library writes to descriptor 2 is discarded during the block; our own lines are not, and all is as before."""

import subprocess
import sys

CODE = """
import os, sys
from strokewise.support.native_output import silent_libraries
before = sys.stderr
with silent_libraries():
    os.write(2, b"of a library\\n")
    print("of ours", file=sys.stderr)
assert sys.stderr is before
os.write(2, b"after\\n")
"""


def test_only_lines_of_libraries_are_discarded() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()) == (0, ["of ours", "after"])


def test_closed_descriptor_is_no_error() -> None:
    code = "import os; os.close(2)\nfrom strokewise.support.native_output import silent_libraries\n"
    code += "with silent_libraries():\n    print('done')\n"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "done\n"
