"""The stage explain: which paintings it takes, the same bytes again, and no partial report after a failure."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from strokewise.baseline import estimator
from strokewise.cli.app import app
from strokewise.data.dataset import load_paintings
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.errors import DatasetError, ModelError, PictureError
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, to_tensor
from strokewise.model.model_files import load_model, save_model
from strokewise.model.tta import NO_TTA
from strokewise.params import Params
from strokewise.stages.explain import compare_models, explain, explain_pictures
from strokewise.support.paths import BASELINE_DIR, PAINTINGS_DIR, REPORT_DIR

SHAPES = ("cross", "ellipse", "other")


def write_paintings(folder: Path, count: int = 24, shapes: tuple[str, ...] = SHAPES) -> None:
    """Write training and test paintings: crosses, ellipses and single strokes, drawn without our own code.

    Both splits are equal except for the first test painting: an ellipse with the label of a cross, so that no model
    gets it right.
    """
    rng = np.random.default_rng(1)
    rows = []
    for index in range(count):
        scene = np.full((96, 96), 255, np.uint8)
        low, high = rng.integers(12, 30), rng.integers(66, 84)
        match index % 3:
            case 0:
                cv2.line(scene, (low, low), (high, high), 0, 3, cv2.LINE_AA)
                cv2.line(scene, (low, high), (high, low), 0, 3, cv2.LINE_AA)
            case 1:
                cv2.ellipse(scene, (48, 48), (high - 48, 48 - low), 0, 0, 360, 0, 3, cv2.LINE_AA)
            case 2:
                cv2.line(scene, (low, high), (high, int(rng.integers(20, 70))), 0, 3, cv2.LINE_AA)
        rows.append(PaintingRow(cv2.imencode(".png", scene)[1].tobytes(), index % 3, {}))
    write_shard(folder / "train" / "00000.parquet", rows, shapes, {})
    write_shard(folder / "test" / "00000.parquet", [PaintingRow(rows[1].image, 0, {}), *rows[1:]], shapes, {})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with paintings, and a CNN and a baseline that are trained on them for a short time."""
    root = tmp_path_factory.mktemp("project")
    write_paintings(root / PAINTINGS_DIR)
    split = load_paintings("train", 32, root / PAINTINGS_DIR)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small that two threads would be slower
    params = Params.load().network.model_copy(update={"image_size": 32, "base_channels": 8, "extra_filters": 3})
    cnn = CNN(SHAPES, params)
    optimiser = torch.optim.AdamW(cnn.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        logits = cnn(to_tensor(split.pictures))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.labels)).backward()
        optimiser.step()
    with torch.no_grad():
        for _ in range(40):  # the running statistics catch up with the weights
            cnn(to_tensor(split.pictures))
    torch.set_num_threads(threads)
    save_model(cnn.eval(), root / "data/model", {})
    fitted = LogisticRegression().fit(estimator.flatten(split.pictures), split.labels)
    config = {
        "shapes": list(SHAPES),
        "image_size": 32,
        "fingerprint": "",
        "choice": "logistic regression",
        "temperature": None,
    }
    estimator.save_baseline(fitted, split.pictures, root / BASELINE_DIR, config)
    return root


def report_files() -> dict[str, bytes]:
    """The contents of every file of the report."""
    return {str(path.relative_to(REPORT_DIR)): path.read_bytes() for path in REPORT_DIR.rglob("*") if path.is_file()}


def copy_models(project: Path, folder: Path) -> None:
    """Copy the project's CNN and baseline, but no paintings."""
    for name in ("model", "baseline"):
        shutil.copytree(project / "data" / name, folder / "data" / name)


@pytest.fixture
def params() -> Params:
    return Params.load()


