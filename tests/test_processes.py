"""Every command that runs for long ends on SIGINT, SIGTERM and SIGHUP and with its parent, with all that it started."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from strokewise.loading import REFERENCE_MODEL
from strokewise.serving.ports import bind_port
from strokewise.support.file_lock import exclusive_lock
from strokewise.support.paths import SCRATCH_DIR

pytestmark = pytest.mark.slow
STROKEWISE = (sys.executable, "-m", "strokewise")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *STROKEWISE[1:])
PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
print(child.pid, flush=True)
print(child.wait())
"""
SMALL = ("--set", "network.image_size=32", "--set", "train.batch_size=32", "--set", "train.threads=1")
LONG_TRAINING = (*SMALL, "--set", "train.epochs=3000")
END_S = 40  # the longest that torchrun waits for its processes


@dataclass(frozen=True)
class Command:
    """A command that runs for long: its words, how one sees that it is at work, and how many processes it starts."""

    words: tuple[str, ...]
    at_work: str  # a pattern in its output; "": all that it starts runs
    children: int = 0
    locks: tuple[str, ...] = ()  # locks of the project that others hold: it waits for them


def waiting(*words: str, lock: str | None = None) -> Command:
    """A command that waits for the lock of its stage: it has imported all that it needs."""
    return Command((*STROKEWISE, *words), "waiting for process", locks=(lock or words[0],))


COMMANDS = {
    "ui": Command((*STROKEWISE, "ui", "--port", "PORT"), "shows the runs at", 3),  # the supervisor and MLflow's two
    "serve": Command((*STROKEWISE, "serve", "--model", str(REFERENCE_MODEL), "--port", "PORT"), "answers at"),
    "generate": Command((*STROKEWISE, "generate", "--set", "generate.train=90000"), "", 3),
    "train": Command((*STROKEWISE, "train", *LONG_TRAINING), r"train: +[1-9]\d*/"),
    "train on two": Command((*TORCHRUN, "train", *LONG_TRAINING), r"train: +[1-9]\d*/", 2),
    "train --live": Command((*STROKEWISE, "train", "--live", *LONG_TRAINING), r"train: +[1-9]\d*/", 1),
    "baseline": waiting("baseline"),
    "evaluate": waiting("evaluate"),
    "explain": waiting("explain"),
    "register": waiting("register"),
    "curve": waiting("curve"),
    "import": waiting("import", "drawn"),
    "reference": Command((sys.executable, "-m", "strokewise.reference", "train"), "", 3),
}
ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, None]  # None: the parent is killed
UNLIKE = ("ui", "serve", "generate", "train on two")  # each ends its processes in a way of its own: by every end
SHARED_ENDS = [end for end in ENDS if end != signal.SIGKILL]  # those that the code the others share sees
CASES = [
    (name, end)
    for number, name in enumerate(COMMANDS)
    for end in (ENDS if name in UNLIKE else [SHARED_ENDS[number % len(SHARED_ENDS)]])
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, root: Path, database: Path) -> Path:
    """A project with few paintings and an empty store."""
    folder = tmp_path_factory.mktemp("template")
    for outlines in sorted((root / "data" / "outlines").iterdir())[:3]:
        shutil.copytree(outlines, folder / "data" / "outlines" / outlines.name)
        (folder / "drawn" / outlines.name).mkdir(parents=True)
        cv2.imwrite(str(folder / "drawn" / outlines.name / "one.png"), np.full((20, 20), 255, np.uint8))
    shutil.copy(root / "params.yaml", folder)
    shutil.copy(database, folder / "mlflow.db")
    sizes = [word for size in ("train=96", "validation=32", "test=16") for word in ("--set", f"generate.{size}")]
    subprocess.run([*STROKEWISE, "generate", *sizes], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A copy of the project, in which nothing has been trained."""
    return Path(shutil.copytree(template, tmp_path / "project"))


@dataclass
class Running:
    """A command at work: its parent, itself and all processes below it."""

    parent: "subprocess.Popen[str]"
    process: psutil.Process
    below: list[psutil.Process]

    def exit_code(self) -> int:
        """What the parent got: 128 + n, or -n where the signal itself ended the command."""
        output, _ = self.parent.communicate(timeout=END_S)
        return int(output)


@contextmanager
def running(command: Command, folder: Path) -> Iterator[Running]:
    """Start a command as the child of another process, without a terminal, and wait until it is at work."""
    with bind_port("127.0.0.1", 0) as probe:
        port = str(probe.getsockname()[1])
    words = [port if word == "PORT" else word for word in command.words]
    log = folder / "output"
    with ExitStack() as stack:
        for lock in command.locks:
            stack.enter_context(exclusive_lock(folder / SCRATCH_DIR / f"{lock}.lock"))
        output = stack.enter_context(log.open("wb"))
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, *words], cwd=folder, stdout=subprocess.PIPE, stderr=output, text=True,
            start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert parent.stdout is not None
        below: list[psutil.Process] = []
        try:
            process = psutil.Process(int(parent.stdout.readline()))
            wait_until(
                lambda: (
                    not process.is_running()
                    or (re.search(command.at_work, log.read_text()) and len(process.children(True)) >= command.children)
                )
            )
            assert process.is_running(), log.read_text()
            below = process.children(recursive=True)
            yield Running(parent, process, below)
        finally:
            for each in (*below, process):
                if is_alive(each):
                    each.kill()
            parent.kill()
            parent.wait()
            parent.stdout.close()


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@pytest.mark.parametrize(("name", "end"), CASES, ids=lambda value: getattr(value, "name", value or "parent"))
def test_command_ends_with_all_its_processes(name: str, end: signal.Signals | None, project: Path) -> None:
    with running(COMMANDS[name], project) as command:
        if end is None:
            command.parent.kill()
        else:
            command.process.send_signal(end)
            if end != signal.SIGKILL and COMMANDS[name].words[:3] != TORCHRUN[:3]:  # torchrun has codes of its own
                assert command.exit_code() == 128 + end, (project / "output").read_text()
        family = [command.process, *command.below]
        if name == "train on two" and end is None:
            family = []  # torchrun itself goes on, as any process that is not ours
        wait_until(lambda: not any(map(is_alive, family)), END_S)
        assert "Traceback" not in (project / "output").read_text() or name == "train on two"
    if end != signal.SIGKILL:  # after which nobody can clear up; doctor names what is left
        assert not list(project.rglob(".*.????????/")), "half a file"


@pytest.mark.parametrize(
    ("prefix", "ended_by"),
    [
        (["nohup"], signal.SIGHUP),
        (["nohup"], None),
        (["setsid"], None),
        (["sh", "-c", '"$@" & wait', "sh"], None),
        (["env", "DVC_STAGE=train"], None),
    ],
)
def test_command_that_was_started_to_stay_outlives_its_parent(
    prefix: list[str], ended_by: signal.Signals | None, project: Path
) -> None:
    serve = COMMANDS["serve"]
    shell = prefix[0] == "sh"
    with running(Command((*prefix, *serve.words), serve.at_work, int(shell)), project) as command:
        (server,) = command.below or [command.process]
        if ended_by:
            server.send_signal(ended_by)
        else:
            command.parent.kill()
            command.process.kill() if shell else None
        time.sleep(2)
        assert is_alive(server)
        server.terminate()
        wait_until(lambda: not is_alive(server), END_S)
