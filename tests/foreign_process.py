"""Predict with a registered model in a process that cannot import strokewise."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from strokewise.data.png import encode_png
from strokewise.registry import store

PREDICT = """
import sys
sys.path[:] = [path for path in sys.path if not path.endswith("/src")]
import importlib.util
assert importlib.util.find_spec("strokewise") is None
import base64, json, mlflow.pyfunc, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
text, array = json.load(sys.stdin)
array = np.array(array, np.uint8)
wrong = base64.b64encode(b"no picture").decode()
inputs = {
    "text": [text], "array": array[None], "list": [array.tolist()], "both": [text, array], "frame": None,
    "wrong": [text, "?", wrong, np.zeros((3, 3)), [[1, 2], [3]], array],
}
import pandas
inputs["frame"] = pandas.DataFrame({"picture": [text]})
print(json.dumps({name: model.predict(each) for name, each in inputs.items()}))
print(json.dumps([model.metadata.signature.to_dict(), sorted(set(sys.modules) & {"sklearn", "typer", "matplotlib"})]))
"""


def predict_without_strokewise(uri: str, root: Path, scene: Any) -> list[Any]:
    """Predictions of a scene in every input format, and [signature, heavy modules that were imported]."""
    text = base64.b64encode(encode_png(scene)).decode()
    done = subprocess.run(
        [sys.executable, "-I", "-c", PREDICT, uri],
        input=json.dumps([text, scene.tolist()]),
        cwd=root,
        env={
            "PATH": os.environ["PATH"],
            "MLFLOW_TRACKING_URI": store.store_address().uri,
            "OMP_WAIT_POLICY": "PASSIVE",
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()[-2:]]
