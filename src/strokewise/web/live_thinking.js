/** Strokes → all that the page shows of them, in steps of a few milliseconds, so that drawing is never held up. */

import { snapOutline } from "./geometry_snap.js";
import { loadTemplates } from "./geometry_template.js";
import { rotate, softmax } from "./inference.js";
import { preprocessWithInk } from "./preprocess.js";
import { OTHER } from "./recogniser.js";

const templates = new Map(); // by shape, once they are needed

/**
 * A generator that recognises strokes, [[[x, y], …], …], a layer a step. It returns
 *
 *   {source, picture, outputs, upright, looks, scores}
 *
 * `picture` is what the network sees, Float32Array (G·G) in [0, 1]; `outputs` every layer's {layer, values} for it as it
 * lies, and `upright` its probabilities; `looks` are the probabilities of the rotated pictures of a prediction, and
 * `scores` their mean, which is the prediction.
 *
 * Throws PictureError for strokes that cannot be a drawing.
 */
export function* think(model, strokes) {
  const source = preprocessWithInk(strokes, model.image_size, "points");
  const picture = Float32Array.from(source.picture, (level) => level / 255);
  yield;
  const outputs = [];
  let values = picture;
  for (const { layer, forward } of model.network) {
    values = forward(values, 1);
    outputs.push({ layer, values });
    yield;
  }
  const looks = [];
  for (const degrees of model.tta_angles) {
    let turned = rotate(picture, model.image_size, degrees, model.ink_gain);
    for (const { forward } of model.network) {
      turned = forward(turned, 1);
      yield;
    }
    looks.push(softmax(turned));
  }
  const scores = looks[0].map((_, label) => looks.reduce((sum, look) => sum + look[label], 0) / looks.length);
  return { source, picture, outputs, upright: softmax(values), looks, scores };
}

/** The label of the likeliest shape. */
export function bestLabel(scores) {
  return scores.indexOf(Math.max(...scores));
}

/** The outline of the likeliest shape over the ink of a thought: a geometry, or the reason why there is none, text. */
export function snapThought(model, thought) {
  const label = bestLabel(thought.scores);
  const shape = model.shapes[label];
  if (shape === OTHER) return "it is none of the shapes";
  if (!templates.has(shape)) templates.set(shape, loadTemplates(shape, model.outlines[shape] ?? {}));
  return snapOutline(templates.get(shape), thought.source, thought.scores[label]);
}
