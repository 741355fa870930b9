"""What only processes of their own can show: a fresh one loads the model, several at once, killed ones, servers."""

# ruff: noqa: S310 - the only URLs opened are those of servers started here

import base64
import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from strokewise.data.dataset import load_scenes
from strokewise.data.png import encode_png
from strokewise.params import Params
from strokewise.registry import store, versions
from strokewise.serving import mlflow_ui
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Put = Callable[..., Path]
AtOnce = Callable[..., list[tuple[int, str, str]]]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

STRANGER = """
import sys
sys.path[:] = [path for path in sys.path if not path.endswith("/src")]
import importlib.util
assert importlib.util.find_spec("strokewise") is None
import base64, json, mlflow.pyfunc, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
text, array = json.load(sys.stdin)
array = np.array(array, np.uint8)
wrong = base64.b64encode(b"no picture").decode()
given = {
    "text": [text], "array": array[None], "list": [array.tolist()], "both": [text, array], "frame": None,
    "wrong": [text, "?", wrong, np.zeros((3, 3)), [[1, 2], [3]], array],
}
import pandas
given["frame"] = pandas.DataFrame({"picture": [text]})
print(json.dumps({name: model.predict(each) for name, each in given.items()}))
print(json.dumps([model.metadata.signature.to_dict(), sorted(set(sys.modules) & {"sklearn", "typer", "matplotlib"})]))
"""


def stranger(uri: str, root: Path, scene: Any) -> list[Any]:
    """What a process without strokewise on its path gets from a registered model."""
    text = base64.b64encode(encode_png(scene)).decode()
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, uri],
        input=json.dumps([text, scene.tolist()]),
        cwd=root,
        env={
            "PATH": os.environ["PATH"],
            "MLFLOW_TRACKING_URI": store.store_address().uri,
            "OMP_WAIT_POLICY": "PASSIVE",
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()[-2:]]


