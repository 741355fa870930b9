"""The stage evaluate: its numbers are those of the predictions, its files are whole, and it repeats to the byte."""

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn import metrics as theirs

from strokewise.baseline import estimator, selection
from strokewise.baseline.selection import Trial
from strokewise.data.dataset import load_paintings, load_scenes
from strokewise.data.png import encode_png
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.errors import DatasetError, ModelError
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model, save_model
from strokewise.params import Params
from strokewise.stages import evaluate as stage
from strokewise.stages.evaluate import evaluate
from strokewise.support.paths import BASELINE_DIR, DRAWINGS_DIR, MODEL_DIR, OUTLINES_DIR, PAINTINGS_DIR, REPORT_DIR
from strokewise.synthesis import outlines, render

ROOT = Path(__file__).parents[2]
CATALOGUE = ("cross", "ellipse", "triangle")
GRIDS = {"cnn": 32, "baseline": 16}  # they need not be the same
COUNT = 48


def toy() -> Params:
    params = Params.load(ROOT / "params.yaml")
    return params.model_copy(
        update={
            "generate": params.generate.model_copy(update={"canvas": 64}),
            "evaluate": params.evaluate.model_copy(update={"resamples": 200, "curve": 8}),
        }
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with test paintings of a small catalogue, a CNN that guesses, and a baseline that has seen some."""
    root = tmp_path_factory.mktemp("project")
    for shape in CATALOGUE:
        shutil.copytree(ROOT / "data/outlines" / shape, root / OUTLINES_DIR / shape)
    catalogue = outlines.load_catalogue(root / OUTLINES_DIR)
    drawn = [render.render_painting(catalogue, toy().generate, "test", index) for index in range(COUNT)]
    rows = [PaintingRow(encode_png(found.scene), found.label, found.factors) for found in drawn]
    shard = root / PAINTINGS_DIR / "test" / "00000.parquet"
    write_shard(shard, rows, catalogue.shapes, render.FACTOR_TYPES)

    torch.manual_seed(0)
    settings = toy().network.model_copy(update={"grid": GRIDS["cnn"], "width": 4})
    cnn = CNN(catalogue.shapes, settings).eval()
    save_model(cnn, root / MODEL_DIR, {"fingerprint": "of the cnn"})
    split = load_paintings("test", GRIDS["baseline"], root / PAINTINGS_DIR)
    model = selection.refit(
        Trial("logistic regression", 0, 0.9, (), None),
        split.pictures[:24],
        split.labels[:24],
        split.pictures[None][:0],
        0,
    )
    config = {"shapes": list(catalogue.shapes), "grid": GRIDS["baseline"], "fingerprint": "of the baseline"}
    estimator.save_baseline(
        model,
        split.pictures,
        root / BASELINE_DIR,
        config | {"choice": "logistic regression", "temperature": None},
    )
    before = Path.cwd()
    os.chdir(root)
    evaluate(toy())
    os.chdir(before)
    return root


@pytest.fixture(autouse=True)
def _in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.fixture
def copy(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project again, to be spoilt."""
    shutil.copytree(project, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def rows_of(name: str) -> list[dict[str, str]]:
    with (REPORT_DIR / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def report() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(REPORT_DIR.iterdir())}


def test_everything_is_there_and_nothing_else() -> None:
    curves = {f"robustness-{name}.csv" for name in ("imprecision", *stage.CURVE_FACTORS)}
    sheets = {"mistakes.png", "disagreements.png", "reliability.png", "robustness.png"}
    tables = {"predictions.parquet", "drawings.parquet", "confusion-cnn.csv", "confusion-baseline.csv", "metrics.json"}
    assert set(report()) == curves | sheets | tables


def test_the_predictions_are_what_the_models_say() -> None:
    table = pq.read_table(REPORT_DIR / "predictions.parquet")
    for name, says in (
        ("cnn", lambda seen: predict_proba(load_model(MODEL_DIR), seen)),
        ("baseline", lambda seen: estimator.load_baseline().probabilities(seen)),
    ):
        split = load_paintings("test", GRIDS[name])
        expected = says(split.pictures)
        assert np.array(table[f"{name}_probabilities"].to_pylist(), np.float32) == pytest.approx(expected, abs=1e-6)
        assert table[name].to_pylist() == expected.argmax(axis=1).tolist()
    assert table["label"].to_pylist() == split.labels.tolist()
    assert table["index"].to_pylist() == list(range(COUNT))
    assert tuple(json.loads(table.schema.metadata[b"shapes"])) == split.shapes


def test_the_numbers_are_those_of_the_predictions() -> None:
    found = json.loads((REPORT_DIR / "metrics.json").read_text())
    table = pq.read_table(REPORT_DIR / "predictions.parquet")
    labels = np.array(table["label"])
    for name in ("cnn", "baseline"):
        said = np.array(table[name])
        assert found[name]["accuracy"] == pytest.approx(theirs.accuracy_score(labels, said))
        assert found[name]["macro_f1"] == pytest.approx(theirs.f1_score(labels, said, average="macro"))
        assert found[name]["fingerprint"] == f"of the {name}"
    assert found["paintings"] == COUNT
    difference = found["cnn"]["accuracy"] - found["baseline"]["accuracy"]
    assert found["paired"]["difference"] == pytest.approx(difference)
    assert found["sentence"] == found["sentences"][0]
    assert "of 48 test paintings" in found["sentence"]


def test_the_confusion_tables_have_a_row_a_painting() -> None:
    split = load_paintings("test", 16)
    table = pq.read_table(REPORT_DIR / "predictions.parquet")
    for name in ("cnn", "baseline"):
        rows = rows_of(f"confusion-{name}.csv")
        assert [row["actual"] for row in rows] == [split.shapes[label] for label in split.labels]
        assert [row["predicted"] for row in rows] == [split.shapes[said] for said in table[name].to_pylist()]


def test_the_curves_count_every_painting_that_shows_a_shape() -> None:
    split = load_paintings("test", 16)
    shown = np.count_nonzero(split.labels != split.shapes.index("other"))
    for factor in stage.CURVE_FACTORS:
        assert sum(int(row["paintings"]) for row in rows_of(f"robustness-{factor}.csv")) == shown
    dial = rows_of("robustness-imprecision.csv")
    assert [float(row["value"]) for row in dial] == list(stage.IMPRECISION_LEVELS)
    assert {row["paintings"] for row in dial} == {"8"}


def test_at_the_paintings_own_imprecision_the_curve_is_of_the_test_paintings() -> None:
    assert toy().generate.imprecision in stage.IMPRECISION_LEVELS
    row = rows_of("robustness-imprecision.csv")[stage.IMPRECISION_LEVELS.index(toy().generate.imprecision)]
    table = pq.read_table(REPORT_DIR / "predictions.parquet").slice(0, 8)
    assert float(row["baseline"]) == np.mean(np.array(table["baseline"]) == np.array(table["label"]))


@pytest.mark.slow
def test_again_is_the_same_to_the_byte(copy: Path) -> None:
    before = report()
    (REPORT_DIR / "explain").mkdir()  # another stage's, in the same folder: it stays
    evaluate(toy())
    assert (REPORT_DIR / "explain").is_dir()
    (REPORT_DIR / "explain").rmdir()
    assert report() == before


def test_the_key_changes_with_what_decided_it() -> None:
    split = load_paintings("test", GRIDS["cnn"])
    cnn, known = load_model(MODEL_DIR), estimator.load_baseline()
    answers = {name: np.eye(len(split.shapes), dtype=np.float32)[split.labels] for name in GRIDS}

    def key(params: Params) -> Any:
        return stage._compute_metrics(split, cnn, known, answers, params)["evaluation"]

    params = toy()
    keys = [key(params)]
    assert keys[0] == json.loads((REPORT_DIR / "metrics.json").read_text())["evaluation"]
    keys.append(key(params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"seed": 5})})))
    cnn.config["fingerprint"] = "of another"
    keys.append(key(params))
    known.config["fingerprint"] = "of another"
    keys.append(key(params))
    assert len(set(keys)) == 4


