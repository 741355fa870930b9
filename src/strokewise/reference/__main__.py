"""Make the reference model, which answers where no other model is: `python -m strokewise.reference train`, then `pack`.

    train   paint and train in .strokewise/reference, from data/outlines and params.yaml with `OVERRIDES`; minutes
    pack    the trained model → model.onnx and its card, README.md, beside this file; seconds

Without a trained model, *pack* puts the present outlines into the present model.onnx. `make reference` does both steps.
"""

import contextlib
import json
import os
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import numpy as np

from strokewise.errors import ModelError
from strokewise.loading import REFERENCE_MODEL
from strokewise.model.onnx_file import load_onnx
from strokewise.model.onnx_writer import onnx_bytes
from strokewise.params import Params
from strokewise.support import signals
from strokewise.support.atomic_io import write_text
from strokewise.support.paths import MODEL_DIR, OUTLINES_DIR, PARAMS_FILE, scratch_dir
from strokewise.synthesis.outlines import load_catalogue, plain_outlines

OVERRIDES = ["generate.train=20000", "train.epochs=30"]
MAX_BYTES = 700_000  # of model.onnx
CARD = """# The reference model

`model.onnx` comes with the package and answers where no champion is registered and no `data/model` is found. It is a
CNN for these classes:
{shapes}.

**Trained on** {paintings:,} synthetic paintings of the outlines in `data/outlines` and on no drawing by a person:
`params.yaml` with `{overrides}`.

**Measured** on {count:,} test paintings that it never saw, painted by the same hand: accuracy {accuracy}
(95 % interval, Wilson). Recall of each class:

| class | recall | 95 % interval |
|---|---|---|
{recalls}

Accuracy on drawings by people, for models trained in this way, stands in the README of the project.

**What it cannot do.** It gives one answer for a whole picture: two shapes in one picture are `other` at best. It knows
the classes above and no text, and calls what a person would call nearly a triangle by whatever it resembles most. Its
confidence is calibrated on paintings, not on photographs.

**How to make it again.** `make reference`, with the dependencies of `requirements.lock`. On the same kind of processor
the weights are equal to the byte:

    weights      {weights}
    fingerprint  {fingerprint}

Made with torch {torch}, numpy {numpy}, on a processor with {precision} arithmetic.
"""


def train_reference(root: Path) -> None:
    """Paint and train in `.strokewise/reference` of the checkout `root`."""
    from strokewise.stages.generate import generate
    from strokewise.stages.train import train

    params = Params.load(root / PARAMS_FILE, OVERRIDES)
    folder = _scratch(root)
    (folder / OUTLINES_DIR).parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / OUTLINES_DIR).symlink_to((root / OUTLINES_DIR).resolve())
    with contextlib.chdir(folder):
        generate(params)
        train(params)


def pack_reference(root: Path) -> None:
    """Write model.onnx and, where the model was trained here, its card. Raises ModelError if it is too large."""
    import onnx

    trained = _scratch(root) / MODEL_DIR
    model = load_onnx(trained if trained.is_dir() else REFERENCE_MODEL)
    catalogue = load_catalogue(root / OUTLINES_DIR)
    outlines = json.dumps(plain_outlines(catalogue), ensure_ascii=False, sort_keys=True)
    metadata = {**model.metadata, "outlines": outlines}
    content = onnx_bytes(onnx.load_from_string(model.content), model.shapes, model.image_size, metadata)
    if len(content) > MAX_BYTES:
        raise ModelError(f"the reference model has {len(content):,} bytes, {MAX_BYTES:,} are allowed")
    REFERENCE_MODEL.write_bytes(content)
    if trained.is_dir():
        write_text(REFERENCE_MODEL.with_name("README.md"), _card(root))


def _card(root: Path) -> str:
    from strokewise.data.dataset import load_paintings
    from strokewise.evaluation.metrics import Proportion, accuracy

    with contextlib.chdir(_scratch(root)):
        model = load_onnx(MODEL_DIR)
        config = json.loads((MODEL_DIR / "config.json").read_text(encoding="utf-8"))
        test = load_paintings("test", model.image_size)
        count = len(load_paintings("train", model.image_size).labels)
    predicted = model.predict_proba(test.pictures).argmax(axis=1)

    def texts(share: Proportion) -> tuple[str, str]:
        value, low, high = (100 * (part or 0.0) for part in (share.value, share.low, share.high))
        return f"{value:.1f} %", f"{low:.1f} to {high:.1f} %"

    overall = texts(accuracy(test.labels, predicted))
    recalls = [
        " | ".join([f"| {shape}", *texts(accuracy(test.labels[of], predicted[of]))]) + " |"
        for label, shape in enumerate(model.shapes)
        for of in [np.flatnonzero(test.labels == label)]
    ]
    return CARD.format(
        shapes=textwrap.fill(", ".join(model.shapes), 119),
        paintings=count,
        overrides=" ".join(OVERRIDES),
        count=len(test.labels),
        accuracy=f"{overall[0]}, {overall[1]}",
        recalls="\n".join(recalls),
        weights=model.metadata["weights"],
        fingerprint=model.metadata["fingerprint"],
        torch=version("torch").partition("+")[0],
        numpy=version("numpy"),
        precision=config["training"]["precision"],
    )


def _scratch(root: Path) -> Path:
    return root / scratch_dir().name / "reference"


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported
    step = {"train": train_reference, "pack": pack_reference}[sys.argv[1]]
    signals.exit_on_signals(lambda: step(Path.cwd()))