def test_the_champion_loads_without_our_source(project: Put, params: Params) -> None:
    from strokewise.recogniser import Recogniser

    root = project()
    register(params)
    folder = versions.champion_dir()
    assert folder is not None
    assert not [path for path in (root / "mlruns").rglob("*") if path.suffix in (".pkl", ".pickle", ".pyc", ".pt")]
    (scene,) = load_scenes("test", [2])
    expected = Recogniser(folder).predict(scene)[0]
    answers, (signature, modules) = stranger("models:/strokewise@champion", root, scene)
    for name in ("text", "array", "list", "frame"):
        (answer,) = answers[name]
        assert answer["shape"] == expected.shape == "ring"
        assert answer["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
        assert answer["scores"] == pytest.approx(expected.scores, abs=1e-6)
    assert len(answers["both"]) == 2
    assert ["error" in answer for answer in answers["wrong"]] == [False, True, True, True, True, False]
    assert "not base64" in answers["wrong"][1]["error"]
    assert "rows differ in length" in answers["wrong"][4]["error"]
    assert modules == []
    assert json.loads(signature["inputs"]) == [{"type": "any", "required": True}]
    assert set(json.loads(signature["outputs"])[0]["properties"]) == {"shape", "confidence", "scores", "error"}
    with store.connect() as opened:
        (logged,) = opened.client.search_logged_models([opened.experiment() or ""], "tags.model = 'baseline'")
    answers, _ = stranger(f"models:/{logged.model_id}", root, scene)
    assert answers["text"] == answers["list"]
    assert sum(answers["text"][0]["scores"].values()) == pytest.approx(1, abs=1e-5)


def test_the_requirements_name_what_the_packed_code_imports(project: Put, params: Params) -> None:
    import ast

    root = project()
    register(params)
    named = {"cv2": "opencv-python-headless", "ruamel": "ruamel.yaml"}
    for model in (root / "mlruns").rglob("MLmodel"):
        pinned = {line.partition("==")[0] for line in (model.parent / "requirements.txt").read_text().splitlines()}
        if "torch" not in pinned:
            continue  # the baseline's file can also be trained, with what a server does not need
        trees = [ast.parse(path.read_text()) for path in (model.parent / "code").rglob("*.py")]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        others = {name.split(".")[0] for name in found} - sys.stdlib_module_names - {"strokewise"}
        assert {named.get(name, name) for name in others} <= pinned
        return
    raise AssertionError("no CNN was logged")


# --- several at once, and killed ones


def copies(root: Path, count: int, states: Callable[..., Path], hows: list[dict[str, Any]]) -> list[Path]:
    """Checkouts that share the store of `root`, as queued experiments do."""
    made = []
    for number in range(count):
        place = root / f"copy{number}"
        shutil.copytree(states(**hows[number % len(hows)]) / "data", place / "data")
        shutil.copy(root / "params.yaml", place)
        made.append(place)
    return made


REGISTER = "sys.argv = ['strokewise', 'register']; from strokewise.__main__ import main; main()"


def registered(at_once: AtOnce, places: list[Path], root: Path) -> list[str]:
    """What `strokewise register` says in each of these checkouts, all at once."""
    ended = at_once(REGISTER, places, DVC_ROOT=str(root))
    assert [code for code, _, _ in ended] == [0] * len(places), ended
    assert not any("warning" in error for _, _, error in ended), ended
    return [said for _, said, _ in ended]


def test_eight_registers_of_one_model_on_no_database(
    project: Put, states: Callable[..., Path], at_once: AtOnce
) -> None:
    root = project()
    (root / "mlflow.db").unlink()
    said = registered(at_once, copies(root, 8, states, [{}]), root)
    assert sum("Registered version 1, champion" in each for each in said) == 1
    assert sum("already registered: version 1, champion" in each for each in said) == 7
    with store.connect() as opened:
        found = versions.read_snapshot(opened)
        assert len(opened.client.search_runs([opened.experiment() or ""])) == 2
    assert [version.number for version in found.versions] == [1]
    assert [event.what for event in found.events] == ["champion"]


def test_eight_registers_of_eight_models(
    project: Put, states: Callable[..., Path], params: Params, at_once: AtOnce
) -> None:
    root = project()
    hows = [{"seed": seed, "weak": weak} for seed in (0, 1) for weak in (0.0, 0.1, 0.2, 0.25)]
    registered(at_once, copies(root, 8, states, hows), root)
    with store.connect() as opened:
        found = versions.read_snapshot(opened)
        assert len(opened.client.search_runs([opened.experiment() or ""])) == 16
    assert [version.number for version in found.versions] == list(range(1, 9))
    assert len({version.fingerprint for version in found.versions}) == 8
    assert sum(event.what in ("champion", "challenger") for event in found.events) == 8
    assert found.champion is not None
    for how in hows:  # and by the gate's own test none of the others is better
        project(**how)
        done = register(params)
        named = "champion" if done.champion else f"version {found.champion.number}"
        assert "already registered" in done.summary, named
    best = found.champion.decision
    assert best is not None
    assert best["numbers"]["accuracy"]["value"] > 0.95


MOMENTS = {  # SQL that finds something as soon as a register has got so far
    "a model": "select 1 from logged_models",
    "both runs": "select 1 from tags where key = 'complete' group by key having count(*) = 2",
    "a version": "select 1 from model_versions",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_register_is_completed(moment: str, project: Put, run: Run) -> None:
    root = project()
    process = subprocess.Popen([sys.executable, "-m", "strokewise", "register"], cwd=root, stdout=subprocess.DEVNULL)
    with contextlib.closing(sqlite3.connect(root / "mlflow.db", timeout=30)) as connection:
        while connection.execute(MOMENTS[moment]).fetchone() is None:
            assert process.poll() is None
    process.kill()
    process.wait()
    done = run("register", "--strict", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "version 1, champion" in done.stdout
    with store.connect() as opened:
        found = versions.read_snapshot(opened)
        tagged = [each.data.tags for each in opened.client.search_runs([opened.experiment() or ""])]
    assert sorted(tags["model"] for tags in tagged) == ["baseline", "cnn"]
    assert all("complete" in tags for tags in tagged)
    assert found.aliases == {"champion": 1}
    assert [(event.what, event.version) for event in found.events] == [("champion", 1)]


# --- servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(root: Path, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`strokewise ui` in a process of its own, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "strokewise", "ui", "--port", str(port), *words]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "shows the runs at" in line:
                break
        else:
            raise AssertionError("it never answered")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def children(process: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False).stdout.split()
    return [int(child) for child in found] + [deeper for child in found for deeper in children(int(child))]


def test_the_interface_starts_shows_and_ends(project: Put, params: Params, run: Run) -> None:
    root = project()
    register(params)
    with served(root) as (url, process):
        body = json.dumps({"experiment_ids": ["1"]}).encode()
        asked = Request(f"{url}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"})
        shown = json.load(urlopen(asked, timeout=20))["runs"]
        assert sorted(each["info"]["run_name"].split()[0] for each in shown) == ["baseline", "cnn"]
        cnn = next(each["info"]["run_id"] for each in shown if each["info"]["run_name"].startswith("cnn"))
        picture = f"{url}/get-artifact?path=report/mistakes.png&run_uuid={cnn}"
        with urlopen(picture, timeout=20) as answer:
            assert answer.read() == (root / "data/report/mistakes.png").read_bytes()
        port = url.rpartition(":")[2]
        taken = run("ui", "--port", port, cwd=root)
        assert taken.returncode == 2
        assert f"strokewise: cannot listen on 127.0.0.1:{port} (Address already in use); take another" in taken.stderr
        began = children(process.pid)
        assert began
    assert process.returncode == 130
    assert not [child for child in began if Path(f"/proc/{child}").exists()]
    named = run("ui", cwd=root, MLFLOW_TRACKING_URI="http://127.0.0.1:5999")
    assert named.returncode == 0
    assert "open http://127.0.0.1:5999" in named.stdout


def test_a_real_server(tmp_path: Path, project: Put, database: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the artifacts itself, as one for several machines does; then it is gone."""
    root = project()
    (root / "mlflow.db").unlink()
    home = tmp_path / "server"
    home.mkdir()
    shutil.copy(database, home)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        command, cwd=home, env=os.environ | mlflow_ui.UI_ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not mlflow_ui._is_ready(url):
            assert process.poll() is None
            time.sleep(0.2)
        done = run("register", "--strict", cwd=root, MLFLOW_TRACKING_URI=url)
        assert done.returncode == 0, done.stderr
        assert "Registered version 1, champion" in done.stdout
        again = run("register", cwd=root, MLFLOW_TRACKING_URI=url)
        assert "already registered: version 1, champion" in again.stdout
        assert not (root / "mlflow.db").exists()
        assert not (root / "mlruns").exists()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        folder = versions.champion_dir()
        assert folder is not None
        assert folder.is_relative_to(root / ".strokewise")
        for name in ("config.json", "model.safetensors"):
            assert (folder / name).read_bytes() == (root / "data/model" / name).read_bytes()

        answers, _ = stranger("models:/strokewise@champion", root, load_scenes("test", [2])[0])
        assert answers["text"][0]["shape"] == "ring"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        log.close()
    gone = run("register", cwd=root, MLFLOW_TRACKING_URI=url)
    assert gone.returncode == 0
    assert gone.stderr.count("\n") == 1
    assert gone.stderr.startswith(f"strokewise: warning: not registered, nothing is lost: {url}: ")
    assert "Registered not now" in gone.stdout
    assert run("register", "--strict", cwd=root, MLFLOW_TRACKING_URI=url).returncode == 3


def test_a_server_that_takes_ten_seconds_an_answer(project: Put, run: Run) -> None:
    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(10)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    root = project()
    slow = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=slow.serve_forever, daemon=True).start()
    try:
        began = time.monotonic()
        done = run("register", cwd=root, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{slow.server_port}")
    finally:
        slow.shutdown()
        slow.server_close()
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 45
    assert done.stderr.count("\n") == 1
    assert "warning: not registered, nothing is lost" in done.stderr
    assert run("register", "--strict", cwd=root).returncode == 0  # and the rest at the next time