def test_a_model_of_other_shapes_is_refused(copy: Path) -> None:
    config = json.loads((BASELINE_DIR / "config.json").read_text())
    config["shapes"][0] = "house"
    (BASELINE_DIR / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=r"baseline knows the shapes house, .*the test paintings show cross.*run `strok"
    ):
        evaluate(toy())
    save_model(CNN(("a", "b"), toy().network.model_copy(update={"grid": 32, "width": 4})), MODEL_DIR, {})
    with pytest.raises(ModelError, match=r"model knows the shapes a, b.*run `strokewise train`"):
        evaluate(toy())


def test_an_outline_too_many_is_refused(copy: Path) -> None:
    shutil.copytree(ROOT / "data/outlines/heart", OUTLINES_DIR / "heart")
    before = report()
    with pytest.raises(DatasetError, match="data/outlines holds other shapes than the paintings show; run `dvc repro`"):
        evaluate(toy())
    assert report() == before


def test_what_fails_at_the_end_leaves_no_metrics(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "_draw", lambda *_: None)
    monkeypatch.setattr("strokewise.disk.write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(toy())
    assert "metrics.json" not in report()
    assert not [path for path in REPORT_DIR.iterdir() if path.name.startswith(".")]


def test_a_model_without_mistakes_gets_its_sheet_too(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = load_paintings("test", 32)
    perfect = np.eye(len(split.shapes), dtype=np.float32)[split.labels]
    monkeypatch.setattr(stage, "_answers", lambda _, __, seen, ___: dict.fromkeys(GRIDS, perfect[: len(seen)]))
    monkeypatch.setattr(stage, "_along_dial", lambda *_: [{"value": 1.0, "paintings": 1}])
    monkeypatch.setattr(stage, "_panels", lambda curves: [stage.Panel("none", {"cnn": [(0.0, 1, 1, 1)]})])
    metrics = evaluate(toy()).metrics
    assert metrics["cnn"]["accuracy"] == 1
    assert metrics["paired"]["p"] == 1
    assert (REPORT_DIR / "mistakes.png").stat().st_size > 0


def test_drawings_by_people_are_told_apart(copy: Path) -> None:
    before = json.loads((REPORT_DIR / "metrics.json").read_text())
    assert "drawings" not in before
    assert pq.read_table(REPORT_DIR / "drawings.parquet").num_rows == 0
    for number, scene in enumerate(load_scenes("test", range(6))):
        path = DRAWINGS_DIR / CATALOGUE[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(scene))
    found = evaluate(toy()).metrics
    table = pq.read_table(REPORT_DIR / "drawings.parquet")
    right = np.mean(np.array(table["cnn"]) == np.array(table["label"]))
    assert found["drawings"]["cnn"]["accuracy"] == pytest.approx(right)
    assert table["path"].to_pylist()[0] == "cross/0.png"
    assert "Of the 6 drawings by people in data/drawings" in found["sentences"][-1]
    assert {name: found[name] for name in ("cnn", "baseline", "paired")} == {
        name: before[name] for name in ("cnn", "baseline", "paired")
    }, "never mixed"
    assert found["evaluation"] != before["evaluation"]
    (DRAWINGS_DIR / "cross").rename(DRAWINGS_DIR / "house")
    with pytest.raises(DatasetError, match="data/drawings/house is no shape of the model"):
        evaluate(toy())
