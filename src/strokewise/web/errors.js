/** Errors for users: each a single line that says what was given, what is allowed and what to do. */

/** A drawing or picture cannot be read, or contains nothing that could be a shape. */
export class PictureError extends Error {
  /**
   * @param {string} message
   * @param {"strokes" | "blank" | "photograph" | "picture"} code - what is wrong: strokes that cannot be read, nothing
   *   to be seen, a photograph or ruled paper (which strokewise in Python reads), pixels that are none.
   */
  constructor(message, code = "strokes") {
    super(message);
    this.name = "PictureError";
    this.code = code;
  }
}

/** A model file is missing, damaged or of another version, or an option does not suit the model. */
export class ModelError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "ModelError";
  }
}
