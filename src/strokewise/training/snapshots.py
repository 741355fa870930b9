"""The averaged weights at fixed shares of a training: what the network knew then, for a page that shows it.

    TrainState, while it is trained → {share: {name: float16 tensor}} → snapshots.safetensors beside the model

They decide nothing: the file may be missing, and is not registered.
"""

import json

import safetensors.torch
from torch import Tensor

from strokewise.model.cnn import CNN

SNAPSHOT_SHARES = (0.0, 0.02, 0.1, 0.3, 1.0)  # of all steps: the network learns most of what it knows in the first
Snapshots = dict[float, dict[str, Tensor]]
"""By share of the training, the tensors of `CNN.state_dict()`; the floating-point ones as float16."""


def keep_snapshot(snapshots: Snapshots, model: CNN, step: int, steps: int) -> None:
    """Add the weights of `model` to `snapshots` if `step` of all `steps` is one at which they are kept."""
    for share in SNAPSHOT_SHARES:
        if step == round(share * steps) and share not in snapshots:
            snapshots[share] = {
                name: value.detach().half() if value.is_floating_point() else value.detach().clone()
                for name, value in model.state_dict().items()
            }


def flatten_snapshots(snapshots: Snapshots) -> dict[str, Tensor]:
    """Snapshots as tensors by name: the share, a slash, the name within the model."""
    return {f"{share}/{name}": value for share, tensors in snapshots.items() for name, value in tensors.items()}


def unflatten_snapshots(tensors: dict[str, Tensor]) -> Snapshots:
    """The inverse of `flatten_snapshots`."""
    snapshots: Snapshots = {}
    for key, value in tensors.items():
        share, _, name = key.partition("/")
        snapshots.setdefault(float(share), {})[name] = value
    return dict(sorted(snapshots.items()))


def snapshots_bytes(snapshots: Snapshots) -> bytes:
    """The bytes of a safetensors file, with the shares as JSON in its one metadata key."""
    tensors = {name: value.cpu().contiguous() for name, value in flatten_snapshots(snapshots).items()}
    return safetensors.torch.save(tensors, {"shares": json.dumps(sorted(snapshots))})
