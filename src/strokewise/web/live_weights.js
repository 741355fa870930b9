/**
 * The weights that a page holds → the network, as it was at several moments of its training.
 *
 * A snapshot is text: base 85 of a deflated file of float16, the high bytes of all numbers before the low ones. Where it
 * is a difference, each number is how many float16 lie between it and the same number of the snapshot before.
 */

import { buildLayers } from "./cnn.js";
import { fromHalf } from "./model_file.js";

const BASE_85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

/** The bytes of base-85 text: five characters stand for four bytes. */
export function decodeBase85(text) {
  const digits = new Uint8Array(128);
  for (let value = 0; value < 85; value++) digits[BASE_85.charCodeAt(value)] = value;
  const bytes = new Uint8Array(Math.floor((text.length * 4) / 5));
  const padded = text.padEnd(Math.ceil(text.length / 5) * 5, "~");
  for (let from = 0, to = 0; from < padded.length; from += 5, to += 4) {
    let word = 0;
    for (let at = from; at < from + 5; at++) word = word * 85 + digits[padded.charCodeAt(at)];
    for (let byte = 3; byte >= 0; byte--, word = Math.floor(word / 256)) {
      if (to + byte < bytes.length) bytes[to + byte] = word % 256;
    }
  }
  return bytes;
}

/** The float16 bits of a snapshot, Uint16Array; `before` are those of the snapshot that it is a difference to, or null. */
export async function unpackSnapshot(text, before) {
  const inflated = new Blob([decodeBase85(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(inflated).arrayBuffer());
  const count = bytes.length / 2;
  const bits = new Uint16Array(count);
  for (let at = 0; at < count; at++) {
    const value = bytes[at] * 256 + bytes[count + at];
    bits[at] = before ? fromOrder(toOrder(before[at]) + (value & 1 ? -(value + 1) / 2 : value / 2)) : value;
  }
  return bits;
}

/** Float16 bits → a number that grows with their value. */
function toOrder(bits) {
  return bits & 0x8000 ? 0x7fff - (bits & 0x7fff) : 0x8000 + bits;
}

function fromOrder(order) {
  const rest = order & 0xffff;
  return rest & 0x8000 ? rest & 0x7fff : 0x8000 | (0x7fff - rest);
}

/** Float16 bits → their values. Exponent and fraction move to their places in a float32, which is quicker than powers. */
function fromHalves(bits) {
  const values = new Float32Array(bits.length);
  const words = new Uint32Array(values.buffer);
  for (let at = 0; at < bits.length; at++) {
    const half = bits[at];
    if (half & 0x7c00) words[at] = ((half & 0x8000) << 16) | (((half & 0x7fff) << 13) + (112 << 23));
    else values[at] = fromHalf(half); // zero, or smaller than a normal float16
  }
  return values;
}

/** A model, as model_file.js reads one, from its description and the float16 bits of its tensors, [name, length] each. */
export function buildModel(description, tensors, bits) {
  const weights = {};
  let start = 0;
  for (const [name, length] of tensors) {
    weights[name] = fromHalves(bits.subarray(start, start + length));
    start += length;
  }
  return { ...description, weights, network: buildLayers(description, weights) };
}
