"""The results of another commit, beside the present ones: from DVC's cache, else made again apart."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from strokewise.errors import UserError, one_line
from strokewise.registry.artifacts import git_output
from strokewise.reproduction import checkout, environment
from strokewise.reproduction.lock_file import parse_lock
from strokewise.reproduction.pipeline_files import git, open_pipeline
from strokewise.support.paths import DVC_LOCK_FILE, MODEL_DIR, PAINTINGS_DIR, REPORT_DIR

CONTACT_SHEET = PAINTINGS_DIR / "contact-sheet.png"
NEEDED_PATHS = (MODEL_DIR, REPORT_DIR / "details.json", REPORT_DIR / "metrics.json", CONTACT_SHEET)


@contextlib.contextmanager
def base_results(root: Path, sha: str, run: bool) -> Iterator[Path]:
    """Yield a folder with the `NEEDED_PATHS` of a commit, for the block.

    Args:
        root: the checkout.
        sha: the commit.
        run: run its pipeline apart from the working tree if DVC's cache lacks its results.

    Raises UserError if the cache lacks them and they are not to be made again, or cannot be.
    """
    text = git(root, "show", f"{sha}:./{DVC_LOCK_FILE}")
    if not text:
        raise UserError(f"{sha[:8]} has no {DVC_LOCK_FILE}: there is no result to compare with; name another commit")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "base"
        missing = _fetch(root, sha, folder)
        if missing is None:
            yield folder
            return
    if not run:
        raise UserError(
            f"{missing} of {sha[:8]} is not in the DVC cache; `dvc fetch --all-commits` gets it if it was pushed, --run"
            " makes it again"
        )
    with open_pipeline(root) as files:
        cache = files.cache
    with checkout.lay_out(root, sha, cache) as laid_out:
        python, _ = environment.environment_for(laid_out.root, root)
        needed = {name: stage for name, stage in parse_lock(text.decode()).items() if name != "explain"}
        checkout.run_pipeline(laid_out, needed, python)
        yield laid_out.root


def _fetch(root: Path, sha: str, folder: Path) -> str | None:
    """Copy what is needed from git and DVC's cache into `folder`; the path that they lack, None if there is none."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    prefix = git_output(root, "rev-parse", "--show-prefix")
    top = git_output(root, "rev-parse", "--show-toplevel")
    local_only = {"core": {"remote": ""}}  # missing files are reported, not downloaded one by one
    try:
        with contextlib.closing(DVCFileSystem(top, rev=sha, subrepos=bool(prefix), config=local_only)) as filesystem:
            for path in NEEDED_PATHS:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                try:
                    filesystem.get(f"{prefix}{path.as_posix()}", str(folder / path), recursive=True)
                except (FileNotFoundError, DataIndexDirError):
                    shutil.rmtree(folder, ignore_errors=True)
                    return path.as_posix()
    except DvcException as error:
        raise UserError(f"the pipeline of {sha[:8]} cannot be read: {one_line(error)}") from None
    return None
