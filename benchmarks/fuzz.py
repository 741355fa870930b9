"""Try damaged inputs on the functions that read them: none may crash, hang, fill memory or end in a traceback.

    python benchmarks/fuzz.py [KIND ...] [--seconds 20] [--seed 0] [--keep FOLDER]
    python benchmarks/fuzz.py KIND --replay FILE ...

Input n of a kind is a function of the seed and n: a valid one, changed. It is read in a process of its own, which is
replaced when it dies. A finding is any outcome but a result or a UserError of one bounded, printable line: another
exception, more than a second of processor time, no end within thirty, more memory than the bound, a crash. The first of
each cause is saved as FOLDER/KIND-SEED-N_NAME; `--replay` reads such files again. `http` starts `strokewise serve` on a
free loopback port. Linux only. Exits with 1 if anything was found.
"""

import argparse
import collections
import contextlib
import io
import multiprocessing
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from fuzzing.mutation import mutate
from fuzzing.targets import TARGETS, Target, make_model

from strokewise.errors import UserError, printable

MEMORY_MB = {"pictures": 1024}  # of one input; a picture of the largest permitted size takes half of it. Others:
DEFAULT_MEMORY_MB = 512
SLOW_S, HANGS_S = 1.0, 30.0  # processor time, and time on the wall, as a busy machine lets processes wait
START_S = 120.0  # to import everything and read the valid inputs, on a busy machine
MAX_MESSAGE = 700  # characters, with the names of files in it
OUT_OF_MEMORY = ("enough memory", "little memory")  # in a UserError's text
CURRENT = "current-input"  # the file in the working folder that a dead process leaves behind


@dataclass(frozen=True)
class Report:
    """What one input did: its number, name and content, "read", "refused" or "found", the cause, and what it took."""

    number: int
    name: str
    content: bytes
    outcome: str
    cause: str = ""
    seconds: float = 0.0
    """Of processor time."""
    megabytes: float = 0.0
    """How much larger the reading process has become, since it started."""


