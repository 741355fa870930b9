/**
 * The bytes of a model file → the model: its description, and the network that is built from it.
 *
 * The file is in the safetensors format: the length of a header (8 bytes), the header (JSON), the tensors. Its metadata
 * hold the description as JSON under `model`. Tensors are F32, F16, or I8 with a scale for each first index, the tensor
 * of the same name with `.scale`.
 */

import { buildLayers } from "./cnn.js";
import { ModelError } from "./errors.js";
import { PREPROCESSING_VERSION } from "./preprocess.js";

export const FORMAT_VERSION = 1;
const DAMAGED = "the model file is damaged or no model of strokewise; export it again";

/** Read a model from an ArrayBuffer or Uint8Array. Throws ModelError where it is none, or of another version. */
export function readModel(source) {
  if (!(source instanceof ArrayBuffer) && !ArrayBuffer.isView(source)) throw new ModelError("give the model's bytes");
  const bytes = source instanceof ArrayBuffer ? new Uint8Array(source) : new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  let description;
  let weights;
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    description = JSON.parse(header.__metadata__.model);
    weights = readTensors(header, bytes.slice(8 + length));
  } catch {
    throw new ModelError(DAMAGED);
  }
  if (description.format !== FORMAT_VERSION || description.preprocessing_version !== PREPROCESSING_VERSION) {
    throw new ModelError("the model file is of another version than this runtime; export both together");
  }
  return { ...description, network: buildLayers(description, weights) };
}

function readTensors(header, data) {
  const tensors = {};
  for (const [name, { dtype, data_offsets: offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [start, end] = offsets;
    if (!(start >= 0 && end <= data.length)) throw new RangeError("a tensor lies outside the file");
    const part = data.slice(start, end).buffer;
    if (dtype === "F32") tensors[name] = new Float32Array(part);
    else if (dtype === "F16") tensors[name] = Float32Array.from(new Uint16Array(part), fromHalf);
    else if (dtype === "I8") tensors[name] = new Float32Array(new Int8Array(part));
    else throw new TypeError(dtype);
  }
  for (const name of Object.keys(tensors)) {
    const scale = tensors[`${name}.scale`];
    if (!scale) continue;
    const tensor = tensors[name];
    const length = tensor.length / scale.length;
    for (let map = 0, at = 0; map < scale.length; map++) {
      for (const end = at + length; at < end; at++) tensor[at] *= scale[map];
    }
  }
  for (const tensor of Object.values(tensors)) {
    let sum = 0;
    for (let at = 0; at < tensor.length; at++) sum += tensor[at];
    if (!Number.isFinite(sum)) throw new RangeError("a weight is no number");
  }
  return tensors;
}

/** A float16 in its 16 bits → its value. */
export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
