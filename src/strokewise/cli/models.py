"""The commands that use a model or look at one: predict, export and network; also doctor."""

import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from strokewise.cli.proof import print_findings
from strokewise.cli.stages import Overrides, ParamsFile, help_examples
from strokewise.errors import printable
from strokewise.support.paths import OUTLINES_DIR, PARAMS_FILE

if TYPE_CHECKING:
    from strokewise.recogniser import Prediction

app = typer.Typer()

STDIN = Path("-")
MANY_PICTURES = 1000  # from here on, starting several processes pays
ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="A model folder, a model.onnx, models:/name@alias or an alias; by default the champion, else data/model, "
        "else the reference model of the package.",
    ),
]


@app.command(
    epilog=help_examples(
        "strokewise predict drawing.png",
        "strokewise predict drawings --json --reject-below 0.8",
        "strokewise predict drawing.png --snap --svg clean.svg",
        "curl -s https://example.com/drawing.png | strokewise predict -",
    )
)
def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", help="Pictures, files of strokes, or folders of them; - reads one from standard input."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, with all scores.")] = False,
    model: ModelOption = None,
    reject_below: Annotated[
        float, typer.Option("--reject-below", metavar="P", help="Answer `other` below this confidence, 0 to 1.")
    ] = 0.0,
    strokes: Annotated[
        Literal["points", "columns"] | None,
        typer.Option("--strokes", help="How strokes are written that could be lists of points or of columns."),
    ] = None,
    snap: Annotated[
        bool, typer.Option("--snap", help="Also say where the shape's outline lies: centre, size and angle.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option(
            "--svg",
            metavar="FILE",
            dir_okay=False,
            help="Also write the clean outline over the ink, of several drawings a contact sheet; includes --snap.",
        ),
    ] = None,
    max_misfit: Annotated[
        float | None,
        typer.Option(
            "--max-misfit",
            metavar="M",
            help="Largest misfit of an outline that is accepted with --snap, 0 to 1; by default what suits paintings.",
        ),
    ] = None,
) -> None:
    """Recognise the shape in pictures. Unreadable ones are reported, the others are answered all the same."""
    from strokewise import loading, overlay
    from strokewise.errors import PictureError
    from strokewise.geometry.snap import MAX_MISFIT
    from strokewise.preprocessing.sources import PICTURE_SUFFIXES, STROKE_SUFFIXES, find_pictures
    from strokewise.recogniser import Recogniser
    from strokewise.support import atomic_io, native_output, processes

    if svg is not None:
        atomic_io.replaceable(svg)
    snap = snap or svg is not None
    path, name = loading.find_model(model)
    loaded = Recogniser(path)
    if path == loading.REFERENCE_MODEL:
        typer.echo(f"{printable(name)} answers: there is no champion and no data/model here", err=True)
    pictures, to_read = itertools.tee(find_pictures(paths, PICTURE_SUFFIXES | STROKE_SUFFIXES))
    first = list(itertools.islice(to_read, MANY_PICTURES))
    num_processes = processes.available_cores() if len(first) == MANY_PICTURES else 1
    read_from_stdin: list[bytes] = []

    def to_source(path: Path) -> Path | bytes:
        if path != STDIN:
            return path
        read_from_stdin[:] = [_read_stdin()]
        return read_from_stdin[0]

    sources = (to_source(path) for path in itertools.chain(first, to_read))
    bound = MAX_MISFIT if max_misfit is None else max_misfit
    answers = loaded.stream(sources, reject_below, strokes, num_processes, snap, bound)
    count = failures = 0
    drawn: list[overlay.Overlay] = []
    with native_output.silent_libraries():
        for path, answer in zip(pictures, answers, strict=True):
            count += 1
            if svg is not None and not isinstance(answer, PictureError) and len(drawn) < overlay.MAX_CELLS:
                shown = read_from_stdin[0] if path == STDIN else path
                drawn.append(overlay.make_overlay(str(path), shown, answer, strokes, len(first) > 1))
            if isinstance(answer, PictureError):
                failures += 1
                problem = {"path": str(path), "error": str(answer)}
                typer.echo(
                    json.dumps(problem) if as_json else f"{'-':10}      {printable(f'{path}: {answer}')}",
                    err=not as_json,
                )
            elif as_json:
                typer.echo(json.dumps({"path": str(path), **answer.to_dict()}))
            else:
                line = f"{answer.shape:10} {answer.confidence:4.0%} {printable(path)}"
                typer.echo(f"{line}  {_describe_geometry(answer)}" if snap else line)
    if not count:
        raise PictureError(f"no pictures in {', '.join(map(str, paths))}; name files or folders that hold some")
    if svg is not None and drawn:
        atomic_io.write_text(svg, overlay.overlay_svg(drawn))
        more = f"; the first {len(drawn)} of {count} drawings" if count - failures > len(drawn) else ""
        typer.echo(f"{printable(svg)} written{more}", err=True)
    if failures:
        others = "; the others are answered above" if failures < count else ""
        raise PictureError(f"{failures} of {count} pictures could not be read{others}")


