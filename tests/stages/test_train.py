"""The train stage on toy paintings: it learns, repeats to the byte, survives kills, and reports bad input."""

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from strokewise.data.dataset import load_paintings, split_digest
from strokewise.data.outline_files import OUTLINES_FILE
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.data.training_set import load_training_set
from strokewise.errors import ModelError, ParamsError, UserError
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model
from strokewise.model.onnx_file import load_onnx
from strokewise.params import Params
from strokewise.stages import train as stage
from strokewise.stages.train import train
from strokewise.support.paths import PAINTINGS_DIR
from strokewise.training import augment_params, augmentation, checkpoint, finished, trainer

SHAPES = ("bar", "ring", "wedge")
FACTORS = {
    **dict.fromkeys(("turn", "max_turn", "stretch", "min_stretch", "max_stretch"), float),
    "mirrorable": bool,
}
SMALL = [
    *(
        "network.image_size=16",
        "network.base_channels=8",
        "network.max_channels=16",
        "network.extra_filters=2",
        "train.epochs=3",
    ),
    *("train.batch_size=16", "train.threads=1", "train.device=cpu", "train.learning_rate=0.01"),
]


def painting(index: int) -> PaintingRow:
    """A bar, a ring or a wedge of random size and place."""
    rng = np.random.default_rng(index)
    scene = np.full((40, 40), 255, np.uint8)
    x, y, size = rng.integers(15, 25), rng.integers(15, 25), int(rng.integers(8, 14))
    kind = index % len(SHAPES)
    if kind == 0:
        cv2.line(scene, (x - size, y - size // 2), (x + size, y + size // 2), 0, 2, cv2.LINE_AA)
    elif kind == 1:
        cv2.circle(scene, (x, y), size, 0, 2, cv2.LINE_AA)
    else:
        cv2.polylines(scene, [np.array([[x - size, y + size], [x, y - size], [x + size, y + size]])], False, 0, 2)
    png = cv2.imencode(".png", scene)[1].tobytes()
    factors: dict[str, float | bool] = {"turn": float(rng.uniform(-5, 5)), "max_turn": 5.0, "mirrorable": False}
    factors |= dict.fromkeys(("stretch", "min_stretch", "max_stretch"), 1.0)
    return PaintingRow(png, kind, factors)


def paint(count: int, first: int = 0) -> None:
    for split, start, number in (("train", first, count), ("validation", 10_000, 12)):
        rows = (painting(index) for index in range(start, start + number))
        write_shard(PAINTINGS_DIR / split / "00000.parquet", rows, SHAPES, FACTORS)


@pytest.fixture
def workdir(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 48 paintings and params.yaml, as the working directory."""
    (tmp_path / "params.yaml").write_bytes((root / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    paint(48)
    return tmp_path


def params(*overrides: str) -> Params:
    return Params.load(overrides=[*SMALL, *overrides])


def model() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("data/model").iterdir())}


def delete_saved(training_digest: str) -> None:
    """Delete the checkpoint and the finished model of this training."""
    shutil.rmtree(checkpoint.checkpoint_dir(training_digest))
    shutil.rmtree(finished.finished_dir(training_digest))


def history() -> np.ndarray:
    return np.genfromtxt("data/model/history.csv", delimiter=",", names=True)


def test_model_folder_holds_weights_config_and_history(workdir: Path) -> None:
    done = train(params())
    assert sorted(model()) == ["config.json", "history.csv", "model.onnx", "model.safetensors", "snapshots.safetensors"]
    config = json.loads(model()["config.json"])
    assert config["fingerprint"] == done.fingerprint
    assert config["paintings"] == {split: split_digest(split) for split in ("train", "validation")}
    assert config["shapes"] == list(SHAPES)
    assert config["history"] == hashlib.sha256(model()["history.csv"]).hexdigest()
    assert config["training"] | {"device": "cpu", "processes": 1, "epochs": 3} == config["training"]
    assert config["training"]["precision"] in ("float32", "bfloat16")  # what auto came to
    assert set(config["versions"]) >= {"torch", "numpy", "strokewise"}
    assert history()["epoch"].tolist() == [1, 2, 3]
    validation = load_paintings("validation", 16)
    correct = predict_proba(load_model(done.folder), validation.pictures).argmax(1) == validation.labels
    assert correct.mean() == pytest.approx(done.validation_accuracy)
    assert history()["validation_accuracy"][-1] == pytest.approx(done.validation_accuracy, abs=1e-6)


def test_training_repeats_to_the_byte_and_another_seed_differs(workdir: Path) -> None:
    first = train(params())
    bytes_then = model()
    delete_saved(first.training_digest)
    assert train(params()) == first
    assert model() == bytes_then
    assert train(params("train.seed=1")).fingerprint != first.fingerprint
    assert model()["model.safetensors"] != bytes_then["model.safetensors"]


def test_finished_training_is_taken_up_without_its_checkpoint(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = train(params())
    before = model()
    checkpoint.prune_checkpoints(keep=0)
    shutil.rmtree("data/model")  # as DVC does before it runs the stage
    monkeypatch.setattr(trainer, "train_step", lambda *_: pytest.fail("it trained again"))
    assert train(params()).fingerprint == done.fingerprint
    assert model() == before


def test_other_outlines_of_the_same_paintings_are_another_model_with_the_same_weights(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, weights = train(params()), model()["model.safetensors"]
    outlines = {SHAPES[0]: {"plain": '<svg data-fit="affine"/>'}}
    (PAINTINGS_DIR / OUTLINES_FILE).write_text(json.dumps(outlines), encoding="utf-8")
    monkeypatch.setattr(trainer, "train_step", lambda *_: pytest.fail("it trained again"))
    after = train(params())
    assert (after.fingerprint != before.fingerprint, after.training_digest) == (True, before.training_digest)
    assert model()["model.safetensors"] == weights
    metadata = load_onnx(after.folder).metadata
    assert metadata["fingerprint"] == json.loads(model()["config.json"])["fingerprint"] == after.fingerprint
    assert json.loads(metadata["outlines"]) == outlines


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "history.csv"])
def test_damaged_finished_training_is_repeated(workdir: Path, name: str) -> None:
    done = train(params())
    before = model()
    checkpoint.prune_checkpoints(keep=0)
    file = finished.finished_dir(done.training_digest) / name
    file.write_bytes(file.read_bytes()[:-300])
    assert train(params()) == done
    assert model() == before


def test_finished_training_of_another_torch_is_repeated(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(params())
    updates, update = [], trainer.train_step
    monkeypatch.setattr(trainer, "train_step", lambda *arguments: (updates.append(1), update(*arguments)))
    monkeypatch.setattr(stage, "version", lambda name: f"another {name}")
    checkpoint.prune_checkpoints(keep=0)
    train(params())
    assert len(updates) == 9
    assert json.loads(model()["config.json"])["versions"]["torch"] == "another torch"


def test_fingerprint_changes_with_what_decides_the_model(workdir: Path) -> None:
    quick = ("train.epochs=1",)
    fingerprints = {train(params(*quick, change)).fingerprint for change in ("train.seed=0", "train.threads=2")}
    fingerprints |= {train(params(*quick, f"train.precision={kind}")).fingerprint for kind in ("float32", "bfloat16")}
    fingerprints.add(train(params(*quick, "network.extra_filters=3")).fingerprint)
    fingerprints.add(train(params(*quick, "evaluate.seed=7")).fingerprint)  # decides nothing here
    paint(48, first=1)
    fingerprints.add(train(params(*quick)).fingerprint)
    assert len(fingerprints) == 5  # one of the two precisions is what auto came to


class Killed(BaseException):
    """As sudden as a kill, within one process."""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("at", [1, 4, 5, 8])
def test_resumed_training_ends_in_the_same_bytes(
    workdir: Path, at: int, precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = params(f"train.precision={precision}")
    train(config)
    expected = model()
    delete_saved(json.loads(expected["config.json"])["training_digest"])
    monkeypatch.setattr(stage, "CHECKPOINT_EVERY_S", 0.0)
    update, steps = trainer.train_step, []

    def dying(*arguments: Any) -> None:
        steps.append(0)
        if len(steps) > at:
            raise Killed
        update(*arguments)

    monkeypatch.setattr(trainer, "train_step", dying)
    with pytest.raises(Killed):
        train(config)
    monkeypatch.setattr(trainer, "train_step", lambda *arguments: (steps.append(1), update(*arguments)))
    train(config)
    assert steps.count(1) == 9 - at
    assert model() == expected


def test_damaged_checkpoint_is_ignored(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = train(params())
    expected = model()
    shutil.rmtree(finished.finished_dir(done.training_digest))
    file = checkpoint.checkpoint_dir(done.training_digest) / checkpoint.CHECKPOINT_FILE
    file.write_bytes(file.read_bytes()[:-9])
    train(params())
    assert "it is damaged" in capsys.readouterr().err
    assert model() == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_convolutions_run_in_the_given_precision(workdir: Path, precision: str) -> None:
    dtypes = set()

    def record_dtype(module: torch.nn.Module, _: Any, maps: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Conv2d) and module.training:
            dtypes.add(maps.dtype)

    hook = torch.nn.modules.module.register_module_forward_hook(record_dtype)
    try:
        train(params("train.epochs=1", f"train.precision={precision}"))
    finally:
        hook.remove()
    assert dtypes == {getattr(torch, precision)}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_overfits_twelve_paintings(workdir: Path, precision: str) -> None:
    paint(12)
    plain = ("train.augment_strength=0", "train.label_smoothing=0", "train.weight_decay=0")
    train(params("train.epochs=60", f"train.precision={precision}", *plain))
    assert history()["loss"][-1] < 0.01
    assert history()["accuracy"][-1] == 1


def test_training_generalises_to_validation_paintings(workdir: Path) -> None:
    paint(96)
    assert train(params("train.epochs=15")).validation_accuracy == 1


@pytest.mark.parametrize("kind", ["fixed", "learned"])
@pytest.mark.parametrize("normalisation", ["group", "none"])
def test_every_architecture_trains(workdir: Path, kind: str, normalisation: str) -> None:
    train(
        params(
            f"network.line_filters={kind}",
            "network.extra_filters=0",
            f"network.normalisation={normalisation}",
            "train.epochs=2",
        )
    )
    assert np.isfinite(history()["validation_loss"]).all()


def test_loss_that_is_not_finite_stops_before_the_update(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "CHECKPOINT_EVERY_S", 0.0)
    apply, steps = augmentation.apply_augment, []

    def overflowing(batch: torch.Tensor, amounts: augment_params.AugmentParams) -> torch.Tensor:
        steps.append(0)
        return apply(batch, amounts) * (float("inf") if len(steps) == 5 else 1)

    monkeypatch.setattr(augmentation, "apply_augment", overflowing)
    with pytest.raises(
        UserError, match=r"not finite: epoch 2, step 2, loss nan; lower train.learning_rate \(it is 0.01\)"
    ):
        train(params())
    assert not Path("data/model").exists()
    (file,) = Path(".strokewise/checkpoints").glob("*/checkpoint.safetensors")
    saved = checkpoint.unpack_checkpoint(file.read_bytes(), file.parent.name)
    assert saved.progress["step"] == 4
    assert all(torch.isfinite(value).all() for value in saved.tensors.values())


def test_full_disk_at_the_end_loses_nothing(workdir: Path) -> None:
    train(params())
    expected = model()
    with _full_disk(1000), pytest.raises(ModelError, match=r"data/model cannot be written: .*; make room, then start"):
        train(params())
    assert model() == expected
    shutil.rmtree("data/model")
    train(params())
    assert model() == expected


@contextmanager
def _full_disk(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes, as if the disk were full."""
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_too_small_batch_raises_params_error(workdir: Path) -> None:
    with pytest.raises(ParamsError, match=r"train.batch_size is 1, .* on 1 processes; .* take at least 2 of both"):
        train(params("train.batch_size=1"))


def test_too_little_memory_raises_user_error(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: Any) -> None:
        torch.empty(2**55)

    monkeypatch.setattr(augmentation, "apply_augment", greedy)
    with pytest.raises(UserError, match=r"too little memory for one step; lower train.batch_size"):
        train(params())


def test_batch_of_one_works_without_batch_normalisation(workdir: Path) -> None:
    train(params("train.batch_size=1", "network.normalisation=group", "train.epochs=1"))
    with pytest.raises(ParamsError, match="each needs 2 at every step"):
        train(params("train.batch_size=1", "train.epochs=1"))


def test_resumed_progress_bar_starts_where_it_was(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(finished.finished_dir(train(params("train.epochs=2")).training_digest))
    capsys.readouterr()
    train(params("train.epochs=2"))
    assert capsys.readouterr().err.splitlines()[0].startswith("train: 96/96 [")


def test_missing_gpu_raises_params_error(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ParamsError, match=r"train.device is cuda, but torch finds no GPU here; take cpu or auto"):
        train(params("train.device=cuda"))


@pytest.mark.parametrize(("units", "precision"), [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "float32")])
def test_auto_precision_is_bfloat16_only_with_hardware_units(
    root: Path, monkeypatch: pytest.MonkeyPatch, units: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    config = Params.load(root / "params.yaml", ["train.device=cpu"]).train
    assert stage.resolve_auto(config).precision == precision
    assert stage.resolve_auto(config.model_copy(update={"precision": "float32"})).precision == "float32"


# --- real processes


def command(root: Path, *more: str) -> tuple[list[str], dict[str, str]]:
    words = [word for override in (*SMALL, "train.epochs=40", *more) for word in ("--set", override)]
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    return ["-m", "strokewise", "train", *words], environment


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_byte(workdir: Path, root: Path) -> None:
    words, environment = command(root, "train.epochs=500")
    frequent_checkpoints = (
        "from strokewise.stages import train; train.CHECKPOINT_EVERY_S = 0.1; "
        "from strokewise.__main__ import main; main()"
    )
    words = ["-c", frequent_checkpoints, *words[2:]]
    subprocess.run([sys.executable, *words], env=environment, check=True)
    expected = model()
    shutil.rmtree(".strokewise")
    shutil.rmtree("data/model")

    def saved() -> list[int]:
        return [
            path.stat().st_mtime_ns for path in Path(".strokewise").glob(f"checkpoints/*/{checkpoint.CHECKPOINT_FILE}")
        ]

    rng = random.Random(0)  # noqa: S311
    for kind in (signal.SIGKILL, signal.SIGINT) * 5:
        before = saved()
        running = subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.DEVNULL)
        while saved() == before and running.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.25))
        assert running.poll() is None, "it ended before it could be killed"
        running.send_signal(kind)
        assert running.wait() in (-9, 130)
    subprocess.run([sys.executable, *words], env=environment, check=True)
    assert model() == expected


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "epochs"), [("float32", 17), ("bfloat16", 1)])  # 51 steps, and 3
def test_two_processes_learn_like_one(workdir: Path, root: Path, precision: str, epochs: int) -> None:
    # gradients rounded to 16 bits before they are summed soon diverge: only their first step is compared
    words, environment = command(root, "train.epochs=17", f"train.precision={precision}")
    subprocess.run([sys.executable, *words], env=environment, check=True)
    alone = history()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    stderr = subprocess.run([*launch, *words], env=environment, check=True, capture_output=True, text=True).stderr
    together = history()
    for column in ("loss", "validation_loss"):
        assert together[column][:epochs] == pytest.approx(alone[column][:epochs], abs=1e-3), stderr
    assert json.loads(model()["config.json"])["training"]["processes"] == 2


