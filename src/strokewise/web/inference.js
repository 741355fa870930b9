/**
 * Pictures → probabilities, with test-time augmentation: the mean over two looks, the picture rotated a little either way.
 */

/**
 * Rotate a picture, Float32Array (G·G) in [0, 1], clockwise about its centre, with its lines as dark as before. Bare paper
 * comes in at the corners. 0 degrees returns it unchanged.
 */
export function rotate(picture, side, degrees, inkGain) {
  if (degrees === 0) return picture;
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const centre = (side - 1) / 2;
  const result = new Float32Array(side * side);
  const framed = new Float32Array((side + 2) * (side + 2)); // with a pixel of bare paper on every side
  for (let y = 0; y < side; y++) framed.set(picture.subarray(y * side, (y + 1) * side), (y + 1) * (side + 2) + 1);
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++, at++) {
      const fromX = cos * (x - centre) + sin * (y - centre) + centre;
      const fromY = cos * (y - centre) - sin * (x - centre) + centre;
      if (fromX <= -1 || fromY <= -1 || fromX >= side || fromY >= side) continue;
      const left = Math.floor(fromX);
      const top = Math.floor(fromY);
      const from = (top + 1) * (side + 2) + left + 1;
      const right = fromX - left;
      const below = fromY - top;
      const upper = framed[from] * (1 - right) + framed[from + 1] * right;
      const lower = framed[from + side + 2] * (1 - right) + framed[from + side + 3] * right;
      result[at] = Math.min(inkGain * (upper * (1 - below) + lower * below), 1);
    }
  }
  return result;
}

/** The outputs of all layers for looks, Float32Arrays (G·G) in [0, 1]: a list of {layer, values}, in order. */
export function forward(layers, looks) {
  const input = new Float32Array(looks.length * looks[0].length);
  looks.forEach((look, index) => input.set(look, index * look.length));
  const outputs = [];
  let values = input;
  for (const { layer, forward: run } of layers) {
    values = run(values, looks.length);
    outputs.push({ layer, values });
  }
  return outputs;
}

/** The levels of a picture → Float32Array in [0, 1]. The scale is a constant, never a statistic. */
export function toInk(picture) {
  const ink = new Float32Array(picture.length);
  for (let at = 0; at < ink.length; at++) ink[at] = picture[at] / 255;
  return ink;
}

/** The probabilities of a picture, Uint8Array (G·G): the mean over its looks. `model`: see model_file.js. */
export function predictProba(model, picture) {
  const ink = toInk(picture);
  const looks = model.tta_angles.map((degrees) => rotate(ink, model.image_size, degrees, model.ink_gain));
  const logits = forward(model.network, looks).at(-1).values; // (C, looks)
  const rows = looks.map((_, look) => softmax(logits.filter((_, at) => at % looks.length === look)));
  return Array.from(rows[0], (_, label) => rows.reduce((sum, row) => sum + row[label], 0) / rows.length);
}

/** Logits → probabilities that sum to 1, Float64Array. */
export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
