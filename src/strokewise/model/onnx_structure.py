"""What a `model.onnx` would do is told from its bytes before ONNX Runtime sees them: no loops, no other files.

ONNX can express endless loops, branches, functions and weights that lie in other files. A model of strokewise holds
none of it: it has some hundred nodes of the operators below. Only the fields that decide this are read here, by their
numbers in onnx.proto; what they contain is ONNX Runtime's business.
"""

import re
from collections.abc import Iterator

MAX_NODES = 20_000  # a support vector machine has some three a pair of shapes
OPERATORS = frozenset(
    b"""Add AveragePool BatchNormalization Cast Concat Conv Div Erf Expand Flatten Gather Gemm GridSample
    InstanceNormalization LeakyRelu MaxPool Min Mul ReduceMean Relu Reshape Shape Sigmoid Softmax Unsqueeze

    Abs ArgMax ArrayFeatureExtractor Clip Equal Identity Less LinearClassifier MatMul Neg Normalizer ReduceSum
    ReduceSumSquare SVMClassifier Scan Sqrt Sub Sum TopK Transpose TreeEnsembleClassifier""".split()
)  # of the CNN, and what the baselines have beside them
SUBGRAPH_OPERATOR = b"Scan"  # of nearest neighbours; its graph runs once a row
LENGTH_DELIMITED = 2  # wire type of text, bytes and messages
FIXED_BYTES = {1: 8, 5: 4}  # by wire type
# Numbers with a key of one byte, but for `DATA_LOCATION`: a random forest has hundreds of thousands, of no interest.
NUMBERS = re.compile(
    b"(?:[%s][\x80-\xff]{0,9}[\x00-\x7f]|[%s].{8}|[%s].{4})*+"
    % tuple(re.escape(bytes(field << 3 | kind for field in range(1, 16) if field != 14)) for kind in (0, 1, 5)),
    re.DOTALL,
)
# field numbers: of a model, a graph, a node, an attribute, a tensor
GRAPH, TRAINING, FUNCTIONS = 7, 20, 25
NODE, INITIALIZER, SPARSE_INITIALIZER = 1, 5, 15
OPERATOR, ATTRIBUTE = 4, 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE = (22, 23)
EXTERNAL_DATA, DATA_LOCATION = 13, 14
SPARSE = "it holds sparse weights, which models of strokewise do not"


def check_structure(content: bytes) -> None:
    """Raise ValueError for an ONNX file that holds what no model of strokewise does, or is no protocol buffer."""
    budget = [MAX_NODES]
    for number, value in _fields(memoryview(content)):
        if number in (TRAINING, FUNCTIONS):
            raise ValueError("it holds functions, which models of strokewise do not")
        if number == GRAPH and value is not None:
            _check_graph(value, budget)


def _check_graph(graph: memoryview, budget: list[int], nested: bool = False) -> None:
    """Check the nodes and weights of a graph; `budget` holds how many nodes may still come."""
    for number, value in _fields(graph):
        if number == SPARSE_INITIALIZER:
            raise ValueError(SPARSE)
        if number == INITIALIZER and value is not None:
            _check_tensor(value)
        if number == NODE and value is not None:
            budget[0] -= 1
            if budget[0] < 0:
                raise ValueError(f"it has more than {MAX_NODES:,} nodes")
            _check_node(value, budget, nested)


def _check_node(node: memoryview, budget: list[int], nested: bool) -> None:
    operators = [bytes(value) for number, value in _fields(node) if number == OPERATOR and value is not None]
    for operator in operators:
        if operator not in OPERATORS or (nested and operator == SUBGRAPH_OPERATOR):
            raise ValueError(
                f"it uses the operator {operator[:40].decode('ascii', 'replace')}, which models of strokewise do not"
            )
    for number, attribute in _fields(node):
        if number != ATTRIBUTE or attribute is None:
            continue
        for kind, value in _fields(attribute):
            if value is None:
                continue
            if kind in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
                _check_tensor(value)
            elif kind in ATTRIBUTE_SPARSE:
                raise ValueError(SPARSE)
            elif kind in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                if operators != [SUBGRAPH_OPERATOR] or nested:
                    raise ValueError("it holds a graph within a graph, which models of strokewise do not")
                _check_graph(value, budget, nested=True)


def _check_tensor(tensor: memoryview) -> None:
    if any(number in (EXTERNAL_DATA, DATA_LOCATION) for number, _ in _fields(tensor)):
        raise ValueError("its weights lie in another file, which those of strokewise do not")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """The fields of a protocol buffer, but for `NUMBERS`: the number, and the content of text, bytes or a message."""
    position = 0
    while (position := _after_numbers(message, position)) < len(message):
        key, position = _varint(message, position)
        wire_type, value = key & 7, None
        if wire_type == LENGTH_DELIMITED:
            length, position = _varint(message, position)
            value = message[position : position + length]
            position += length
        elif wire_type == 0:
            _, position = _varint(message, position)
        elif wire_type in FIXED_BYTES:
            position += FIXED_BYTES[wire_type]
        else:
            raise ValueError("it is no protocol buffer")
        if position > len(message):
            raise ValueError("a field of it ends too late")
        yield key >> 3, value


def _after_numbers(message: memoryview, position: int) -> int:
    numbers = NUMBERS.match(message, position)
    return position if numbers is None else numbers.end()


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("it is no protocol buffer")