@pytest.fixture
def fake_layer_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the title instead of drawing, which takes most of the time."""

    def write_title(*, title: str, path: Path, **_: object) -> None:
        path.write_text(title)

    monkeypatch.setattr("strokewise.plots.layer_sheet", write_title)


def test_explain_writes_a_sheet_a_shape_and_is_reproducible(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    few = params.model_copy(update={"explain": params.explain.model_copy(update={"feature_maps": 1})})
    explained = explain(few)
    first = report_files()
    assert sorted(first) == ["explain/cross.png", "explain/ellipse.png", "explain/other.png", "index.html", "live.html"]
    assert explain(few) == explained
    assert report_files() == first
    for name in ("cross", "ellipse", "other"):
        drawn = cv2.imread(str(REPORT_DIR / "explain" / f"{name}.png"))
        assert drawn is not None
        assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 50


@pytest.mark.usefixtures("fake_layer_sheet")
def test_explain_takes_the_first_painting_that_the_cnn_gets_right(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    explained = explain(params)
    split = load_paintings("test", 32)
    answers = predict_proba(load_model(Path("data/model")), split.pictures, angles=NO_TTA).argmax(1)
    for label, shape in enumerate(SHAPES):
        index = explained.paintings[shape]
        assert split.labels[index] == label
        assert explained.answers[shape] == SHAPES[answers[index]]
        assert not (answers[:index][split.labels[:index] == label] == label).any(), "an earlier one was right"
        assert answers[index] == label
    assert explained.paintings == {"cross": 3, "ellipse": 1, "other": 2}


@pytest.mark.usefixtures("fake_layer_sheet")
def test_explain_takes_the_first_painting_if_none_is_right_and_reports_it(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy_models(project, tmp_path)
    write_paintings(Path("data/paintings"))
    constant = load_model(project / "data/model")
    last = constant.fully_connected[-1]
    assert isinstance(last, torch.nn.Linear)
    last.bias.data[1] += 1000
    save_model(constant, Path("data/model"), {})
    explained = explain(params)
    assert explained.paintings["cross"] == 0
    assert explained.answers == dict.fromkeys(SHAPES, "ellipse")
    assert (REPORT_DIR / "explain/cross.png").read_text() == "cross, read as ellipse"
    assert "It was meant as cross." in explained.page.read_text()


def test_paintings_of_other_shapes_raise_model_error(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy_models(project, tmp_path)
    write_paintings(Path("data/paintings"), shapes=("cross", "heart", "other"))
    with pytest.raises(ModelError, match="knows other shapes than the paintings"):
        explain(params)
    assert not REPORT_DIR.exists()


def test_missing_input_raises_an_error_that_names_it(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no model in data/model.*strokewise train"):
        explain(params)
    shutil.copytree(project / "data/model", "data/model")
    with pytest.raises(DatasetError, match=r"no paintings in data/paintings/test.*strokewise generate"):
        explain(params)
    shutil.copytree(project / "data/paintings", "data/paintings")
    with pytest.raises(ModelError, match=r"no model in data/baseline.*strokewise baseline"):
        explain(params)
    assert not REPORT_DIR.exists()


@pytest.mark.usefixtures("fake_layer_sheet")
def test_failure_leaves_the_report_unchanged(project: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    explain(params)
    before = report_files()

    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strokewise.plots.layer_sheet", interrupt)
    with pytest.raises(KeyboardInterrupt):
        explain(params)
    assert report_files() == before
    assert sorted(path.name for path in REPORT_DIR.iterdir()) == ["explain", "index.html", "live.html"]


def test_explain_pictures_needs_a_model_alone(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scene = np.full((300, 200, 3), 240, np.uint8)
    cv2.circle(scene, (100, 150), 60, (30, 60, 90), 5, cv2.LINE_AA)
    cv2.imwrite("my & drawing.png", scene)
    page = explain_pictures([Path("my & drawing.png")], project / "data/model", Path("out.html"))
    text = page.read_text()
    assert "my &amp; drawing.png" in text
    assert "training paintings" not in text.split('id="glossary"')[0]
    assert "what the baseline needs" not in text


def test_explain_command_takes_pictures(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(project)
    scene = np.zeros((90, 90), np.uint8)
    cv2.line(scene, (10, 10), (80, 80), 255, 4)
    cv2.imwrite(str(tmp_path / "stroke.png"), scene)
    result = CliRunner().invoke(app, ["explain", str(tmp_path / "stroke.png"), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "page.html").read_text()
    assert "what the baseline needs" in text
    assert "training paintings" in text


def test_unreadable_picture_writes_no_page(project: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("not a picture")
    with pytest.raises(PictureError, match=r"no\.png"):
        explain_pictures([tmp_path / "no.png"], project / "data/model", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("count", [0, 61])
def test_number_of_pictures_out_of_range_raises_picture_error(project: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(PictureError, match=f"{count} pictures are named; a page takes 1 to 60"):
        explain_pictures([tmp_path / "x.png"] * count, project / "data/model", tmp_path / "page.html")


def test_compare_models_writes_a_page_about_all(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    other = load_model(project / "data/model")
    fixed = CNN(SHAPES, other.params.model_copy(update={"line_filters": "fixed"})).eval()
    save_model(fixed, tmp_path / "fixed", {})
    page = compare_models([Path("data/model"), tmp_path / "fixed"], tmp_path / "page.html")
    text = page.read_text()
    assert "2 networks side by side" in text
    assert "data/model" in text


def test_models_that_do_not_match_raise_model_error(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(ModelError, match="--compare takes two or more model folders; 1 given"):
        compare_models([Path("data/model")], tmp_path / "page.html")
    other = load_model(project / "data/model")
    save_model(CNN(("a", "b"), other.params).eval(), tmp_path / "ab", {})
    with pytest.raises(ModelError, match="ab knows other shapes or has another image_size than data/model"):
        compare_models([Path("data/model"), tmp_path / "ab"], tmp_path / "page.html")
