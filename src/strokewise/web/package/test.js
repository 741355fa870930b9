/** The package answers as the Python package did that made it: `npm test`. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { ModelError, PictureError, load } from "./index.js";

const { name, shapes, drawings } = JSON.parse(await readFile(new URL("./vectors.json", import.meta.url), "utf8"));
const recogniser = await load();
const TOLERANCE = 0.05; // of a score: the weights here have 8 bits

test("the module is found by its name", async () => {
  assert.equal((await import(name)).load, load);
});

test("the shapes are those of the model", () => {
  assert.deepEqual(recogniser.shapes, shapes);
});

for (const { title, strokes, scores, geometry } of drawings) {
  test(`${title}: recognised and snapped as in Python`, () => {
    const answer = recogniser.snap(strokes);
    for (const shape of shapes) {
      assert.ok(Math.abs(answer.scores[shape] - scores[shape]) < TOLERANCE, `${shape}: ${answer.scores[shape]}`);
    }
    if (!geometry) return; // whether there is one may hang on a thread
    const side = Math.max(...geometry.parameters.size);
    geometry.parameters.centre.forEach((place, axis) => {
      assert.ok(Math.abs(answer.geometry.parameters.centre[axis] - place) < 0.02 * side);
    });
  });
}

test("what is no drawing is refused", () => {
  for (const rubbish of [[], [[[1, 2]]], [[[0, NaN], [1, 1]]], [[[0, 0], [1e300, 1]]], null, 7, "{}", { x: 1 }]) {
    assert.throws(() => recogniser.recognise(rubbish), PictureError);
  }
});

test("what is no model is refused", async () => {
  await assert.rejects(load(new Uint8Array(100)), ModelError);
  await assert.rejects(load("no-such-file"), ModelError);
});
