"""The stage explain: a sheet a shape, the same bytes again, the picture that its rule promises, no half a report."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from strokewise import dataset, network
from strokewise.errors import DatasetError, ModelError
from strokewise.params import Params
from strokewise.stages.explain import REPORT, explain

SHAPES = ("cross", "ellipse", "other")


def paintings(folder: Path, count: int = 24, shapes: tuple[str, ...] = SHAPES) -> None:
    """A test split of crosses, ellipses and single strokes, drawn without us."""
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
        rows.append(dataset.Row(cv2.imencode(".png", scene)[1].tobytes(), index % 3, {}))
    dataset.write_shard(folder / "test" / "00000.parquet", rows, shapes, {})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with paintings and a model that has learned a little from them."""
    root = tmp_path_factory.mktemp("project")
    paintings(root / dataset.FOLDER)
    split = dataset.load("test", 32, root / dataset.FOLDER)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small that two would only wait for each other
    settings = Params.load().network.model_copy(update={"grid": 32, "width": 8, "extra": 3})
    pupil = network.Network(SHAPES, settings)
    optimiser = torch.optim.AdamW(pupil.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        logits = pupil(network.batch(split.pictures))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.labels)).backward()
        optimiser.step()
    with torch.no_grad():
        for _ in range(40):  # the running statistics catch up with the weights
            pupil(network.batch(split.pictures))
    torch.set_num_threads(threads)
    network.save(pupil.eval(), root / "data/model", {})
    return root


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
    assert sorted(path.name for path in REPORT.iterdir()) == ["cross.png", "ellipse.png", "other.png"]
    first = {path.name: path.read_bytes() for path in REPORT.iterdir()}
    assert explain(few) == done
    assert {path.name: path.read_bytes() for path in REPORT.iterdir()} == first
    for content in first.values():
        drawn = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert drawn is not None
        assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 50


@pytest.mark.usefixtures("undrawn")
def test_it_shows_the_first_painting_that_the_network_gets_right(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    done = explain(params)
    split = dataset.load("test", 32)
    answers = network.probabilities(network.load(Path("data/model")), split.pictures).argmax(1)
    for label, shape in enumerate(SHAPES):
        index = done.paintings[shape]
        assert split.labels[index] == label
        assert done.answers[shape] == SHAPES[answers[index]]
        assert not (answers[:index][split.labels[:index] == label] == label).any(), "an earlier one was right"
        assert answers[index] == label


@pytest.mark.usefixtures("undrawn")
def test_where_nothing_is_right_it_shows_the_first_and_says_so(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paintings(Path("data/paintings"))
    blind = network.load(project / "data/model")
    last = blind.connected[-1]
    assert isinstance(last, torch.nn.Linear)
    last.bias.data[1] += 1000
    network.save(blind, Path("data/model"), {})
    done = explain(params)
    assert done.paintings["cross"] == 0
    assert done.answers == dict.fromkeys(SHAPES, "ellipse")
    assert (REPORT / "cross.png").read_text() == "cross, read as ellipse"


@pytest.mark.usefixtures("undrawn")
def test_a_model_of_other_shapes_is_refused(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network.save(network.load(project / "data/model"), Path("data/model"), {})
    paintings(Path("data/paintings"), shapes=("cross", "heart", "other"))
    with pytest.raises(ModelError, match="knows other shapes than the paintings"):
        explain(params)
    assert not REPORT.exists()


def test_a_missing_input_is_named(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no model in data/model.*strokewise train"):
        explain(params)
    network.save(network.load(project / "data/model"), Path("data/model"), {})
    with pytest.raises(DatasetError, match=r"no paintings in data/paintings/test.*strokewise generate"):
        explain(params)


@pytest.mark.usefixtures("undrawn")
def test_a_failure_leaves_the_report_as_it_was(project: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    explain(params)
    before = {path.name: path.read_bytes() for path in REPORT.iterdir()}

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strokewise.figures.layers", broken)
    with pytest.raises(KeyboardInterrupt):
        explain(params)
    assert {path.name: path.read_bytes() for path in REPORT.iterdir()} == before
    assert [path.name for path in REPORT.parent.iterdir()] == ["explain"]
