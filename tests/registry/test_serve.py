"""`strokewise serve` as a process: one server for all tests here, the champion behind it, real requests."""

import base64
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from strokewise import doctor
from strokewise.data.dataset import load_scenes
from strokewise.data.png import encode_png
from strokewise.params import Params
from strokewise.recogniser import Recogniser
from strokewise.serving import mlflow_ui, serve
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
JSON = {"Content-Type": "application/json"}
KINDS = 1000
MOST_GROWTH = 600 * 2**20  # bytes, of memory under rubbish


def start(root: Path, port: int, *words: str) -> "subprocess.Popen[str]":
    """`strokewise serve` once it answers."""
    command = [sys.executable, "-m", "strokewise", "serve", "--port", str(port), *words]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "answers at" in line:
            return process
    raise AssertionError("".join(said))


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, database: Path, states: Callable[..., Path]
) -> Iterator[tuple[Path, int, "subprocess.Popen[str]"]]:
    """A project whose CNN is champion, and the server that answers for it."""
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(states() / "data", root / "data")
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(database, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        register(Params.load(ROOT / "params.yaml"))
        with mlflow_ui.bind_port("127.0.0.1", 0) as probe:
            port = probe.getsockname()[1]
        process = start(root, port)
        try:
            yield root, port, process
            assert process.poll() is None, "it crashed"
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        assert process.returncode == 130


def ask(port: int, body: Any, headers: dict[str, str] = JSON, method: str = "POST", path: str = "/invocations") -> Any:
    """Status and answer; (0, None) if the server closed a connection that made no sense."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read().strip() or b"null")
    except (ConnectionError, http.client.BadStatusLine):
        return 0, None
    finally:
        connection.close()


def scenes(root: Path, *wanted: int) -> list[Any]:
    return list(load_scenes("test", list(wanted), root / "data" / "paintings"))


def text(scene: Any) -> str:
    return base64.b64encode(encode_png(scene)).decode()


def test_it_answers_as_predict_does_and_names_the_bad_item(served: Any) -> None:
    root, port, _ = served
    first, second = scenes(root, 1, 2)
    expected = Recogniser(root / "data" / "model").predict([first, second])
    wrong = [None, 5, {"a": 1}, "?", "", [[1, 2], [3]], [["text"]], [[[[1]]]], base64.b64encode(b"no picture").decode()]
    blank = np.full((32, 32), 255, np.uint8)
    status, answer = ask(port, {"inputs": [text(first), second.tolist(), *wrong, text(blank), text(first)]})
    assert (status, list(answer)) == (200, ["predictions"])
    told = answer["predictions"]
    for said, known in zip(told[:2], expected, strict=True):
        assert set(said) == {"shape", "confidence", "scores"}
        assert said["shape"] == known.shape
        assert said["confidence"] == pytest.approx(known.confidence, abs=1e-6)
        assert said["scores"] == pytest.approx(known.scores, abs=1e-6)
    for at, said in enumerate(told[2:-1], 2):
        assert list(said) == ["error"]
        assert said["error"].startswith(f"item {at}: ")
    assert told[-1]["scores"] == pytest.approx(told[0]["scores"], abs=1e-6)
    large = np.full((4097, 4097), 255, np.uint8)
    assert "4097×4097 pixels; at most" in ask(port, {"inputs": [text(large)]})[1]["predictions"][0]["error"]


def test_curl_as_the_readme_shows_it(served: Any, root: Path) -> None:
    folder, port, _ = served
    (folder / "drawing.png").write_bytes(encode_png(scenes(folder, 2)[0]))
    (shown,) = (line for line in (root / "README.md").read_text().splitlines() if "curl" in line)
    command = shown.partition("  #")[0].replace(":5001", f":{port}")
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["shape"] == "ring"


def test_health_and_what_is_not_there(served: Any) -> None:
    _, port, _ = served
    for path in ("/ping", "/health"):
        assert ask(port, b"", {}, "GET", path)[0] == 200
    for path in ("/docs", "/openapi.json", "/", "/invocations/"):
        assert ask(port, b"", {}, "GET", path)[0] == 404


def rubbish(kind: int, good: str) -> tuple[bytes, dict[str, str], str, str]:
    """One of endlessly many malformed requests: body, headers, method, path."""
    draw = random.Random(kind)  # noqa: S311 - a seed, not a secret
    whole = json.dumps({"inputs": [good, [[0, 1] * 5] * 10]}).encode()
    deep = draw.randrange(17, 100_000)
    headers, method, path = dict(JSON), "POST", "/invocations"
    match kind % 12:
        case 0:
            body = whole[: draw.randrange(len(whole))]
        case 1:
            at = draw.randrange(len(whole))
            body = whole[:at] + draw.randbytes(draw.randrange(1, 9)) + whole[at + 1 :]
        case 2:
            body = draw.randbytes(draw.randrange(5000))
        case 3:
            opened = draw.choice(["[", '{"a":', '{"inputs":[', "[{},"])
            body = (opened * deep + draw.choice(["", "1", "]" * deep])).encode()
        case 4:
            odd = draw.choice([None, True, 5, -1.5, "a", [], {}, [[]], {"inputs": 1}, [None], 10**400, "\ud800"])
            shell = draw.choice(
                [{"inputs": odd}, {"inputs": [odd] * draw.randrange(90)}, [odd], odd, {"instances": odd}]
            )
            body = json.dumps(shell).encode()
        case 5:
            key = draw.choice(
                ["instances", "dataframe_split", "dataframe_records", "prompt", "messages", "params", "x"]
            )
            body = json.dumps({key: [good], **({"inputs": [good]} if draw.random() < 0.5 else {})}).encode()
        case 6:
            body = whole
            kinds = ["", "text/csv", "text/plain", "application/json; charset=latin-1", "application/json; a=b", "\x01"]
            headers = {"Content-Type": draw.choice([*kinds, "application/vnd.apache.parquet", "x" * 3000])}
        case 7:
            body = whole
            method = draw.choice(["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "NONSENSE"])
            path = draw.choice(["/invocations", "/", "/ping", "/docs", "/../etc/passwd", "/%00", "/inv" + "x" * 3000])
            if (method, path) == ("GET", "/ping"):
                method = "PUT"
        case 8:
            broken = bytearray(base64.b64decode(good))
            for _ in range(draw.randrange(1, 9)):
                broken[draw.randrange(len(broken))] = draw.randrange(256)
            body = json.dumps({"inputs": [base64.b64encode(broken[: draw.randrange(len(broken))]).decode()]}).encode()
        case 9:
            shape = [draw.choice([0, 1, 2, 7, 8, 40]) for _ in range(draw.randrange(1, 6))]
            array = np.full(shape, draw.choice([0, 255, -1, 300, 0.5, 1e308]))
            body = json.dumps({"inputs": [array.tolist(), draw.choice([[[1, 2], [3]], [["a" * 999, 1]] * 9])]}).encode()
        case 10:
            number = draw.choice(["NaN", "Infinity", "1e999", "9" * 5000, "-0", "1e-999", "0x1", "1_000", "+1"])
            body = f'{{"inputs": [[[{number}, 1], [1, 2]]]}}'.encode()
        case _:
            headers |= {draw.choice(["Content-Encoding", "Content-Length", "Expect"]): draw.choice(["gzip", "-1", "x"])}
            body = whole
    return body, headers, method, path


def test_a_thousand_kinds_of_rubbish(served: Any) -> None:
    root, port, process = served
    good = text(scenes(root, 2)[0])
    memory = psutil.Process(process.pid)
    before = memory.memory_info().rss
    statuses: dict[int, int] = {}
    for kind in range(KINDS):
        body, headers, method, path = rubbish(kind, good)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            status = connection.getresponse().status
        except (ConnectionError, http.client.BadStatusLine):
            status = 0
        except (ValueError, http.client.InvalidURL):
            status = -1  # the client would not say that
        finally:
            connection.close()
        assert status < 500, (kind, status, body[:200], headers)
        statuses[status] = statuses.get(status, 0) + 1
    assert statuses[400] > 300
    assert statuses.get(0, 0) + statuses.get(-1, 0) < 100, statuses
    assert memory.memory_info().rss - before < MOST_GROWTH
    assert ask(port, {"inputs": [good]})[1]["predictions"][0]["shape"] == "ring"


def test_large_chunked_slow_and_broken_off(served: Any) -> None:
    root, port, process = served
    memory = psutil.Process(process.pid)
    before = memory.memory_info().rss
    status, answer = ask(port, b" " * 50_000_000)
    assert (status, "larger than" in answer["message"]) == (413, True)

    def raw(*parts: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            for part in parts:
                connection.sendall(part)
            return connection.recv(4096)

    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    assert b" 413 " in raw(head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20, b"0\r\n\r\n").splitlines()[0]
    assert b" 400 " in raw(head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n").splitlines()[0]
    assert b" 400 " in raw(b"\x16\x03\x01 nonsense\r\n\r\n").splitlines()[0]
    assert b" 415 " in raw(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").splitlines()[0]
    for _ in range(20):  # that promise a body and leave
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(head + b"Content-Length: 1000000\r\n\r\n" + b" " * 1000)
    slow = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(50)]
    for connection in slow:
        connection.sendall(head + b"Content-Length: 1000000\r\n\r\n{")
    good = {"inputs": [text(scenes(root, 2)[0])]}
    assert ask(port, good)[0] == 200  # those that dawdle are in nobody's way
    for connection in slow:
        connection.close()
    bomb = {"inputs": [[["a" * 4000, *[1] * 400_000]]]}  # NumPy would want 6 GB
    assert "holds text" in ask(port, bomb)[1]["predictions"][0]["error"]
    codes: list[int] = []
    most = json.dumps({"inputs": [[[0.5] * 1000] * 1000]}).encode()
    threads = [threading.Thread(target=lambda: codes.append(ask(port, most)[0])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {200, 503}
    assert memory.memory_info().rss - before < MOST_GROWTH
    assert ask(port, good)[0] == 200


def test_what_cannot_be_served_is_one_line(served: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    root, port, _ = served
    broken = tmp_path / "broken"
    shutil.copytree(root / "data" / "model", broken)
    (broken / "model.safetensors").write_bytes(b"x")
    for words, said in (
        (["--port", str(port)], f"cannot listen on 127.0.0.1:{port} (Address already in use); take another"),
        ([], "no champion is registered here; run `dvc repro`"),
        (["--model", "data/nothing"], "data/nothing holds no whole model"),
        (["--model", "models:/x"], "names no registered model"),
        (["--model", str(broken)], "holds no network"),
    ):
        done = run("serve", *(words if "--port" in words else [*words, "--port", str(port + 1)]), cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_the_ways_to_name_a_model(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root, _, _ = served
    monkeypatch.chdir(root)
    whole, named = serve.find_packaged(None)
    assert (named, (whole / "MLmodel").is_file()) == ("the champion", True)
    assert (
        serve.find_packaged("champion")[0]
        == serve.find_packaged("models:/strokewise/1")[0]
        == serve.find_packaged(str(whole))[0]
        == whole
    )
    for folder in ("data/model", "data/baseline"):
        packed, named = serve.find_packaged(folder)
        assert (named, (packed / "MLmodel").is_file()) == (folder, True)
        assert packed.is_relative_to(root / ".strokewise")


def test_the_doctor_sees_the_champion_a_lost_one_and_a_move(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, _ = served

    def found(place: Path) -> dict[str, tuple[str, str]]:
        monkeypatch.chdir(place)
        monkeypatch.setattr(doctor, "CHECKS", (doctor.store, doctor.champion))
        return {each.check: (each.state, each.said) for each in doctor.run_checks(place)}

    assert found(root)["champion"] == ("ok", "it loads, and knows 3 shapes")
    moved = tmp_path / "moved"
    shutil.copytree(root, moved, ignore=shutil.ignore_patterns("data"))
    state, said = found(moved)["artifacts"]
    assert (state, said.partition("; ")[0] or said) == ("bad", said.partition("; ")[0])
    assert "the project was moved here from" in said
    (root / "mlruns").rename(root / "elsewhere")
    try:
        assert found(root)["artifacts"] == ("bad", "the files of version 1 are gone")
    finally:
        (root / "elsewhere").rename(root / "mlruns")
    os.truncate(moved / "mlflow.db", 20_000)
    assert found(moved)["store"][0] == "bad"
