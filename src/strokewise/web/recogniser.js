/** A trained model with its preprocessing behind one call: strokes or pixels → the shape. Synchronous. */

import { ModelError } from "./errors.js";
import { forward, predictProba } from "./inference.js";
import { readModel } from "./model_file.js";
import { preprocessWithInk } from "./preprocess.js";

export const OTHER = "other"; // the class of drawings that are none of the shapes

/** A trained model. `shapes` are the classes that it knows, `other` among them. */
export class Recogniser {
  /** From the bytes of a model file, an ArrayBuffer or Uint8Array. Throws ModelError where they are none. */
  constructor(bytes) {
    this.model = readModel(bytes);
    this.shapes = Object.freeze([...this.model.shapes]);
    this.imageSize = this.model.image_size;
  }

  /**
   * Recognise strokes (see stroke_formats.js) or pixels (ImageData): {shape, confidence, scores}.
   *
   * With `rejectBelow`, the shape is "other" where the likeliest scores less, and `confidence` is the score of "other".
   * `strokes`: "points" or "columns", for strokes that could be written as both.
   *
   * Throws PictureError for a drawing that cannot be read, ModelError where `rejectBelow` is out of range.
   */
  recognise(drawing, options = {}) {
    return this.#answer(preprocessWithInk(drawing, this.imageSize, options.strokes ?? null), options);
  }

  /** The picture that the network sees, Uint8Array (G·G), 0 bare paper to 255 full ink. Throws PictureError. */
  preprocess(drawing, options = {}) {
    return preprocessWithInk(drawing, this.imageSize, options.strokes ?? null).picture;
  }

  /** The scores of a picture, Uint8Array (G·G), in the order of `shapes`: the mean over its looks. */
  predictProba(picture) {
    this.#checkPicture(picture);
    return predictProba(this.model, picture);
  }

  /**
   * What every layer makes of a picture, Uint8Array (G·G), as it lies: a list of {layer, values}. `layer` has the name,
   * the sizes [channels, height, width] and the receptive field, `values` is a Float32Array (channels, height, width).
   */
  activations(picture) {
    this.#checkPicture(picture);
    return forward(this.model.network, [Float32Array.from(picture, (level) => level / 255)]);
  }

  #checkPicture(picture) {
    if (!ArrayBuffer.isView(picture) || picture.length !== this.imageSize ** 2) {
      throw new ModelError(`the picture has not ${this.imageSize}×${this.imageSize} pixels; give what preprocess returns`);
    }
  }

  #answer({ picture }, { rejectBelow = 0 }) {
    if (!(rejectBelow >= 0 && rejectBelow <= 1)) {
      throw new ModelError(`answers cannot be rejected below ${rejectBelow}; give a confidence between 0 and 1`);
    }
    if (rejectBelow && !this.shapes.includes(OTHER)) {
      throw new ModelError(`this model does not know '${OTHER}', so it can reject nothing; leave the bound out`);
    }
    const row = predictProba(this.model, picture);
    const scores = Object.fromEntries(this.shapes.map((shape, label) => [shape, row[label]]));
    const confidence = Math.max(...row);
    const shape = confidence < rejectBelow ? OTHER : this.shapes[row.indexOf(confidence)];
    return { shape, confidence: scores[shape], scores };
  }
}
