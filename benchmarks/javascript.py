"""How fast the JavaScript runtime is against Python in the same run, on one core each, and how equal its answers are.

    python benchmarks/javascript.py [--count 600] [--model MODEL] [--drawings FOLDER] [--rounds 3]

The strokes of test paintings are recognised and snapped by both. `--drawings` adds the pictures of a folder, as pixels.
The times of JavaScript are medians of the rounds; the quickest round is the one that other processes disturbed least.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.loading import REFERENCE_MODEL
from strokewise.model.onnx_file import load_onnx
from strokewise.params import Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.preprocessing.stroke_input import rasterize_strokes
from strokewise.recogniser import Recogniser
from strokewise.synthesis import hand, outlines, render
from strokewise.web.bundle import WEB_DIR
from strokewise.web.model_bytes import model_bytes

ROOT = Path(__file__).parents[1]
Strokes = list[list[list[float]]]
SCRIPT = """
import fs from "node:fs";
const { load } = await import(`${process.argv[2]}/index.js`);
const folder = process.argv[3];
const { strokes, pictures, rounds } = JSON.parse(fs.readFileSync(`${folder}/in.json`));
const [exact, small] = [await load(`${folder}/float32`), await load(`${folder}/int8`)];
const result = { strokes: [], pictures: [], times: { recognise: [], snap: [] } };
const attempt = (drawing) => {
  try {
    const picture = exact.preprocess(drawing);
    return { picture: [...picture], exact: exact.predictProba(picture), small: small.predictProba(picture) };
  } catch (error) {
    return { error: `${error.code}` };
  }
};
const time = (call) => {
  const start = performance.now();
  call();
  return performance.now() - start;
};
for (const [name, call] of [["recognise", (d) => small.recognise(d)], ["snap", (d) => small.snap(d)]]) {
  result.times[`first ${name}`] = time(() => call(strokes[0]));
  for (const drawing of strokes.slice(1, 11)) call(drawing);
  for (let round = 0; round < rounds; round++) {
    result.times[name].push(strokes.slice(0, 300).map((drawing) => time(() => call(drawing))));
  }
}
result.strokes = strokes.map(attempt);
const bytes = fs.readFileSync(`${folder}/pixels`);
let at = 0;
for (const [width, height] of pictures) {
  result.pictures.push(attempt({ width, height, data: bytes.subarray(at, (at += 4 * width * height)) }));
}
result.snaps = strokes.map((drawing) => exact.snap(drawing));
fs.writeFileSync(`${folder}/out.json`, JSON.stringify(result));
"""


def painted_strokes(count: int) -> Iterator[tuple[Strokes, int]]:
    """The strokes of test paintings with their labels, in pixels."""
    params = Params.load(ROOT / "params.yaml").generate
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    paths: list[Any] = []
    draw_strokes = hand.draw_strokes

    def noting(*words: Any) -> Any:
        paths.append(draw_strokes(*words))
        return paths[-1]

    hand.draw_strokes = noting
    for index in range(count):
        label = render.render_painting(catalogue, params, "test", index).label
        path = paths.pop()
        runs = np.split(path.line, path.pen_downs)
        yield [[[float(point.real), float(point.imag)] for point in run] for run in runs], label


def read_pixels(folder: Path) -> list[NDArray[np.uint8]]:
    """All pictures below a folder as RGBA."""
    found = []
    for path in sorted(folder.rglob("*.png")):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        code = {2: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA}.get(image.ndim if image.ndim == 2 else image.shape[2])
        found.append(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if code is None else code))
    return found


def compare(name: str, pictures: list[Any], answers: list[dict[str, Any]], model: Any, labels: Any = None) -> None:
    """Print how equal the pictures and the answers are."""
    both = [
        (one, other) for one, other in zip(pictures, answers, strict=True) if one is not None and "error" not in other
    ]
    refused = sum("error" in answer for answer in answers)
    expected = np.stack([one for one, _ in both])
    found = np.array([other["picture"] for _, other in both], np.uint8).reshape(expected.shape)
    gaps = np.abs(expected.astype(int) - found).mean(axis=(1, 2))
    on_theirs, on_ours = model.predict_proba(expected), model.predict_proba(found)
    exact, small = (np.array([other[key] for _, other in both]) for key in ("exact", "small"))
    print(f"{name}: {len(answers):,} drawings, {refused} refused ({sum(one is None for one in pictures)} by Python)")
    print(f"  picture: mean difference {gaps.mean():.4f} levels of 255, the largest of a drawing {gaps.max():.2f}")
    print(f"  same shape as Python: {(exact.argmax(1) == on_theirs.argmax(1)).mean():.2%}")
    print(f"  probabilities on the same picture: largest difference {np.abs(exact - on_ours).max():.1e}")
    print(f"  int8: same shape as float {(small.argmax(1) == exact.argmax(1)).mean():.2%}", end="")
    if labels is not None:
        truth = np.array(
            [
                label
                for label, one, other in zip(labels, pictures, answers, strict=True)
                if one is not None and "error" not in other
            ]
        )
        right = [100 * (rows.argmax(1) == truth).mean() for rows in (exact, small)]
        print(f", right {right[0]:.2f} % with float, {right[1]:.2f} % with int8", end="")
    print()


def main() -> None:
    """Run both, then print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, default=REFERENCE_MODEL)
    parser.add_argument("--drawings", type=Path)
    args = parser.parse_args()
    model, recogniser = load_onnx(args.model), Recogniser(args.model)
    cv2.setNumThreads(1)
    strokes, labels = zip(*painted_strokes(args.count), strict=True)
    scenes = read_pixels(args.drawings) if args.drawings else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for weight_type in ("float32", "int8"):
            (folder / weight_type).write_bytes(model_bytes(model, weight_type))
        (folder / "pixels").write_bytes(b"".join(scene.tobytes() for scene in scenes))
        sizes = [scene.shape[1::-1] for scene in scenes]
        (folder / "in.json").write_text(json.dumps({"strokes": strokes, "pictures": sizes, "rounds": args.rounds}))
        (folder / "run.mjs").write_text(SCRIPT)
        subprocess.run(["node", str(folder / "run.mjs"), WEB_DIR.as_uri(), name], check=True)
        result = json.loads((folder / "out.json").read_text())

    def picture_of(source: Any) -> NDArray[np.uint8] | None:
        try:
            return preprocess(source, model.image_size)
        except PictureError:
            return None

    compare(
        "strokes",
        [picture_of(rasterize_strokes(drawing, "points")[0]) for drawing in strokes],
        result["strokes"],
        model,
        labels,
    )
    if scenes:
        compare("pixels", [picture_of(scene) for scene in scenes], result["pictures"], model)
    python: dict[str, list[float]] = {"recognise": [], "snap": []}
    snaps = []
    for drawing in strokes:
        for kind, times in python.items():
            start = time.perf_counter()
            (answer,) = recogniser.predict([drawing], strokes="points", snap=kind == "snap")
            times.append(1000 * (time.perf_counter() - start))
        snaps.append(answer)
    same = total = 0
    for drawing, answer, found in zip(strokes, snaps, result["snaps"], strict=True):
        if answer.geometry is None or found["geometry"] is None:
            continue
        total += 1
        side = np.ptp(np.concatenate(drawing), axis=0).max()
        key = (
            "vertices"
            if {"vertices"} <= set(answer.geometry.parameters) & set(found["geometry"]["parameters"])
            else "centre"
        )
        one, other = (
            np.array(geometry["parameters"][key]) for geometry in (answer.geometry.to_dict(), found["geometry"])
        )
        same += one.shape == other.shape and np.abs(one - other).max() < 0.005 * side
    nothing = sum(
        (answer.geometry is None) != (found["geometry"] is None)
        for answer, found in zip(snaps, result["snaps"], strict=True)
    )
    print(f"snap: {same:,} of {total:,} within 0.5 % of the drawing's side, {nothing} by one of the two alone")
    for kind in ("recognise", "snap"):
        rounds, first = np.array(result["times"][kind]), result["times"][f"first {kind}"]
        quickest, reference = np.median(rounds, axis=1).min(), np.median(python[kind])
        high = np.quantile(rounds, 0.95, axis=1).min()
        print(f"{kind}: JavaScript median {np.median(rounds):.1f} ms, in the quickest round {quickest:.1f} ", end="")
        print(f"(95th percentile {high:.1f}), first call {first:.0f}", end="")
        print(f"; Python median {reference:.1f} ms: ratio {quickest / reference:.2f}")


if __name__ == "__main__":
    main()
