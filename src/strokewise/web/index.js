/** Recognise hand-drawn shapes: `const r = await load(); r.recognise([[[x, y], …], …])`. */

import { ModelError, PictureError } from "./errors.js";
import { Recogniser } from "./recogniser.js";

export { ModelError, PictureError, Recogniser };

/**
 * Load a recogniser.
 *
 * `source`: the bytes of a model file (ArrayBuffer or Uint8Array), or where it lies (URL or text): by default beside this
 * module. In Node a file is read, in a browser it is fetched.
 *
 * Rejects with ModelError where there is none, or where it is damaged.
 */
export async function load(source = new URL("./model.safetensors", import.meta.url)) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return new Recogniser(source);
  let bytes;
  try {
    bytes = await readBytes(source);
  } catch (error) {
    throw new ModelError(`the model ${source} cannot be read: ${error.message}`);
  }
  return new Recogniser(bytes);
}

async function readBytes(source) {
  const isNode = typeof process !== "undefined" && Boolean(process.versions?.node);
  const isFile = source instanceof URL ? source.protocol === "file:" : !/^(https?|data|blob):/.test(source);
  if (isNode && isFile) {
    const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises");
    return readFile(source);
  }
  const response = await fetch(source);
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}
