/**
 * A value of a map → the arithmetic behind it, from the filter of its block on, computed from inputs and weights.
 *
 * A place is {at, channel, row, column}: the number of the layer, and where in its maps. `at` is -1 for the picture.
 */

import { NORM_EPSILON } from "./cnn.js";

/** The values, Float32Array, and the sizes [channels, height, width] of a layer; of the picture for -1. */
export function mapsOf(model, thought, at) {
  if (at < 0) return { values: thought.picture, size: [1, model.image_size, model.image_size] };
  return { values: thought.outputs[at].values, size: thought.outputs[at].layer.output_size };
}

/** The value at a place; 0 beside the maps, in the padding. */
export function valueAt(model, thought, { at, channel, row, column }) {
  const { values, size } = mapsOf(model, thought, at);
  const [, height, width] = size;
  if (row < 0 || column < 0 || row >= height || column >= width) return 0;
  return values[(channel * height + row) * width + column];
}

/** The part of the picture that a place depends on: [top, left, bottom, right] in pixels, the last two exclusive. */
export function receptiveBox(model, thought, { at, row, column }) {
  const side = model.image_size;
  const { size, jump, start } = thought.outputs[at].layer.receptive_field;
  const [top, left] = [start + row * jump, start + column * jump];
  return [Math.max(top, 0), Math.max(left, 0), Math.min(top + size, side), Math.min(left + size, side)];
}

/**
 * The steps to a value, in the order in which they are computed: first a sum of products (`convolution` or
 * `fully connected`) or a value that is only moved (`flatten`), then what follows it in its block up to this place.
 *
 * Each has `kind`, `place` and `value`, the result. A sum has `bias` and `parts`, for each map before it {channel, top,
 * left, side, inputs, weights, sum}; `pooling` has `inputs` and `kept`, `normalisation` `input`, `mean`, `deviation`,
 * `scale` and `shift`, `activation` `input`, `flatten` `source`, a place.
 */
export function explainValue(model, thought, place) {
  const steps = [];
  for (let here = place; here; here = steps[0].before) steps.unshift(explainStep(model, thought, here));
  return steps;
}

function explainStep(model, thought, place) {
  const { layer } = thought.outputs[place.at];
  const before = { ...place, at: place.at - 1 };
  switch (layer.kind) {
    case "convolution":
    case "fully connected":
      return explainSum(model, thought, layer, place);
    case "pooling":
      return explainPooling(model, thought, layer, place);
    case "normalisation":
      return explainNormalisation(model, thought, layer, place, before);
    case "flatten": {
      const [, height, width] = layer.input_size;
      const source = {
        at: place.at - 1,
        channel: Math.floor(place.channel / (height * width)),
        row: Math.floor(place.channel / width) % height,
        column: place.channel % width,
      };
      return { kind: layer.kind, place, source, value: valueAt(model, thought, source), before: null };
    }
    default: {
      const input = valueAt(model, thought, before);
      return { kind: layer.kind, place, input, value: valueAt(model, thought, place), before };
    }
  }
}

function explainSum(model, thought, layer, place) {
  const { channel, row, column } = place;
  const { kernel_size: side, stride, padding } = layer;
  const weights = model.weights[`${layer.name}.weight`];
  const bias = model.weights[`${layer.name}.bias`]?.[channel] ?? 0;
  const [channels] = layer.input_size;
  const [top, left] = [row * stride - padding, column * stride - padding];
  let value = bias;
  const parts = [];
  for (let from = 0; from < channels; from++) {
    const part = { channel: from, top, left, side, inputs: [], weights: [], sum: 0 };
    for (let at = 0; at < side * side; at++) {
      const input = { at: place.at - 1, channel: from, row: top + Math.floor(at / side), column: left + (at % side) };
      part.inputs.push(valueAt(model, thought, input));
      part.weights.push(weights[(channel * channels + from) * side * side + at]);
      part.sum += part.inputs[at] * part.weights[at];
    }
    value += part.sum;
    parts.push(part);
  }
  return { kind: layer.kind, place, parts, bias, value, before: null };
}

function explainPooling(model, thought, layer, place) {
  const { kernel_size: side, stride } = layer;
  const places = Array.from({ length: side * side }, (_, at) => ({
    at: place.at - 1,
    channel: place.channel,
    row: place.row * stride + Math.floor(at / side),
    column: place.column * stride + (at % side),
  }));
  const inputs = places.map((input) => valueAt(model, thought, input));
  const largest = Math.max(...inputs);
  const isMax = model.pooling === "max";
  const value = isMax ? largest : inputs.reduce((sum, input) => sum + input, 0) / inputs.length;
  const kept = inputs.indexOf(largest);
  return { kind: layer.kind, place, side, inputs, isMax, kept, value, before: places[kept] };
}

function explainNormalisation(model, thought, layer, place, before) {
  const part = (name) => model.weights[`${layer.name}.${name}`];
  const { channel } = place;
  let [mean, variance] = [part("running_mean")?.[channel], part("running_var")?.[channel]];
  if (model.normalisation === "group") {
    const { values } = mapsOf(model, thought, before.at);
    const length = values.length / layer.groups;
    const group = values.subarray(Math.floor((channel * layer.groups) / layer.output_size[0]) * length).subarray(0, length);
    mean = group.reduce((sum, value) => sum + value, 0) / length;
    variance = group.reduce((sum, value) => sum + (value - mean) ** 2, 0) / length;
  }
  const input = valueAt(model, thought, before);
  const deviation = Math.sqrt(variance + NORM_EPSILON);
  const [scale, shift] = [part("weight")[channel], part("bias")[channel]];
  const value = ((input - mean) / deviation) * scale + shift;
  return { kind: layer.kind, place, input, mean, deviation, scale, shift, value, before };
}

/** The place of the input that contributes most to a sum, by size; where a moved value comes from; else null. */
export function strongestInput({ kind, place, parts, source }) {
  if (kind === "flatten") return source;
  let [best, most] = [null, 0];
  for (const { channel, top, left, side, inputs, weights } of parts ?? []) {
    inputs.forEach((input, at) => {
      const size = Math.abs(input * weights[at]);
      if (size <= most) return;
      most = size;
      best = { at: place.at - 1, channel, row: top + Math.floor(at / side), column: left + (at % side) };
    });
  }
  return best;
}
