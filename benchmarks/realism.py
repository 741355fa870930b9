"""How far paintings are from people's drawings: a two-sample test, and a sheet of both side by side.

    python tests/bench/gap.py [DRAWINGS] [--sheet sheet.png] [--set generate.hand.bow=0.5 ...]

DRAWINGS holds folders named as shapes of the catalogue, with files `<shape>.<writer>.<number>.png`. For each shape, a
small CNN learns to tell our paintings from the drawings of all writers but some, and is asked about those: 50 % cannot
tell, 100 % always can. Both have passed the door, and are blurred a little, so that it is the hand that is compared
and not the renderer; paper, fillings and pens are left out for the same reason. Nothing learned here is kept.
"""

import argparse
import itertools
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from strokewise.data.shards import OTHER
from strokewise.params import GenerateParams, InkStrengths, Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.synthesis import outlines, render

ROOT = Path(__file__).parents[2]
GRID, FOLDS, EPOCHS, MOST = 64, 3, 12, 900
PLAIN = dict.fromkeys(InkStrengths.model_fields, 0.0)  # one pen on white paper


def drawings(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Pictures (n, G, G) and the writer of each, exact duplicates left out."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        picture = preprocess(path, GRID)
        found.setdefault(picture.tobytes(), (picture, path.name.split(".")[1]))
    return np.stack([picture for picture, _ in found.values()]), np.array([writer for _, writer in found.values()])


def paintings(catalogue: outlines.Catalogue, generate: GenerateParams, shape: str, count: int) -> NDArray[np.uint8]:
    """As many of ours, inked plainly, through the same door."""
    label = catalogue.shapes.index(shape)
    places = (place for place in itertools.count() if render.class_of(catalogue, place)[0] == label)
    ours = [render.render_painting(catalogue, generate, "preview", place) for place in itertools.islice(places, count)]
    assert all(painting.label == label for painting in ours)
    return np.stack([preprocess(painting.scene, GRID) for painting in ours])


def told_apart(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], writers: NDArray[np.str_]) -> float:
    """Balanced accuracy on writers that were not seen, over `FOLDS` groups of writers."""
    names = sorted(set(writers.tolist()))
    right = []
    for fold in range(min(FOLDS, len(names))):
        held = np.isin(writers, names[fold::FOLDS])
        mine = np.arange(len(ours)) % FOLDS == fold
        model = taught(np.concatenate([ours[~mine], theirs[~held]]), (~mine).sum())
        with torch.inference_mode():
            says = [(model(soft(part)) > 0).float().mean().item() for part in (ours[mine], theirs[held])]
        right.append((says[0] + 1 - says[1]) / 2)
    return float(np.mean(right))


def taught(samples: NDArray[np.uint8], first: int) -> nn.Module:
    """A small CNN that says above 0 for the `first` samples and below for the rest."""
    torch.manual_seed(0)
    stages = [(1, 12), (12, 24), (24, 48)]
    parts = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(b), nn.ReLU()) for a, b in stages
    ]
    model = nn.Sequential(*parts, nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 16, 1), nn.Flatten(0))
    x = soft(samples)
    y = (torch.arange(len(samples)) < first).float()
    weight = torch.where(y > 0, 1 / first, 1 / (len(samples) - first)) * len(samples) / 2
    steps = EPOCHS * -(-len(samples) // 64)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps + EPOCHS)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(samples)).split(64):
            if len(part) < 2:
                continue
            loss = functional.binary_cross_entropy_with_logits(model(x[part]), y[part], weight[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def soft(samples: NDArray[np.uint8]) -> torch.Tensor:
    """Pictures (n, 64, 64) -> (n, 1, 32, 32), blurred."""
    small = [cv2.resize(cv2.GaussianBlur(s, (0, 0), 1.2), (32, 32), interpolation=cv2.INTER_AREA) for s in samples]
    return torch.from_numpy(np.stack(small)).unsqueeze(1) / 255


def sheet(rows: list[NDArray[np.uint8]], path: Path) -> None:
    """For each shape two rows of ours, then two of theirs."""
    lines = []
    for row in rows:
        tiles = [cv2.copyMakeBorder(255 - tile, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=150) for tile in row[:44]]
        lines += [np.hstack(tiles[:22]), np.hstack(tiles[22:44])]
    cv2.imwrite(str(path), np.vstack(lines))


def main() -> None:
    """Print a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, nargs="?")
    parser.add_argument("--sheet", type=Path, help="write a sheet: two rows of ours, two of theirs, a shape")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if arguments.drawings is None:
        print("no drawings to compare with; name a folder of them")
        return
    torch.set_num_threads(1)
    generate = Params.load(ROOT / "params.yaml", arguments.overrides).generate
    generate = generate.model_copy(update={"ink": InkStrengths.model_validate(PLAIN)})
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    rows, results = [], []
    for folder in sorted(path for path in arguments.drawings.iterdir() if path.name in catalogue.shapes):
        theirs, writers = drawings(folder)
        ours = paintings(catalogue, generate, folder.name, min(MOST, len(theirs)))
        mixed = np.random.default_rng(0).permutation(len(theirs))
        rows += [ours, theirs[mixed]]
        if folder.name != OTHER:
            results.append(told_apart(ours, theirs, writers))
            print(
                f"{folder.name}: told apart {results[-1]:.1%} ({len(ours)} of ours, {len(theirs)} of theirs)",
                flush=True,
            )
    print(f"mean: {np.mean(results):.1%}")
    if arguments.sheet:
        sheet(rows, arguments.sheet)


if __name__ == "__main__":
    main()