@contextmanager
def pair(root: Path, *each: str, second: str = ".") -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that train together, each with a parameter of its own; none outlives the block.

    The second works in the folder `second`.
    """
    job = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29471"}
    started = []
    for rank, own in enumerate(each):
        words, environment = command(root, "train.epochs=4000", own)
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(
            subprocess.Popen(
                [sys.executable, *words],
                env=environment | job | ranks,
                cwd=second if rank else ".",
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_only_the_main_process_writes(workdir: Path, root: Path) -> None:
    shutil.copytree(workdir, "second")
    before = sorted(Path("second").rglob("*"))
    with pair(root, "train.epochs=3", "train.epochs=3", second="second") as running:
        ended = [process.communicate(timeout=120) for process in running]
        assert [process.returncode for process in running] == [0, 0], ended
    assert sorted(Path("second").rglob("*")) == before
    assert set(model()) >= {"model.safetensors", "history.csv"}


@pytest.mark.slow
def test_dying_process_ends_the_job_with_a_message(workdir: Path, root: Path) -> None:
    with pair(root, "train.seed=0", "train.seed=0") as (first, second):
        deadline = time.monotonic() + 120
        while (
            not list(Path(".strokewise").glob(f"checkpoints/*/{checkpoint.CHECKPOINT_FILE}"))
            and time.monotonic() < deadline
        ):
            time.sleep(0.2)  # until they are in the middle of it
        second.kill()
        assert "process 0 of 2 lost the others" in first.communicate(timeout=60)[1]
        assert first.returncode == 2


@pytest.mark.slow
def test_processes_with_different_fingerprints_raise_user_error(workdir: Path, root: Path) -> None:
    with pair(root, "train.precision=float32", "train.precision=bfloat16") as running:
        for process in running:
            stderr = process.communicate(timeout=120)[1]
            assert "1 of 2 processes would train another model than the first: give all the same code" in stderr
            assert process.returncode == 2
    assert not Path("data/model").exists()


def test_drawings_are_appended_to_the_training_set(workdir: Path) -> None:
    without = train(params("train.epochs=1"))
    assert "drawings" not in json.loads(model()["config.json"])
    (workdir / "data/drawings-train/ring").mkdir(parents=True)
    (workdir / "data/drawings-train/ring/a.png").write_bytes(painting(1).image)
    loaded = load_training_set(16)
    assert len(loaded.split.labels) == 49
    assert loaded.split.labels[-1] == SHAPES.index("ring")
    limits = augment_params.augment_limits(loaded.factors, loaded.split.pictures, loaded.num_drawings)
    assert limits is not None
    assert (float(limits.max_rotation[-1]), bool(limits.mirror[-1])) == (0.0, False)
    assert train(params("train.epochs=1")).fingerprint != without.fingerprint
    assert json.loads(model()["config.json"])["drawings"]["count"] == 1
