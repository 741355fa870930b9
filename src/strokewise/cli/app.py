"""The command line: all commands, one line for a user's mistake, exit codes. Imports nothing heavy."""

import errno
import io
import os
import sys
from typing import Annotated, NoReturn

import typer

import strokewise
from strokewise.cli import importing, models, project, proof, registry, stages
from strokewise.errors import UserError, one_line, printable
from strokewise.support import extras, signals, temp_folder

app = typer.Typer(
    name="strokewise",
    help="Recognise hand-drawn shapes without collecting a single drawing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (project, stages, models, importing, registry, proof):
    app.add_typer(module.app)

ERRNO_REMEDIES = {  # errors of the file system that a user can fix; any other OSError is a bug of ours
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "allow it"),
    errno.ENOMEM: "close other programs",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), "move it away"),
    errno.EBUSY: "unmount it, or mount the folder around it",
}


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"strokewise {strokewise.__version__}")
        raise typer.Exit


@app.callback()
def _root_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line and exit: 0 done, 2 a user's mistake (one line on stderr), 3 a refusal, 130 SIGINT."""
    # Read when torch is imported: threads that spin while they wait are ten times slower beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # pictures that it cannot read are reported by us
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # for file names that stdout cannot encode
    try:
        app()
    except UserError as error:
        _exit_with(" ".join(str(error).split()), error.exit_code)
    except ModuleNotFoundError as error:
        problem = extras.missing_extra(error)
        if problem is None:
            raise
        _exit_with(str(problem), problem.exit_code)
    except MemoryError as error:
        detail = one_line(error)
        cause = f"there is not enough memory{f' ({detail})' if detail else ''}"
        _exit_with(f"{cause}; close other programs, or give less at a time, and run it again")
    except OSError as error:
        problem_line = _file_system_problem(error)
        if problem_line is None:
            raise
        _exit_with(problem_line)
    except KeyboardInterrupt:
        sys.exit(signals.SIGINT_EXIT_CODE)


def _exit_with(message: str, exit_code: int = UserError.exit_code) -> NoReturn:
    """Print one line on stderr and exit."""
    typer.echo(f"strokewise: {printable(message)}", err=True)
    sys.exit(exit_code)


def _file_system_problem(error: OSError) -> str | None:
    """What is wrong and what helps; None if a user can do nothing about it."""
    if problem := temp_folder.temp_folder_problem(error):
        return problem
    if error.errno not in ERRNO_REMEDIES:
        return None
    cause = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{cause}; {ERRNO_REMEDIES[error.errno]} and run it again"
