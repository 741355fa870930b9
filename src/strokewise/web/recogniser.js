/** A trained model with its preprocessing behind one call: strokes or pixels → the shape. Synchronous. */

import { ModelError } from "./errors.js";
import { MAX_MISFIT, snapOutline } from "./geometry_snap.js";
import { loadTemplates } from "./geometry_template.js";
import { forward, predictProba, toInk } from "./inference.js";
import { readModel } from "./model_file.js";
import { preprocessWithInk } from "./preprocess.js";

export const OTHER = "other"; // the class of drawings that are none of the shapes

/** A trained model. `shapes` are the classes that it knows, `other` among them. */
export class Recogniser {
  #templates = new Map(); // of each shape, made when it is first asked for

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
    this.#checkOptions(options);
    return this.#answer(preprocessWithInk(drawing, this.imageSize, options.strokes ?? null), options);
  }

  /**
   * Recognise a drawing, and lay the outline of its shape over the ink: what `recognise` returns, with `geometry` (see
   * index.d.ts), null where no outline explains the ink; then `no_geometry` says why.
   *
   * With `maxMisfit`, the largest misfit (0 to 1) between outline and ink that is accepted for a shape that the network is
   * sure of. Throws as `recognise` does, and ModelError where the model carries no outlines.
   */
  snap(drawing, options = {}) {
    const { maxMisfit = MAX_MISFIT, rejectBelow = 0 } = options;
    this.#checkOptions(options);
    if (!(maxMisfit >= 0 && maxMisfit <= 1)) {
      throw new ModelError(`the misfit cannot be bounded by ${maxMisfit}; give a number between 0 and 1`);
    }
    if (!Object.keys(this.model.outlines).length) throw new ModelError("this model carries no outlines to snap to");
    const source = preprocessWithInk(drawing, this.imageSize, options.strokes ?? null);
    const answer = this.#answer(source, options);
    const likeliest = likeliestShape(answer.scores);
    let found = "it is none of the shapes";
    if (likeliest !== OTHER) {
      found =
        answer.shape === likeliest
          ? snapOutline(this.#templatesOf(likeliest), source, answer.confidence, maxMisfit)
          : `${likeliest} has a confidence below ${rejectBelow}`;
    }
    return typeof found === "string" ? { ...answer, geometry: null, no_geometry: found } : { ...answer, geometry: found };
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
    return forward(this.model.network, [toInk(picture)]);
  }

  #checkPicture(picture) {
    if (!ArrayBuffer.isView(picture) || picture.length !== this.imageSize ** 2) {
      throw new ModelError(`the picture has not ${this.imageSize}×${this.imageSize} pixels; give what preprocess returns`);
    }
  }

  #checkOptions({ rejectBelow = 0, strokes = null }) {
    if (!(rejectBelow >= 0 && rejectBelow <= 1)) {
      throw new ModelError(`answers cannot be rejected below ${rejectBelow}; give a confidence between 0 and 1`);
    }
    if (rejectBelow && !this.shapes.includes(OTHER)) {
      throw new ModelError(`this model does not know '${OTHER}', so it can reject nothing; leave the bound out`);
    }
    if (![null, "points", "columns"].includes(strokes)) {
      throw new ModelError(`strokes are no ${strokes}; give "points" or "columns"`);
    }
  }

  #answer({ picture }, { rejectBelow = 0 }) {
    const row = predictProba(this.model, picture);
    const scores = Object.fromEntries(this.shapes.map((shape, label) => [shape, row[label]]));
    const likeliest = likeliestShape(scores);
    const shape = scores[likeliest] < rejectBelow ? OTHER : likeliest;
    return { shape, confidence: scores[shape], scores };
  }

  #templatesOf(shape) {
    if (!this.#templates.has(shape)) this.#templates.set(shape, loadTemplates(shape, this.model.outlines[shape] ?? {}));
    return this.#templates.get(shape);
  }
}

function likeliestShape(scores) {
  return Object.keys(scores).reduce((best, shape) => (scores[shape] > scores[best] ? shape : best));
}
