"""The stage explain: page and sheets, the same bytes again, the painting that its rule promises, no half a report."""

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


def paintings(folder: Path, count: int = 24, shapes: tuple[str, ...] = SHAPES) -> None:
    """Training and test paintings: crosses, ellipses and single strokes, drawn without us.

    They are the same, but for the first test painting: an ellipse that is called a cross, so nobody gets it right.
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
    """A folder with paintings and a model that has learned a little from them."""
    root = tmp_path_factory.mktemp("project")
    paintings(root / PAINTINGS_DIR)
    split = load_paintings("train", 32, root / PAINTINGS_DIR)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small that two would only wait for each other
    settings = Params.load().network.model_copy(update={"grid": 32, "width": 8, "extra": 3})
    pupil = CNN(SHAPES, settings)
    optimiser = torch.optim.AdamW(pupil.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        logits = pupil(to_tensor(split.pictures))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.labels)).backward()
        optimiser.step()
    with torch.no_grad():
        for _ in range(40):  # the running statistics catch up with the weights
            pupil(to_tensor(split.pictures))
    torch.set_num_threads(threads)
    save_model(pupil.eval(), root / "data/model", {})
    fitted = LogisticRegression().fit(estimator.flatten(split.pictures), split.labels)
    config = {"shapes": list(SHAPES), "grid": 32, "choice": "logistic regression", "temperature": None}
    estimator.save_baseline(fitted, split.pictures, root / BASELINE_DIR, config)
    return root


def contents() -> dict[str, bytes]:
    """Every file of the report."""
    return {str(path.relative_to(REPORT_DIR)): path.read_bytes() for path in REPORT_DIR.rglob("*") if path.is_file()}


def furnish(folder: Path, project: Path) -> None:
    """Bring the project's model and baseline, but no paintings."""
    for name in ("model", "baseline"):
        shutil.copytree(project / "data" / name, folder / "data" / name)


@pytest.fixture
def params() -> Params:
    return Params.load()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the drawing, most of the time, where a test does not look at it."""

    def layers(title: str, *_: object) -> None:
        _[-1].write_text(title)  # type: ignore[attr-defined]

    monkeypatch.setattr("strokewise.figures.layers", layers)


def test_a_sheet_a_shape_and_the_same_bytes_again(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    few = params.model_copy(update={"explain": params.explain.model_copy(update={"maps": 1})})
    done = explain(few)
    first = contents()
    assert sorted(first) == ["explain/cross.png", "explain/ellipse.png", "explain/other.png", "index.html"]
    assert explain(few) == done
    assert contents() == first
    for name in ("cross", "ellipse", "other"):
        drawn = cv2.imread(str(REPORT_DIR / "explain" / f"{name}.png"))
        assert drawn is not None
        assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 50


@pytest.mark.usefixtures("undrawn")
def test_it_shows_the_first_painting_that_the_network_gets_right(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    done = explain(params)
    split = load_paintings("test", 32)
    answers = predict_proba(load_model(Path("data/model")), split.pictures, looks=NO_TTA).argmax(1)
    for label, shape in enumerate(SHAPES):
        index = done.paintings[shape]
        assert split.labels[index] == label
        assert done.answers[shape] == SHAPES[answers[index]]
        assert not (answers[:index][split.labels[:index] == label] == label).any(), "an earlier one was right"
        assert answers[index] == label
    assert done.paintings == {"cross": 3, "ellipse": 1, "other": 2}


@pytest.mark.usefixtures("undrawn")
def test_where_nothing_is_right_it_shows_the_first_and_says_so(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, project)
    paintings(Path("data/paintings"))
    blind = load_model(project / "data/model")
    last = blind.connected[-1]
    assert isinstance(last, torch.nn.Linear)
    last.bias.data[1] += 1000
    save_model(blind, Path("data/model"), {})
    done = explain(params)
    assert done.paintings["cross"] == 0
    assert done.answers == dict.fromkeys(SHAPES, "ellipse")
    assert (REPORT_DIR / "explain/cross.png").read_text() == "cross, read as ellipse"
    assert "It was meant as cross." in done.page.read_text()


def test_a_model_of_other_shapes_is_refused(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, project)
    paintings(Path("data/paintings"), shapes=("cross", "heart", "other"))
    with pytest.raises(ModelError, match="knows other shapes than the paintings"):
        explain(params)
    assert not REPORT_DIR.exists()


def test_a_missing_input_is_named(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no model in data/model.*strokewise train"):
        explain(params)
    shutil.copytree(project / "data/model", "data/model")
    with pytest.raises(DatasetError, match=r"no paintings in data/paintings/test.*strokewise generate"):
        explain(params)
    shutil.copytree(project / "data/paintings", "data/paintings")
    with pytest.raises(ModelError, match=r"data/baseline holds no complete baseline.*strokewise baseline"):
        explain(params)
    assert not REPORT_DIR.exists()


@pytest.mark.usefixtures("undrawn")
def test_a_failure_leaves_the_report_as_it_was(project: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    explain(params)
    before = contents()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strokewise.figures.layers", broken)
    with pytest.raises(KeyboardInterrupt):
        explain(params)
    assert contents() == before
    assert sorted(path.name for path in REPORT_DIR.iterdir()) == ["explain", "index.html"]


def test_any_pictures_with_a_model_alone(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scene = np.full((300, 200, 3), 240, np.uint8)
    cv2.circle(scene, (100, 150), 60, (30, 60, 90), 5, cv2.LINE_AA)
    cv2.imwrite("my & drawing.png", scene)
    page = explain_pictures([Path("my & drawing.png")], project / "data/model", Path("out.html"))
    text = page.read_text()
    assert "my &amp; drawing.png" in text
    assert "training paintings" not in text.split('id="glossary"')[0]
    assert "what the baseline needs" not in text


def test_any_pictures_from_the_command_line(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(project)
    scene = np.zeros((90, 90), np.uint8)
    cv2.line(scene, (10, 10), (80, 80), 255, 4)
    cv2.imwrite(str(tmp_path / "stroke.png"), scene)
    result = CliRunner().invoke(app, ["explain", str(tmp_path / "stroke.png"), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "page.html").read_text()
    assert "what the baseline needs" in text
    assert "training paintings" in text


def test_a_picture_that_cannot_be_read_writes_no_page(project: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("not a picture")
    with pytest.raises(PictureError, match=r"no\.png"):
        explain_pictures([tmp_path / "no.png"], project / "data/model", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("count", [0, 61])
def test_a_page_takes_some_pictures_not_none_and_not_thousands(project: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(PictureError, match=f"{count} pictures are named; a page takes 1 to 60"):
        explain_pictures([tmp_path / "x.png"] * count, project / "data/model", tmp_path / "page.html")


def test_models_are_set_side_by_side(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    other = load_model(project / "data/model")
    fixed = CNN(SHAPES, other.settings.model_copy(update={"lines": "fixed"})).eval()
    save_model(fixed, tmp_path / "fixed", {})
    page = compare_models([Path("data/model"), tmp_path / "fixed"], tmp_path / "page.html")
    text = page.read_text()
    assert "2 networks side by side" in text
    assert "data/model" in text


def test_only_models_that_can_be_compared_are(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(ModelError, match="--compare takes two or more model folders; 1 given"):
        compare_models([Path("data/model")], tmp_path / "page.html")
    other = load_model(project / "data/model")
    save_model(CNN(("a", "b"), other.settings).eval(), tmp_path / "ab", {})
    with pytest.raises(ModelError, match="ab knows other shapes or a grid other than data/model"):
        compare_models([Path("data/model"), tmp_path / "ab"], tmp_path / "page.html")
