"""The command line: all commands, one line for a user's mistake, exit codes. Imports nothing heavy."""

import errno
import io
import os
import sys
from typing import Annotated

import typer

import strokewise
from strokewise.cli import importing, models, project, registry, stages
from strokewise.errors import UserError
from strokewise.support import extras, signals

app = typer.Typer(
    name="strokewise",
    help="Recognise hand-drawn shapes without collecting a single drawing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (project, stages, models, importing, registry):
    app.add_typer(module.app)

ERRNO_REMEDIES = {  # errors of the file system that a user can fix; any other OSError is a bug of ours
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "allow it"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "move it away"),
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
        typer.echo(f"strokewise: {' '.join(str(error).split())}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        problem = extras.missing_extra(error)
        if problem is None:
            raise
        typer.echo(f"strokewise: {problem}", err=True)
        sys.exit(problem.exit_code)
    except OSError as error:
        if error.errno not in ERRNO_REMEDIES:
            raise
        cause = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        typer.echo(f"strokewise: {cause}; {ERRNO_REMEDIES[error.errno]} and run it again", err=True)
        sys.exit(UserError.exit_code)
    except KeyboardInterrupt:
        sys.exit(signals.SIGINT_EXIT_CODE)
