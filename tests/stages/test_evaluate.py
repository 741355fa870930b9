"""The evaluate stage: its numbers agree with the predictions, its files are complete, and it repeats to the byte."""

import contextlib
import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from strokewise.baseline import estimator, selection
from strokewise.baseline.selection import Trial
from strokewise.data.dataset import load_paintings, load_scenes
from strokewise.data.png import encode_png
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.errors import DatasetError, ModelError
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.model.onnx_file import load_onnx
from strokewise.model.onnx_writer import onnx_bytes
from strokewise.params import EvaluateParams, Params
from strokewise.stages import evaluate as stage
from strokewise.stages.evaluate import evaluate
from strokewise.support import atomic_io
from strokewise.support.paths import BASELINE_DIR, DRAWINGS_DIR, MODEL_DIR, OUTLINES_DIR, PAINTINGS_DIR, REPORT_DIR
from strokewise.synthesis import outlines, render

ROOT = Path(__file__).parents[2]
CATALOGUE = ("cross", "ellipse", "triangle")
IMAGE_SIZES = {"cnn": 32, "baseline": 16}  # they need not be the same
COUNT = 48


def small_params() -> Params:
    params = Params.load(ROOT / "params.yaml")
    return params.model_copy(
        update={
            "generate": params.generate.model_copy(update={"canvas": 64}),
            "evaluate": params.evaluate.model_copy(update={"bootstrap_samples": 200, "imprecision_samples": 8}),
        }
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with test paintings of a small catalogue, an untrained CNN, and a baseline trained on some of them."""
    root = tmp_path_factory.mktemp("project")
    for shape in CATALOGUE:
        shutil.copytree(ROOT / "data/outlines" / shape, root / OUTLINES_DIR / shape)
    catalogue = outlines.load_catalogue(root / OUTLINES_DIR)
    paintings = [render.render_painting(catalogue, small_params().generate, "test", index) for index in range(COUNT)]
    rows = [PaintingRow(encode_png(painting.scene), painting.label, painting.factors) for painting in paintings]
    shard = root / PAINTINGS_DIR / "test" / "00000.parquet"
    write_shard(shard, rows, catalogue.shapes, render.FACTOR_TYPES)

    torch.manual_seed(0)
    network = small_params().network.model_copy(update={"image_size": IMAGE_SIZES["cnn"], "base_channels": 4})
    cnn = CNN(catalogue.shapes, network).eval()
    save_model(cnn, root / MODEL_DIR, {"fingerprint": "of the cnn"})
    split = load_paintings("test", IMAGE_SIZES["baseline"], root / PAINTINGS_DIR)
    model = selection.refit(
        Trial("logistic regression", 0, 0.9, (), None),
        split.pictures[:24],
        split.labels[:24],
        split.pictures[None][:0],
        0,
    )
    config = {"shapes": list(catalogue.shapes), "image_size": IMAGE_SIZES["baseline"], "fingerprint": "of the baseline"}
    estimator.save_baseline(
        model,
        split.pictures,
        root / BASELINE_DIR,
        config | {"choice": "logistic regression", "temperature": None},
    )
    with contextlib.chdir(root):
        evaluate(small_params())
    return root


@pytest.fixture(autouse=True)
def _workdir(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.fixture
def project_copy(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, to be changed."""
    shutil.copytree(project, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def read_csv(name: str) -> list[dict[str, str]]:
    with (REPORT_DIR / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def report_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(REPORT_DIR.iterdir())}


def test_report_holds_exactly_the_documented_files() -> None:
    curves = {f"robustness-{name}.csv" for name in ("imprecision", *stage.CURVE_FACTORS)}
    sheets = {"mistakes.png", "disagreements.png", "reliability.png", "robustness.png", "snap-worst.png"}
    tables = {"predictions.parquet", "drawings.parquet", "confusion-cnn.csv", "confusion-baseline.csv"} | {
        "metrics.json",
        "details.json",
    }
    assert set(report_files()) == curves | sheets | tables


def test_predictions_equal_those_of_the_models() -> None:
    table = pq.read_table(REPORT_DIR / "predictions.parquet")
    for name, predict in (
        ("cnn", lambda pictures: load_onnx(MODEL_DIR).predict_proba(pictures)),
        ("baseline", lambda pictures: estimator.load_baseline().predict_proba(pictures)),
    ):
        split = load_paintings("test", IMAGE_SIZES[name])
        expected = predict(split.pictures)
        assert np.array(table[f"{name}_probabilities"].to_pylist(), np.float32) == pytest.approx(expected, abs=1e-6)
        assert table[name].to_pylist() == expected.argmax(axis=1).tolist()
    assert table["label"].to_pylist() == split.labels.tolist()
    assert table["index"].to_pylist() == list(range(COUNT))
    assert tuple(json.loads(table.schema.metadata[b"shapes"])) == split.shapes


def test_metrics_equal_those_of_scikit_learn() -> None:
    metrics = json.loads((REPORT_DIR / "details.json").read_text())
    table = pq.read_table(REPORT_DIR / "predictions.parquet")
    labels = np.array(table["label"])
    for name in ("cnn", "baseline"):
        predicted = np.array(table[name])
        assert metrics[name]["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
        assert metrics[name]["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(labels, predicted, average="macro"))
        assert metrics[name]["fingerprint"] == f"of the {name}"
    assert metrics["paintings"] == COUNT
    difference = metrics["cnn"]["accuracy"] - metrics["baseline"]["accuracy"]
    assert metrics["paired"]["difference"] == pytest.approx(difference)
    assert metrics["sentence"] == metrics["sentences"][0]
    assert "of 48 test paintings" in metrics["sentence"]


def test_metrics_file_holds_about_a_dozen_numbers_and_nothing_else() -> None:
    metrics, details = (json.loads((REPORT_DIR / name).read_text()) for name in ("metrics.json", "details.json"))
    numbers = {f"{group}.{name}": value for group, values in metrics.items() for name, value in values.items()}
    assert 10 <= len(numbers) <= 15
    assert all(isinstance(value, float) for value in numbers.values())
    assert numbers["cnn.accuracy"] == details["cnn"]["accuracy"]
    assert numbers["cnn.weakest_recall"] == min(shape["recall"] for shape in details["cnn"]["shapes"].values())
    assert numbers["difference.value"] == details["paired"]["difference"]


def test_confusion_tables_have_a_row_for_each_painting() -> None:
    split = load_paintings("test", 16)
    table = pq.read_table(REPORT_DIR / "predictions.parquet")
    for name in ("cnn", "baseline"):
        rows = read_csv(f"confusion-{name}.csv")
        assert [row["actual"] for row in rows] == [split.shapes[label] for label in split.labels]
        assert [row["predicted"] for row in rows] == [split.shapes[i] for i in table[name].to_pylist()]


def test_factor_curves_count_every_painting_of_a_shape() -> None:
    split = load_paintings("test", 16)
    shown = np.count_nonzero(split.labels != split.shapes.index("other"))
    for factor in stage.CURVE_FACTORS:
        assert sum(int(row["paintings"]) for row in read_csv(f"robustness-{factor}.csv")) == shown
    imprecision = read_csv("robustness-imprecision.csv")
    assert [float(row["value"]) for row in imprecision] == list(stage.IMPRECISION_LEVELS)
    assert {row["paintings"] for row in imprecision} == {"8"}


def test_imprecision_curve_at_the_default_equals_the_test_paintings() -> None:
    assert small_params().generate.imprecision in stage.IMPRECISION_LEVELS
    row = read_csv("robustness-imprecision.csv")[stage.IMPRECISION_LEVELS.index(small_params().generate.imprecision)]
    table = pq.read_table(REPORT_DIR / "predictions.parquet").slice(0, 8)
    assert float(row["baseline"]) == np.mean(np.array(table["baseline"]) == np.array(table["label"]))


@pytest.mark.slow
def test_evaluation_repeats_to_the_byte(project_copy: Path) -> None:
    before = report_files()
    (REPORT_DIR / "explain").mkdir()  # of another stage: it stays
    evaluate(small_params())
    assert (REPORT_DIR / "explain").is_dir()
    (REPORT_DIR / "explain").rmdir()
    assert report_files() == before


def test_evaluation_digest_changes_with_what_decides_it() -> None:
    split = load_paintings("test", IMAGE_SIZES["cnn"])
    cnn, baseline = load_onnx(MODEL_DIR), estimator.load_baseline()
    probabilities = {name: np.eye(len(split.shapes), dtype=np.float32)[split.labels] for name in IMAGE_SIZES}

    def digest(config: EvaluateParams) -> Any:  # of the models as they are when it is called
        return stage._compute_details(split, cnn, baseline, probabilities, config)["evaluation"]

    config = small_params().evaluate
    digests = [digest(config)]
    assert digests[0] == json.loads((REPORT_DIR / "details.json").read_text())["evaluation"]
    digests.append(digest(config.model_copy(update={"seed": 5})))
    cnn = replace(cnn, metadata={**cnn.metadata, "fingerprint": "of another"})
    digests.append(digest(config))
    baseline = replace(baseline, metadata={**baseline.metadata, "fingerprint": "of another"})
    digests.append(digest(config))
    assert len(set(digests)) == 4


def test_model_of_other_shapes_raises_model_error(project_copy: Path) -> None:
    model = estimator.load_baseline()
    shapes = ("house", *model.shapes[1:])
    metadata = {name: text for name, text in model.metadata.items() if name != "shapes"}
    content = onnx_bytes(onnx.load_from_string(model.content), shapes, model.image_size, metadata)
    (BASELINE_DIR / "model.onnx").write_bytes(content)
    with pytest.raises(
        ModelError, match=r"baseline knows the shapes house, .*the test paintings show cross.*run `strok"
    ):
        evaluate(small_params())
    network = small_params().network.model_copy(update={"image_size": 32, "base_channels": 4})
    save_model(CNN(("a", "b"), network), MODEL_DIR, {})
    with pytest.raises(ModelError, match=r"model knows the shapes a, b.*run `strokewise train`"):
        evaluate(small_params())


def test_catalogue_of_other_shapes_raises_dataset_error(project_copy: Path) -> None:
    shutil.copytree(ROOT / "data/outlines/heart", OUTLINES_DIR / "heart")
    before = report_files()
    with pytest.raises(DatasetError, match="data/outlines holds other shapes than the paintings show; run `dvc repro`"):
        evaluate(small_params())
    assert report_files() == before


def test_interrupted_evaluation_leaves_no_metrics(project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = atomic_io.write_json

    def interrupted(path: Path, value: Any) -> None:
        if path.name == "metrics.json":
            raise KeyboardInterrupt
        write(path, value)

    monkeypatch.setattr(stage, "_draw_figures", lambda *_: None)
    monkeypatch.setattr("strokewise.support.atomic_io.write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(small_params())
    assert "metrics.json" not in report_files()
    assert not [path for path in REPORT_DIR.iterdir() if path.name.startswith(".")]


def test_model_without_mistakes_gets_an_empty_sheet(project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = load_paintings("test", 32)
    perfect = np.eye(len(split.shapes), dtype=np.float32)[split.labels]
    monkeypatch.setattr(
        stage, "_predict_both", lambda _, __, pictures, ___: dict.fromkeys(IMAGE_SIZES, perfect[: len(pictures)])
    )
    monkeypatch.setattr(stage, "_imprecision_curve", lambda *_: [{"value": 1.0, "paintings": 1}])
    monkeypatch.setattr(stage, "_curve_panels", lambda curves: [stage.Panel("none", {"cnn": [(0.0, 1, 1, 1)]})])
    metrics = evaluate(small_params()).details
    assert metrics["cnn"]["accuracy"] == 1
    assert metrics["paired"]["p"] == 1
    assert (REPORT_DIR / "mistakes.png").stat().st_size > 0


def test_drawings_by_people_are_reported_apart(project_copy: Path) -> None:
    before = json.loads((REPORT_DIR / "details.json").read_text())
    assert "drawings" not in before.keys() | json.loads((REPORT_DIR / "metrics.json").read_text()).keys()
    assert pq.read_table(REPORT_DIR / "drawings.parquet").num_rows == 0
    for number, scene in enumerate(load_scenes("test", range(6))):
        path = DRAWINGS_DIR / CATALOGUE[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(scene))
    metrics = evaluate(small_params()).details
    table = pq.read_table(REPORT_DIR / "drawings.parquet")
    accuracy = np.mean(np.array(table["cnn"]) == np.array(table["label"]))
    assert metrics["drawings"]["cnn"]["accuracy"] == pytest.approx(accuracy)
    headline = json.loads((REPORT_DIR / "metrics.json").read_text())["drawings"]
    assert headline == {kind: metrics["drawings"][kind]["accuracy"] for kind in ("cnn", "baseline")}
    assert table["path"].to_pylist()[0] == "cross/0.png"
    assert "Of the 6 drawings by people in data/drawings" in metrics["sentences"][-1]
    assert {name: metrics[name] for name in ("cnn", "baseline", "paired")} == {
        name: before[name] for name in ("cnn", "baseline", "paired")
    }, "never mixed"
    assert metrics["evaluation"] != before["evaluation"]
    (DRAWINGS_DIR / "cross").rename(DRAWINGS_DIR / "house")
    with pytest.raises(DatasetError, match="data/drawings/house is no shape of the model"):
        evaluate(small_params())
