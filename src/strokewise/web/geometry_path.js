/**
 * SVG path data of straight lines and cubic Bézier curves: read, sampled, transformed and written.
 *
 * Only the absolute commands M, L, C and Z are understood, with which every outline of a model is written. A subpath is
 * {pieces, closed}: what is drawn without lifting the pen. A piece is 2 points [x, y] for a straight line or 4 for a curve;
 * each begins where the one before ends. A matrix is [[a, b, c], [d, e, f]].
 */

export const FLATTEN_STEPS = 24; // straight steps that stand for a curve

/** The subpaths of path data. */
export function parsePath(text) {
  const subpaths = [];
  let pieces = [];
  let start = [0, 0];
  let here = start;
  const finish = (closed) => {
    if (pieces.length) subpaths.push({ pieces, closed });
    pieces = [];
  };
  for (const [, command, numbers] of text.matchAll(/([MLCZ])([^MLCZ]*)/g)) {
    const values = numbers.split(/[\s,]+/).filter(Boolean).map(Number);
    const points = [];
    for (let at = 0; at < values.length; at += 2) points.push([values[at], values[at + 1]]);
    if (command === "M") {
      finish(false);
      start = here = points[0];
    } else if (command === "Z") {
      if (here[0] !== start[0] || here[1] !== start[1]) pieces.push([here, start]);
      finish(true);
      here = start;
    } else {
      pieces.push([here, ...points]);
      here = points.at(-1);
    }
  }
  finish(false);
  return subpaths;
}

/** The ends of a subpath's pieces; a closed one does not repeat its first. */
export function subpathCorners({ pieces, closed }) {
  const starts = pieces.map((piece) => piece[0]);
  return closed ? starts : [...starts, pieces.at(-1).at(-1)];
}

/** Whether a subpath is closed and all its pieces are straight. */
export function isPolygon({ pieces, closed }) {
  return closed && pieces.every((piece) => piece.length === 2);
}

/** Path data of subpaths, rounded to `digits` decimals. */
export function writePath(subpaths, digits) {
  const join = (points) => points.flat().map((value) => trimNumber(value.toFixed(digits))).join(" ");
  const words = [];
  for (const { pieces, closed } of subpaths) {
    words.push(`M${join([pieces[0][0]])}`);
    const drawn = closed && pieces.at(-1).length === 2 ? pieces.slice(0, -1) : pieces; // Z draws the last one
    for (const piece of drawn) words.push((piece.length === 2 ? "L" : "C") + join(piece.slice(1)));
    if (closed) words.push("Z");
  }
  return words.join(" ");
}

function trimNumber(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Subpaths under an affine matrix. */
export function transformPath(subpaths, matrix) {
  return subpaths.map(({ pieces, closed }) => ({
    pieces: pieces.map((piece) => piece.map((point) => transformPoint(matrix, point))),
    closed,
  }));
}

/** A point under an affine matrix. */
export function transformPoint([[a, b, c], [d, e, f]], [x, y]) {
  return [a * x + b * y + c, d * x + e * y + f];
}

/** A piece as a polyline: two points for a straight line, `FLATTEN_STEPS` + 1 for a curve. */
export function flattenPiece(piece) {
  if (piece.length === 2) return piece;
  return Array.from({ length: FLATTEN_STEPS + 1 }, (_, step) => {
    const t = step / FLATTEN_STEPS;
    const s = 1 - t;
    const weights = [s ** 3, 3 * s * s * t, 3 * s * t * t, t ** 3];
    return [0, 1].map((axis) => weights.reduce((sum, weight, index) => sum + weight * piece[index][axis], 0));
  });
}

/** A subpath as a polyline; a closed one ends with its first point. */
export function flattenSubpath({ pieces }) {
  return pieces.flatMap((piece, index) => flattenPiece(piece).slice(index ? 1 : 0));
}
