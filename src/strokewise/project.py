"""`strokewise init`: lays out a project of a user's own, in which `dvc repro` runs the installed strokewise.

Its dvc.yaml is the one of strokewise itself, changed where that names its source: a stage depends on the digest of its
code instead, in a file that a stage of its own, `code`, writes anew in each `dvc repro`. So an upgrade of strokewise
runs the stages again whose code computes something else, and no others.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from strokewise.code_digest import PACKAGE, code_digest, import_closure, json_digest
from strokewise.errors import ProjectError, one_line
from strokewise.support import resources

CODE_DIR = Path("data/code")
README = """# {name}

Hand-drawn shapes, recognised by a network that was trained on synthetic paintings of the outlines in `data/outlines`.

```sh
dvc repro                             # paint, train, compare, explain, register
dvc exp run -S train.epochs=40        # try other parameters: params.yaml explains them
strokewise predict drawing.png        # the champion's answer
strokewise ui                         # compare the runs in MLflow's web interface
```

A new shape is a new folder in `data/outlines` with an SVG in it; a shape that is not needed is a folder to delete. Any
change is followed by `dvc repro`, which runs what it concerns. After an upgrade of strokewise, too: the files in
`data/code` stand for what each stage computes.

Needs Python with `pip install 'strokewise[pipeline]'`, and git.
"""
PIPELINE_HEADER = """\
# What is made from what. `dvc repro` runs what has changed; `dvc dag` draws it.
# The code is that of the installed strokewise; a stage depends on its digest, which the stage `code` writes.

"""


def create_project(folder: Path) -> list[str]:
    """Lay out a project in `folder`, which is created or empty (but for a `.git`), with git and DVC initialised.

    Returns the names of its shapes, sorted. After an error, the folder is as before.

    Raises ProjectError if the folder is not empty or git is missing or fails, ModuleNotFoundError without DVC.
    """
    if find_spec("dvc") is None:
        raise ModuleNotFoundError("No module named 'dvc'", name="dvc")
    if shutil.which("git") is None:
        raise ProjectError("git is not installed or not on PATH; a project needs it: install git")
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is a file; name a folder that does not exist yet, or an empty one")
    existed = folder.exists()
    kept = set(folder.iterdir()) if existed else set()
    if kept - {folder / ".git"}:
        raise ProjectError(f"{folder} is not empty; name a folder that does not exist yet, or an empty one")
    try:
        _write_files(folder)
        _initialise(folder)
    except BaseException:
        for path in set(folder.iterdir()) - kept if folder.exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if folder.exists() and not existed:
            folder.rmdir()
        raise
    return sorted(path.name for path in (folder / "data" / "outlines").iterdir())


def project_pipeline(text: str) -> str:
    """The dvc.yaml of a project, from the text of this package's own: the same stages, without a folder of source."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**16  # no line is broken
    yaml.indent(mapping=2, sequence=4, offset=2)
    head, _, body = text.partition("\nstages:\n")
    command = yaml.load(head)["vars"][0]["strokewise"]
    assert "PYTHONPATH=src " in command
    pipeline = yaml.load(f"stages:\n{body}")
    stages = pipeline["stages"]
    for name, stage in stages.items():
        kept = [path for path in stage["deps"] if not path.startswith("src/")]
        stage["deps"] = sorted([*kept, str(CODE_DIR / name)])
    code = {
        "desc": "Digests of the installed code, a file a stage, so that an upgrade runs the stages that it changes",
        "cmd": "${strokewise} code",
        "always_changed": True,
        "outs": [str(CODE_DIR / name) for name in stages],
    }
    first = next(iter(stages))
    stages.insert(0, "code", code)
    stages.yaml_set_comment_before_after_key(first, before="\n")
    output = io.StringIO()
    yaml.dump({"vars": [{"strokewise": command.replace("PYTHONPATH=src ", "")}]}, output)
    output.write("\n")
    yaml.dump(pipeline, output)
    return PIPELINE_HEADER + output.getvalue()


def write_code_digests(folder: Path = CODE_DIR) -> None:
    """Write a digest of what every stage runs into a file of its name in `folder`.

    It covers the code that the stage imports, as `code_digest` does, and the other files in the folders of that code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((PACKAGE / "stages").glob("[!_]*.py")):
        module = f"stages.{path.stem}"
        rooms = {source.parent for source in import_closure(module)} - {PACKAGE, PACKAGE / "stages"}
        files = {file for room in rooms for file in room.rglob("*") if file.is_file() and file.suffix != ".py"}
        others = sorted(file for file in files if "__pycache__" not in file.parts)
        contents = {str(file.relative_to(PACKAGE)): hashlib.sha256(file.read_bytes()).hexdigest() for file in others}
        digest = json_digest({"code": code_digest(module), "files": contents})
        (folder / path.stem).write_text(f"{digest}\n", encoding="utf-8")


def _write_files(folder: Path) -> None:
    source = resources.template_dir()
    for name in resources.project_files(source):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
    pipeline = (source / "dvc.yaml").read_text(encoding="utf-8")
    (folder / "dvc.yaml").write_text(project_pipeline(pipeline), encoding="utf-8")
    with (folder / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(f"/{CODE_DIR}/\n")
    (folder / "README.md").write_text(README.format(name=folder.resolve().name), encoding="utf-8")


def _initialise(folder: Path) -> None:
    """`git init` and `dvc init`, with DVC's configuration as the template has it."""
    config = (folder / ".dvc" / "config").read_bytes()
    shutil.rmtree(folder / ".dvc")  # `dvc init` refuses a folder that has one
    if not (folder / ".git").exists():
        _run(folder, ["git", "init", "--quiet"])
    _run(folder, [sys.executable, "-m", "dvc", "init", "--quiet"])
    (folder / ".dvc" / "config").write_bytes(config)
    _run(folder, ["git", "add", "--all"])


def _run(folder: Path, command: Sequence[str]) -> None:
    """Run a command in the folder, without DVC's analytics. Raises ProjectError with what it says if it fails."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        name = " ".join(command[-2 - (command[-1] == "--quiet") :][:2])
        raise ProjectError(f"{name} failed in {folder}: {one_line(done.stderr or done.stdout)}")
