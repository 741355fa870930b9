"""The files and folders of a checkout, relative to its root, and which root that is."""

import os
from pathlib import Path

PARAMS_FILE = Path("params.yaml")
DVC_LOCK_FILE = Path("dvc.lock")
OUTLINES_DIR = Path("data/outlines")
PAINTINGS_DIR = Path("data/paintings")
MODEL_DIR = Path("data/model")
BASELINE_DIR = Path("data/baseline")
REPORT_DIR = Path("data/report")
CURVE_DIR = Path("data/curve")
DRAWINGS_DIR = Path("data/drawings")
TRAIN_DRAWINGS_DIR = Path("data/drawings-train")
SCRATCH_DIR = Path(".strokewise")
HISTORY_FILE = "history.csv"  # of a model folder and of an unfinished training
SNAPSHOTS_FILE = "snapshots.safetensors"  # of a model folder, for a page that shows the training; not registered
TRAINING_FILE = "training.json"  # of an unfinished training: what it trains


def project_root() -> Path:
    """The user's checkout: DVC's root where a stage runs under DVC, else the working directory.

    A queued DVC experiment runs in a temporary copy; the MLflow store and the scratch folder stay in the checkout.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def scratch_dir() -> Path:
    """The git-ignored folder of the checkout for checkpoints, locks and unfinished work."""
    return project_root() / SCRATCH_DIR
