"""data/paintings/test, data/model -> data/report/explain/<shape>.png: what each layer saw in one painting a shape.

The painting is the first of its shape that the network gets right, so neither the easiest nor one picked by hand;
where it gets none of the first `CANDIDATES` right, it is the first, and the sheet says what it was taken for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from strokewise import dataset, disk, figures, network, progress
from strokewise.dataset import Split
from strokewise.errors import ModelError
from strokewise.explain import layers, way
from strokewise.network import Network
from strokewise.params import Params

MODEL = Path("data/model")
REPORT = Path("data/report/explain")
CANDIDATES = 25  # paintings of a shape that are tried


@dataclass(frozen=True)
class Explained:
    """The painting that was drawn for each shape, by its index in the test paintings, and what it was taken for."""

    folder: Path
    paintings: dict[str, int]
    answers: dict[str, str]


def explain(params: Params) -> Explained:
    """Draw the way through the network for one test painting of every shape."""
    trained = network.load(MODEL)
    split = dataset.load("test", trained.grid)
    if split.shapes != trained.shapes:
        raise ModelError(f"{MODEL} knows other shapes than the paintings of data/paintings; run `strokewise train`")
    chosen = dict(_examples(trained, split))
    scenes = dataset.scenes("test", list(chosen.values()))
    answers = {}
    with disk.replacing(REPORT) as folder:
        folder.mkdir()
        examples = progress.track(zip(chosen.items(), scenes, strict=True), len(chosen), "explain", "shapes")
        for (shape, index), scene in examples:
            steps = layers.steps(trained, split.pictures[index])
            scores = dict(zip(trained.shapes, _softmax(steps[-1].maps[:, 0, 0]), strict=True))
            answers[shape] = max(scores, key=scores.__getitem__)
            figures.layers(
                f"{shape}, read as {answers[shape]}",
                scene,
                split.pictures[index],
                scores,
                way.strips(
                    steps,
                    layers.line_filters(trained),
                    trained.shapes,
                    seeded=trained.settings.lines != "learned",
                    count=params.explain.maps,
                ),
                folder / f"{shape}.png",
            )
    return Explained(REPORT, chosen, answers)


def _examples(trained: Network, split: Split) -> Iterator[tuple[str, int]]:
    """Each shape that has test paintings, with the index of the first that is recognised, else of its first."""
    for label, shape in enumerate(split.shapes):
        tried = np.flatnonzero(split.labels == label)[:CANDIDATES]
        if len(tried):
            right = network.probabilities(trained, split.pictures[tried]).argmax(1) == label
            yield shape, int(tried[right.argmax()])  # argmax of all False is 0: the first


def _softmax(logits: layers.Floats) -> list[float]:
    """Logits (C,) -> probabilities (C,)."""
    powers = np.exp(logits - logits.max())
    return [float(share) for share in powers / powers.sum()]
