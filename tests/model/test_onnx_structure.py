"""A model.onnx of a stranger: what no model of strokewise holds is refused before anything runs, in one line."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from strokewise.baseline import estimator, selection
from strokewise.errors import ModelError
from strokewise.model import onnx_file
from strokewise.model.onnx_file import load_onnx
from strokewise.model.onnx_structure import check_structure
from strokewise.model.onnx_writer import onnx_bytes

SIDE, SHAPES = 16, ("circle", "other")
PIXELS = SIDE * SIDE
Edit = Callable[[onnx.ModelProto], object]


def small_model() -> onnx.ModelProto:
    """One fully connected layer."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["levels"], ["row"]),
        helper.make_node("MatMul", ["row", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "strokewise",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["N", SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", None])],
        [numpy_helper.from_array(np.zeros((PIXELS, 2), np.float32), "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(model: onnx.ModelProto, folder: Path) -> Path:
    """Write a model with the right digest, as a stranger would."""
    path = folder / "model.onnx"
    path.write_bytes(onnx_bytes(model, SHAPES, SIDE, {"fingerprint": "f" * 64}))
    return path


def insert_before_last(model: onnx.ModelProto, *nodes: onnx.NodeProto, **constants: Any) -> None:
    """Put nodes that make `extra` of `logits` before the softmax, which then reads `extra`."""
    last = model.graph.node.pop()
    last.input[0] = "extra"
    model.graph.node.extend([*nodes, last])
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )


def loop_forever(model: onnx.ModelProto) -> None:
    true = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["value"], ["next"])],
        "body",
        [true("i", TensorProto.INT64, []), true("go", TensorProto.BOOL, []), true("value", TensorProto.FLOAT, None)],
        [true("on", TensorProto.BOOL, []), true("next", TensorProto.FLOAT, None)],
    )
    insert_before_last(model, helper.make_node("Loop", ["", "yes", "logits"], ["extra"], body=body), yes=True)


def nest(model: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Relu", ["logits"], ["inner"])], "body", [], [])
    insert_before_last(model, helper.make_node("Relu", ["logits"], ["extra"], body=body))


def nest_scans(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    body = helper.make_graph([helper.make_node("Scan", ["a"], ["b"], body=inner)], "body", [], [])
    insert_before_last(model, helper.make_node("Scan", ["logits"], ["extra"], body=body))


def read_another_file(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "secret.bin", "length": str(8 * PIXELS)}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, value


def read_another_file_in_a_node(model: onnx.ModelProto) -> None:
    tensor = onnx.TensorProto(data_location=TensorProto.EXTERNAL)
    insert_before_last(model, helper.make_node("Relu", ["logits"], ["extra"], value=tensor))


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "images"


def take_floats(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def take_size(*sides: int | str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        value = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["N", *sides])
        model.graph.input[0].CopyFrom(value)
        model.graph.initializer.pop()
        model.graph.node.insert(1, helper.make_node("ReduceMean", ["levels"], ["mean"], axes=[1, 2], keepdims=1))
        model.graph.node[2].input[0] = "mean"
        model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 2), np.float32), "weights"))

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (loop_forever, "uses the operator Loop"),
        (nest, "a graph within a graph"),
        (nest_scans, "uses the operator Scan"),
        (read_another_file, "weights lie in another file"),
        (read_another_file_in_a_node, "weights lie in another file"),
        (lambda model: model.graph.sparse_initializer.add(), "sparse weights"),
        (lambda model: model.functions.add(), "holds functions"),
        (lambda model: model.training_info.add(), "holds functions"),
        (lambda model: model.graph.node.add(op_type="x" * 10_000 + "\x1b"), r"uses the operator x{40},"),
        (lambda model: model.graph.node.extend([helper.make_node("Relu", [], [])] * 20_001), "more than 20,000 nodes"),
        (rename_input, "does not turn pictures into probabilities"),
        (take_floats, "does not turn pictures into probabilities"),
        (lambda model: model.graph.input.pop(), "cannot be run"),
        (take_size(400_000, 400_000), "no squares of 1 to 1,024 pixels"),
        (take_size(16, 17), "no squares of 1 to 1,024 pixels"),
        (take_size("height", "width"), "no squares of 1 to 1,024 pixels"),
    ],
)
def test_graph_that_could_hurt_is_refused_at_once(
    edit: Edit, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret.bin").write_bytes(bytes(8 * PIXELS))
    model = small_model()
    edit(model)
    path = write(model, tmp_path)
    start = time.process_time()
    with pytest.raises(ModelError, match=message) as caught:
        load_onnx(path)
    assert time.process_time() - start < 3  # it could take for ever
    assert len(str(caught.value)) < 300 + len(str(path))
    assert str(caught.value).isprintable()


def expand(model: onnx.ModelProto) -> None:
    nodes = [
        helper.make_node("Expand", ["one", "size"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], keepdims=0),
        helper.make_node("Add", ["logits", "mean"], ["extra"]),
    ]
    insert_before_last(model, *nodes, one=np.float32(1), size=np.array([onnx_file._memory_limit() // 4]))


def three_scores(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((PIXELS, 3), np.float32), "weights"))


def no_numbers(model: onnx.ModelProto) -> None:
    weights = np.full((PIXELS, 2), np.nan, np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))


def wrong_rows(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((5, 2), np.float32), "weights"))
    del model.graph.value_info[:]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (expand, "takes more than [0-9,]+ bytes for a picture"),
        (three_scores, r"answers with \(1, 3\), not a row of 2 a picture"),
        (wrong_rows, "cannot be run"),
        (no_numbers, "answers with something that is no number"),
    ],
)
def test_graph_that_fails_when_it_runs_is_refused_in_one_line(
    edit: Edit, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = small_model()
    edit(model)
    with pytest.raises(ModelError, match=message):
        load_onnx(write(model, tmp_path)).predict_proba(np.zeros((1, SIDE, SIDE), np.uint8))
    assert capfd.readouterr() == ("", ""), "ONNX Runtime printed something"


def test_batch_that_is_too_large_for_the_memory_is_divided(tmp_path: Path) -> None:
    model = load_onnx(write(small_model(), tmp_path))
    sizes = []

    class SmallMemory:
        def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> Any:
            sizes.append(len(inputs["pictures"]))
            if sizes[-1] > 16:
                raise RuntimeError("Available memory of 1 is smaller than requested bytes of 2")
            return [np.full((sizes[-1], 2), 0.5, np.float32)]

    small = onnx_file.OnnxModel(model.shapes, model.image_size, model.metadata, model.content, SmallMemory())
    assert small.predict_proba(np.zeros((70, SIDE, SIDE), np.uint8)).shape == (70, 2)
    assert sum(size for size in sizes if size <= 16) == 70


@pytest.mark.parametrize(
    "content", [b"\x3a", b"\x3b", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 12, b"\x3a\x03\x0a\xff\x01"], ids=bytes.hex
)
def test_what_is_no_protocol_buffer_raises_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no protocol buffer|ends too late"):
        check_structure(content)


@pytest.mark.parametrize("name", ["logistic regression", "PCA + RBF SVM", "random forest", "nearest neighbours"])
def test_every_baseline_is_admitted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "PCA_COMPONENTS", 5)
    rng = np.random.default_rng(0)
    model = selection.candidates(60, 0)[name]().fit(rng.random((60, PIXELS)), np.arange(60) % 3)
    temperature = 1.0 if "SVM" in name else None
    config = {"temperature": temperature, "image_size": SIDE, "shapes": ["a", "b", "c"], "fingerprint": "f"}
    check_structure(estimator._to_onnx(model, config | {"choice": name}))


def test_nothing_is_computed_while_a_model_is_loaded(tmp_path: Path) -> None:
    model = small_model()
    nodes = [
        helper.make_node("Expand", ["one", "size"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], keepdims=0),
        helper.make_node("Add", ["logits", "mean"], ["extra"]),
    ]
    insert_before_last(model, *nodes, one=np.float32(1), size=np.array([2**26]))  # constants of 256 MB
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import onnxruntime\n"
        "from strokewise.model.onnx_file import load_onnx\n"
        "load_onnx(Path(sys.argv[1]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    sizes = []
    for one in (small_model(), model):
        words = [sys.executable, "-c", code, str(write(one, tmp_path))]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        sizes.append(int(done.stdout))
    assert sizes[1] < 1.5 * sizes[0]