def _describe_geometry(answer: "Prediction") -> str:
    """Centre, size and angle of the outline that was found, or why there is none."""
    if answer.geometry is None:
        return f"no outline: {answer.no_geometry}"
    parameters = answer.geometry.parameters
    (x, y), (width, height) = parameters["centre"], parameters["size"]
    return f"centre {x:.4g}, {y:.4g}  size {width:.4g} × {height:.4g}  angle {parameters['angle']:.1f}°"


def _read_stdin() -> bytes:
    """The bytes on standard input, at most one more than a file may have. Raises PictureError if it is closed."""
    from strokewise.errors import PictureError
    from strokewise.preprocessing.decode import MAX_FILE_BYTES

    if sys.stdin is None:  # Python's answer to a closed descriptor
        raise PictureError("standard input is closed: nothing comes through the pipe; name a file instead of -")
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)


@app.command(
    epilog=help_examples(
        "strokewise export --onnx shapes.onnx",
        "strokewise export --npm my-shapes/",
        "strokewise export --npm my-shapes/ --float16 --model data/model",
    )
)
def export(
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="FILE", dir_okay=False, help="Write the network as one ONNX file.")
    ] = None,
    npm: Annotated[
        Path | None,
        typer.Option(
            "--npm",
            metavar="DIR",
            file_okay=False,
            help="Write a package for browsers and Node into a new folder, which also gives it its name.",
        ),
    ] = None,
    float16: Annotated[
        bool, typer.Option("--float16", help="With --npm: weights of 16 bits, twice as large and nearly exact; else 8.")
    ] = False,
    model: ModelOption = None,
) -> None:
    """Write the model for other runtimes: as an ONNX file, or as a JavaScript package without dependencies."""
    from strokewise import loading
    from strokewise.errors import ModelError
    from strokewise.model.onnx_file import load_onnx
    from strokewise.recogniser import Recogniser
    from strokewise.support import atomic_io

    if onnx is None and npm is None:
        raise ModelError("nothing is named to write; name an ONNX file (--onnx FILE) or a new folder (--npm DIR)")
    if float16 and npm is None:
        raise ModelError("--float16 is for a JavaScript package, and model.onnx is float32; add --npm DIR")
    if npm is not None:
        from strokewise.web import npm_package

        npm_package.check_package_folder(npm)
    if onnx is not None:
        atomic_io.replaceable(onnx)
    path, title = loading.find_model(model)
    loaded = Recogniser(path)
    if onnx is not None:
        loaded.export(onnx)
        typer.echo(f"{printable(onnx)}: {onnx.stat().st_size:,} bytes, {len(loaded.shapes)} classes")
    if npm is not None:
        content = load_onnx(path)
        card = loading.reference_card() if path == loading.REFERENCE_MODEL else npm_package.model_card(content, title)
        snaps = bool(loaded.outlines.strip("{}"))

        def answer(drawing: "npm_package.Drawing") -> dict[str, object]:
            return loaded.predict([drawing], strokes="points", snap=snaps)[0].to_dict()

        npm_package.write_package(npm, content, card, answer, "float16" if float16 else "int8")
        size = sum(file.stat().st_size for file in npm.iterdir())
        typer.echo(f"{printable(npm)}: {size:,} bytes, {len(loaded.shapes)} classes; README.md says how to use it")


@app.command(epilog=help_examples("strokewise network", "strokewise network --set network.depth=2 --shapes 5"))
def network(
    params_file: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
    shapes: Annotated[
        int | None, typer.Option(min=1, help="Number of shapes; by default those of data/outlines and `other`.")
    ] = None,
) -> None:
    """Print the CNN layer by layer, with its cost, and the cost of one fully connected layer instead."""
    from strokewise.model.layers import layer_table
    from strokewise.params import Params

    params = Params.load(params_file, overrides or [])
    outlines = [path for path in OUTLINES_DIR.glob("*") if path.is_dir()]
    typer.echo(layer_table(params.network, shapes or len(outlines) + 1))  # and `other`


@app.command(epilog=help_examples("strokewise doctor", "strokewise doctor --json"))
def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all findings.")] = False) -> None:
    """Check this installation and this folder, and say how to fix what is wrong; exits with 3 if something is."""
    from strokewise.doctor import run_checks
    from strokewise.errors import Refusal

    bad, total = print_findings(run_checks(Path.cwd()), as_json, "usable")
    if bad:
        raise Refusal(f"{bad} of {total} findings are bad; the lines with -> say what to do")
