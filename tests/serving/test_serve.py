"""`strokewise serve` as a process: one server for all tests, with the champion, and real requests."""

import base64
import contextlib
import http.client
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from strokewise.data.dataset import load_scenes
from strokewise.data.png import encode_png
from strokewise.errors import RegistryError
from strokewise.loading import find_model
from strokewise.params import Params
from strokewise.recogniser import Recogniser
from strokewise.serving.ports import bind_port
from strokewise.serving.serve import serve_model
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
JSON_HEADERS = {"Content-Type": "application/json"}
MALFORMED_REQUESTS = 1000
MAX_MEMORY_GROWTH = 600 * 2**20  # bytes, under malformed requests


def start_server(root: Path, port: int, *options: str) -> "subprocess.Popen[str]":
    """Start `strokewise serve`, and wait until it answers."""
    command = [sys.executable, "-m", "strokewise", "serve", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    output = []
    for line in process.stdout:
        output.append(line)
        if "answers at" in line:
            return process
    raise AssertionError("".join(output))


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, database: Path, states: Callable[..., Path]
) -> Iterator[tuple[Path, int, "subprocess.Popen[str]"]]:
    """A project whose CNN is champion, the port of its server, and the server's process."""
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(states() / "data", root / "data")
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(database, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        register(Params.load(ROOT / "params.yaml"))
        with bind_port("127.0.0.1", 0) as probe:
            port = probe.getsockname()[1]
        process = start_server(root, port)
        try:
            yield root, port, process
            assert process.poll() is None, "it crashed"
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        assert process.returncode == 130


def request(
    port: int, body: Any, headers: dict[str, str] = JSON_HEADERS, method: str = "POST", path: str = "/invocations"
) -> Any:
    """Status and content of the response; (0, None) if the server closed the connection."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read().strip() or b"null")
    except (ConnectionError, http.client.BadStatusLine):
        return 0, None
    finally:
        connection.close()


def load(root: Path, *indices: int) -> list[Any]:
    return list(load_scenes("test", list(indices), root / "data" / "paintings"))


def encode(scene: Any) -> str:
    return base64.b64encode(encode_png(scene)).decode()


def test_answers_are_those_of_predict_and_errors_name_the_item(server: Any) -> None:
    root, port, _ = server
    first, second = load(root, 1, 2)
    expected = Recogniser(root / "data" / "model").predict([first, second])
    wrong = [None, 5, {"a": 1}, "?", "", [[1, 2], [3]], [["text"]], [[[[1]]]], base64.b64encode(b"no picture").decode()]
    blank = np.full((32, 32), 255, np.uint8)
    status, content = request(port, {"inputs": [encode(first), second.tolist(), *wrong, encode(blank), encode(first)]})
    assert (status, list(content)) == (200, ["predictions"])
    answers = content["predictions"]
    for answer, prediction in zip(answers[:2], expected, strict=True):
        assert set(answer) == {"shape", "confidence", "scores"}
        assert answer["shape"] == prediction.shape
        assert answer["confidence"] == pytest.approx(prediction.confidence, abs=1e-6)
        assert answer["scores"] == pytest.approx(prediction.scores, abs=1e-6)
    for index, answer in enumerate(answers[2:-1], 2):
        assert list(answer) == ["error"]
        assert answer["error"].startswith(f"item {index}: ")
    assert answers[-1]["scores"] == pytest.approx(answers[0]["scores"], abs=1e-6)
    strokes = [[[10, 90], [50, 10], [90, 90], [10, 90]]]
    (expected_strokes,) = Recogniser(root / "data" / "model").predict({"strokes": strokes})
    text = base64.b64encode(json.dumps(strokes).encode()).decode()
    for content in (
        {"inputs": [{"strokes": strokes}, text]},
        {"instances": [{"picture": {"strokes": strokes}}, text]},
        {"dataframe_split": {"columns": ["picture"], "data": [[{"strokes": strokes}], [text]]}},
    ):
        for answer in request(port, content)[1]["predictions"]:
            assert answer["scores"] == pytest.approx(expected_strokes.scores, abs=1e-6)
    large = np.full((4097, 4097), 255, np.uint8)
    assert "4097×4097 pixels; at most" in request(port, {"inputs": [encode(large)]})[1]["predictions"][0]["error"]


def test_curl_command_of_the_readme_works(server: Any, root: Path) -> None:
    folder, port, _ = server
    (folder / "drawing.png").write_bytes(encode_png(load(folder, 2)[0]))
    (example,) = (line for line in (root / "README.md").read_text().splitlines() if "curl" in line)
    command = example.partition("  #")[0].replace(":5001", f":{port}")
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["shape"] == "ring"


def test_status_paths_answer_and_others_do_not_exist(server: Any) -> None:
    _, port, _ = server
    for path in ("/ping", "/health"):
        assert request(port, b"", {}, "GET", path)[0] == 200
    for path in ("/docs", "/openapi.json", "/feedback", "/invocations/"):
        assert request(port, b"", {}, "GET", path)[0] == 404


def malformed_request(seed: int, valid: str) -> tuple[bytes, dict[str, str], str, str]:
    """Body, headers, method and path of a random malformed request; `valid` is a picture that could be answered."""
    draw = random.Random(seed)  # noqa: S311 - a seed, not a secret
    whole = json.dumps({"inputs": [valid, [[0, 1] * 5] * 10]}).encode()
    deep = draw.randrange(17, 100_000)
    headers, method, path = dict(JSON_HEADERS), "POST", "/invocations"
    match seed % 12:
        case 0:
            body = whole[: draw.randrange(len(whole))]
        case 1:
            at = draw.randrange(len(whole))
            body = whole[:at] + draw.randbytes(draw.randrange(1, 9)) + whole[at + 1 :]
        case 2:
            body = draw.randbytes(draw.randrange(5000))
        case 3:
            opening = draw.choice(["[", '{"a":', '{"inputs":[', "[{},"])
            body = (opening * deep + draw.choice(["", "1", "]" * deep])).encode()
        case 4:
            odd = draw.choice([None, True, 5, -1.5, "a", [], {}, [[]], {"inputs": 1}, [None], 10**400, "\ud800"])
            many = [odd] * draw.randrange(90)
            key = draw.choice(["strokes", "points", "drawing", "x", "elements", "\ud800"])
            content = draw.choice(
                [
                    *({"inputs": odd}, {"inputs": many}, [odd], odd, {"instances": odd}, {"instances": [{key: odd}]}),
                    *({"dataframe_split": odd}, {"dataframe_split": {"columns": ["a"], "data": [[odd]]}}),
                    {"inputs": [{key: odd}, {key: [odd, odd]}, {key: [[odd, odd]]}, {key: {key: odd}}]},
                    {"inputs": [base64.b64encode(json.dumps([many, {key: many}]).encode()).decode()]},
                ]
            )
            body = json.dumps(content).encode()
        case 5:
            key = draw.choice(
                ["instances", "dataframe_split", "dataframe_records", "prompt", "messages", "params", "x"]
            )
            body = json.dumps({key: [valid], **({"inputs": [valid]} if draw.random() < 0.5 else {})}).encode()
        case 6:
            body = whole
            types = ["", "text/csv", "text/plain", "application/json; charset=latin-1", "application/json; a=b", "\x01"]
            headers = {"Content-Type": draw.choice([*types, "application/vnd.apache.parquet", "x" * 3000])}
        case 7:
            body = whole
            method = draw.choice(["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "NONSENSE"])
            path = draw.choice(["/invocations", "/", "/ping", "/docs", "/../etc/passwd", "/%00", "/inv" + "x" * 3000])
            if method == "GET" and path in ("/", "/ping"):
                method = "PUT"
        case 8:
            broken = bytearray(base64.b64decode(valid))
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


def test_malformed_requests_are_refused_and_do_no_harm(server: Any) -> None:
    root, port, process = server
    valid = encode(load(root, 2)[0])
    memory = psutil.Process(process.pid)
    before = memory.memory_info().rss
    statuses: dict[int, int] = {}
    for seed in range(MALFORMED_REQUESTS):
        body, headers, method, path = malformed_request(seed, valid)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            status = connection.getresponse().status
        except (ConnectionError, http.client.BadStatusLine):
            status = 0
        except (ValueError, http.client.InvalidURL):
            status = -1  # the client refuses to send it
        finally:
            connection.close()
        assert status < 500, (seed, status, body[:200], headers)
        statuses[status] = statuses.get(status, 0) + 1
    assert statuses[400] > 300
    assert statuses.get(0, 0) + statuses.get(-1, 0) < 100, statuses
    assert memory.memory_info().rss - before < MAX_MEMORY_GROWTH
    assert request(port, {"inputs": [valid]})[1]["predictions"][0]["shape"] == "ring"


def test_large_chunked_slow_and_incomplete_requests_do_no_harm(server: Any) -> None:
    root, port, process = server
    memory = psutil.Process(process.pid)
    before = memory.memory_info().rss
    status, content = request(port, b" " * 50_000_000)
    assert (status, "larger than" in content["message"]) == (413, True)

    def send_raw(*parts: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            for part in parts:
                connection.sendall(part)
            return connection.recv(4096)

    head = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    assert (
        b" 413 " in send_raw(head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20, b"0\r\n\r\n").splitlines()[0]
    )
    assert b" 400 " in send_raw(head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n").splitlines()[0]
    assert b" 400 " in send_raw(b"\x16\x03\x01 nonsense\r\n\r\n").splitlines()[0]
    assert (
        b" 415 "
        in send_raw(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}").splitlines()[0]
    )
    for _ in range(20):  # announce a body and disconnect
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(head + b"Content-Length: 1000000\r\n\r\n" + b" " * 1000)
    slow = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(50)]
    for connection in slow:
        connection.sendall(head + b"Content-Length: 1000000\r\n\r\n{")
    valid = {"inputs": [encode(load(root, 2)[0])]}
    assert request(port, valid)[0] == 200  # slow clients do not block others
    for connection in slow:
        connection.close()
    bomb = {"inputs": [[["a" * 4000, *[1] * 400_000]]]}  # NumPy would need 6 GB
    assert "holds text" in request(port, bomb)[1]["predictions"][0]["error"]
    codes: list[int] = []
    largest = json.dumps({"inputs": [[[0.5] * 1000] * 1000]}).encode()
    threads = [threading.Thread(target=lambda: codes.append(request(port, largest)[0])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {200, 503}
    assert memory.memory_info().rss - before < MAX_MEMORY_GROWTH
    assert request(port, valid)[0] == 200


def test_hundreds_of_half_requests_keep_nobody_from_an_answer(server: Any) -> None:
    root, port, _ = server
    valid = {"inputs": [encode(load(root, 2)[0])]}
    begun = (b"", b"POST", b"POST /invocations HTTP/1.1\r\nHo", b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
    body = (
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    with contextlib.ExitStack() as stack:
        for begin in (*begun, body):
            for _ in range(520):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
                connection.sendall(begin)
            assert request(port, valid)[0] == 200
            assert request(port, b"", {}, "GET", "/health")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5001", "localhost.evil.example", "192.0.2.1", "*", ""])
def test_host_of_another_name_is_refused_with_421(server: Any, host: str) -> None:
    _, port, _ = server
    for method, path in (("GET", "/ping"), ("GET", "/version"), ("POST", "/invocations"), ("GET", "/nothing")):
        status, content = request(port, b"{}", JSON_HEADERS | {"Host": host}, method, path)
        assert (status, content["error_code"]) == (421, "BAD_REQUEST")
        assert "start it with --allowed-hosts" in content["message"]
    assert request(port, b"", {"Host": f"localhost:{port}"}, "GET", "/ping")[0] == 200


def test_allowed_hosts_are_named_by_option(server: Any) -> None:
    root, _, _ = server
    with bind_port("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    process = start_server(root, port, "--allowed-hosts", "a.example, b.example", "--allowed-hosts", "c.example")
    try:
        for host in ("a.example", "b.example:80", "C.example", "localhost"):
            assert request(port, b"", {"Host": host}, "GET", "/ping")[0] == 200
        assert request(port, b"", {"Host": "d.example"}, "GET", "/ping")[0] == 421
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_invalid_port_or_model_exits_with_2_and_one_line(server: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    root, port, _ = server
    damaged = tmp_path / "damaged"
    shutil.copytree(root / "data" / "model", damaged)
    (damaged / "model.onnx").write_bytes(b"x")
    for options, message in (
        (["--port", str(port)], f"cannot listen on 127.0.0.1:{port} (Address already in use); take another"),
        (["--model", "data/nothing"], "no model in data/nothing: model.onnx is missing"),
        (["--model", "models:/x"], "names no registered model"),
        (["--allowed-hosts", "http://a.example"], "--allowed-hosts 'http://a.example' is no host; write names"),
        (["--model", str(damaged)], "no model that this version of strokewise wrote"),
    ):
        done = run("serve", *(options if "--port" in options else [*options, "--port", str(port + 1)]), cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_every_way_to_name_a_model_leads_to_a_model_folder(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root, _, _ = server
    monkeypatch.chdir(root)
    folder, name = find_model(None)
    assert (name, (folder / "config.json").is_file()) == ("the champion", True)
    packaged = folder.parents[1]
    assert (packaged / "MLmodel").is_file()
    for model in ("champion", "models:/strokewise/1", str(packaged), str(folder)):
        assert find_model(model) == (folder, model)
    assert find_model("data/model") == (Path("data/model"), "data/model")


def test_port_is_taken_before_the_model_is_loaded(tmp_path: Path) -> None:
    with bind_port("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(RegistryError, match="cannot listen on"):
            serve_model("127.0.0.1", taken.getsockname()[1], lambda: pytest.fail("it was loaded"), print)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_ends_the_server_after_the_running_request(server: Any, number: signal.Signals) -> None:
    root, _, _ = server
    with bind_port("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    process = start_server(root, port)
    body = json.dumps({"inputs": [encode(np.full((4000, 4000), 255, np.uint8))] * 9}).encode()
    answered: list[int] = []
    client = threading.Thread(target=lambda: answered.append(request(port, body)[0]))
    client.start()
    time.sleep(0.3)
    process.send_signal(number)
    client.join()
    process.communicate(timeout=30)
    assert (answered, process.returncode) == ([200], 128 + number)


def test_second_sigint_ends_the_server_at_once(server: Any) -> None:
    root, _, _ = server
    with bind_port("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    process = start_server(root, port)
    body = json.dumps({"inputs": [encode(np.full((4000, 4000), 255, np.uint8))] * 64}).encode()
    answered: list[Any] = []
    client = threading.Thread(target=lambda: answered.append(request(port, body)))
    client.start()
    for _ in range(2):
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=5)
    client.join()
    assert (process.returncode, output) == (130, "")
    status, content = answered[0]
    assert (status, "the server is being ended" in content["message"]) == (503, True)


def test_status_is_answered_while_pictures_are(server: Any) -> None:
    _, port, _ = server
    body = json.dumps({"inputs": [encode(np.full((4000, 4000), 255, np.uint8))] * 4}).encode()
    finished: list[float] = []
    threads = [
        threading.Thread(target=lambda: finished.append(request(port, body)[0] and time.monotonic())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert request(port, b"", {}, "GET", "/health")[0] == 200
    answered = time.monotonic()
    for thread in threads:
        thread.join()
    assert answered < min(finished)


def test_server_starts_without_mlflow_torch_or_pandas() -> None:
    heavy = ("mlflow", "torch", "pandas", "fastapi", "sklearn", "onnx", "matplotlib")
    code = (
        "import sys, strokewise.serving.serve, strokewise.registry.versions; "
        f"print(sorted({{name.split('.')[0] for name in sys.modules}} & set({heavy})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