def make_input(target: Target, seed: int, number: int) -> tuple[str, bytes]:
    """Name and content of an input."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311
    name, content = rng.choice(target.valid)
    return name, mutate(rng, content, target.words, [content for _, content in target.valid])


def try_input(target: Target, name: str, content: bytes) -> tuple[str, str]:
    """Read an input: ("read", ""), ("refused", the message) or ("found", the cause)."""
    try:
        target.read(name, content)
    except UserError as error:
        message = " ".join(str(error).split())
        if any(words in message for words in OUT_OF_MEMORY):
            return "found", f"out of memory: {message[:100]}"
        if not message or len(message) > MAX_MESSAGE or "report it as a bug" in message:
            return "found", f"message of {len(message)} characters: {printable(message[:200])}"
        return "refused", message
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "strokewise" in frame.filename] or frames
        return (
            "found",
            f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}: {printable(str(error)[:100])}",
        )
    return "read", ""


def peak_mb(pid: int) -> float:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def processor_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def work(kind: str, address: str, server: int, seed: int, first: int, folder: str, connection: Connection) -> None:
    """Read the inputs from number `first` on and send a Report of each; `server` reads them, 0: this process."""
    os.chdir(folder)
    target, bound = TARGETS[kind](address), MEMORY_MB.get(kind, DEFAULT_MEMORY_MB)
    for name, content in target.valid:  # imports, and fills caches
        with contextlib.redirect_stderr(io.StringIO()):  # bars of progress
            outcome, cause = try_input(target, name, content)
        assert outcome == "read", f"{name} is not valid: {cause}"
    if not server:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 2 * bound * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is not in a message of ours
    pid = server or os.getpid()
    start = peak_mb(pid)
    for number in range(first, sys.maxsize):
        name, content = make_input(target, seed, number)
        Path(CURRENT).write_bytes(name.encode() + b"\0" + content)
        before = processor_s(pid)
        outcome, cause = try_input(target, name, content)
        seconds, megabytes = processor_s(pid) - before, peak_mb(pid) - start
        if outcome != "found" and seconds > SLOW_S:
            outcome, cause = "found", f"slow: {cause[:60]}"
        if megabytes > bound:
            outcome, cause = "found", f"memory: {cause[:60]}"
        kept = content if outcome == "found" else b""
        connection.send(Report(number, name, kept, outcome, cause, seconds, megabytes))
        if megabytes > bound:
            return  # a new process begins with less


def reports(kind: str, seed: int, end: float) -> Iterator[Report]:
    """A Report of each input in turn until the time `end`."""
    number = 0
    with contextlib.ExitStack() as stack:
        address, server = stack.enter_context(running_server()) if kind == "http" else ("", 0)
        while time.monotonic() < end:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                connection, other_end = multiprocessing.Pipe()
                arguments = (kind, address, server, seed, number, folder, other_end)
                worker = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
                worker.start()
                other_end.close()
                patience = START_S
                try:
                    while time.monotonic() < end:
                        if not connection.poll(patience):
                            raise TimeoutError
                        report = connection.recv()
                        yield report
                        number, patience = report.number + 1, HANGS_S
                except (EOFError, TimeoutError) as error:
                    if isinstance(error, EOFError):
                        worker.join()
                    if isinstance(error, EOFError) and worker.exitcode == 0:
                        continue
                    assert Path(folder, CURRENT).exists(), "the valid inputs could not be read"
                    name, _, content = Path(folder, CURRENT).read_bytes().partition(b"\0")
                    cause = "hangs" if worker.exitcode is None else f"crash with exit code {worker.exitcode}"
                    yield Report(number, name.decode(), content, "found", cause)
                    number += 1
                finally:
                    worker.kill()
                    worker.join()


def fuzz(kind: str, seconds: float, seed: int, keep: Path) -> int:
    """Fuzz a kind, save what is found and print a summary; returns the number of different causes."""
    counts: collections.Counter[str] = collections.Counter()
    causes: collections.Counter[str] = collections.Counter()
    slowest = largest = Report(0, "", b"", "")
    start = time.monotonic()
    for report in reports(kind, seed, start + seconds):
        counts[report.outcome] += 1
        slowest = max(slowest, report, key=lambda one: one.seconds)
        largest = max(largest, report, key=lambda one: one.megabytes)
        if report.outcome == "found":
            cause = report.cause.partition(": ")[0]
            causes[cause] += 1
            if causes[cause] == 1:
                file = keep / f"{kind}-{seed}-{report.number}_{report.name}"
                keep.mkdir(parents=True, exist_ok=True)
                file.write_bytes(report.content)
                print(f"  {file}: {report.cause}", flush=True)
    total = counts.total()
    print(
        f"{kind}, seed {seed}: {total:,} inputs, {total / (time.monotonic() - start):.0f} a second; {counts['read']:,}"
        f" read, {counts['refused']:,} refused, {counts['found']:,} findings of {len(causes)} causes; the slowest"
        f" {slowest.seconds:.2f} s (input {slowest.number}), memory {largest.megabytes:.0f} MB",
        flush=True,
    )
    return len(causes)


@contextlib.contextmanager
def running_server() -> Iterator[tuple[str, int]]:
    """The port and the process of `strokewise serve` with an untrained model, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        command = [sys.executable, "-m", "strokewise", "serve", "--port", port, "--model", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert server.stdout is not None
            assert b"answers" in server.stdout.readline()
            yield port, server.pid
            assert server.poll() is None, "the server has died"
        finally:
            server.terminate()
            server.wait()


def replay(kind: str, files: list[Path]) -> None:
    """Read saved inputs again in this process and print what happens."""
    contents = {file.name.partition("_")[2]: file.read_bytes() for file in files}
    with contextlib.ExitStack() as stack:
        address, _ = stack.enter_context(running_server()) if kind == "http" else ("", 0)
        os.chdir(stack.enter_context(tempfile.TemporaryDirectory()))
        target = TARGETS[kind](address)
        for name, content in contents.items():
            start = time.process_time()
            print(name, *try_input(target, name, content), f"{time.process_time() - start:.2f} s", sep=": ")


def main() -> None:
    """Fuzz the kinds one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(TARGETS)}; by default all")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(".strokewise/fuzz"), help="the folder for what is found")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="read saved inputs again")
    args = parser.parse_args()
    if unknown := set(args.kinds) - TARGETS.keys():
        parser.error(f"there is no kind {unknown.pop()}; there are {', '.join(TARGETS)}")
    os.environ["PYTHONWARNINGS"] = (
        "ignore::UserWarning:multiprocessing.resource_tracker"  # of processes that are killed
    )
    if args.replay:
        replay(args.kinds[0], args.replay)
        return
    found = [fuzz(kind, args.seconds, args.seed, args.keep) for kind in args.kinds or TARGETS]
    sys.exit(1 if any(found) else 0)


if __name__ == "__main__":
    main()
