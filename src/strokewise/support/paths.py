"""Where things lie in a checkout, all relative to its root, and which root that is."""

import os
from pathlib import Path

PARAMS_FILE = Path("params.yaml")
OUTLINES_DIR = Path("data/outlines")
PAINTINGS_DIR = Path("data/paintings")
MODEL_DIR = Path("data/model")
BASELINE_DIR = Path("data/baseline")
REPORT_DIR = Path("data/report")
CURVE_DIR = Path("data/curve")
DRAWINGS_DIR = Path("data/drawings")
TRAIN_DRAWINGS_DIR = Path("data/drawings-train")
SCRATCH_DIR = Path(".strokewise")
HISTORY_FILE = "history.csv"  # of a model folder, and of a training that goes on
TRAINING_FILE = "training.json"  # what a training that goes on trains


def project_root() -> Path:
    """The checkout that the user works in: DVC's root where a stage runs under DVC, else the working directory.

    A queued DVC experiment runs in a copy that is thrown away; the store and the scratch stay in the user's checkout.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def scratch_dir() -> Path:
    """The git-ignored folder for checkpoints, locks and unfinished work of this checkout."""
    return project_root() / SCRATCH_DIR
