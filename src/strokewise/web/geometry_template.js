/**
 * An outline as a template: sampled along its length, with all that fitting it to ink needs, computed once.
 *
 * A template's points stand in its frame: centre of the outline's box at 0, half of its longest side 1. Points are [x, y],
 * linear maps [[a, b], [c, d]].
 */

import { flattenPiece, flattenSubpath, isPolygon, parsePath, subpathCorners } from "./geometry_path.js";
import { convexHull } from "./images.js";

export const NUM_SAMPLES = 64; // points along a template
const NUM_COARSE = 32; // of these, those that the search for a pose looks at
export const NUM_TURNS = 60; // turns at which a pose is tried
const MAX_ASYMMETRY = 0.045; // of the whitened frame's unit: a template turned onto itself within this is symmetric
export const MAP_SIDE = 96; // pixels: width and height of a distance map
const MAP_REACH = 2.6; // standard deviations from the centre to the map's edge
const SAME_TOLERANCE = 0.02; // of half of each side: outlines that deviate less are the same
const ELLIPSE_TOLERANCE = 0.012; // of half the longest side: what deviates less from an ellipse is one
const FREE_END = 1;
const EDGE = 0.003; // how much a sample resists being moved along the line

/** One outline of a shape, ready to be fitted. */
export class Template {
  #ways = new Map(); // by the other template

  /** `subpaths` are in the units of the outline; `namedPoints`, too, [x, y] by name. */
  constructor({ shape, variant, fit, mirror, isPlain, subpaths, namedPoints }) {
    Object.assign(this, { shape, variant, fit, mirror, isPlain, subpaths, namedPoints, relatives: [this] });
  }

  /** The low and high corner of its box, in the outline's units. */
  get box() {
    return cache(this, "box", () => bounds(this.subpaths.flatMap(flattenSubpath)));
  }

  get centre() {
    return [0, 1].map((axis) => (this.box[0][axis] + this.box[1][axis]) / 2);
  }

  get size() {
    return [0, 1].map((axis) => this.box[1][axis] - this.box[0][axis]);
  }

  /** Half of its longest side: the unit of its frame. */
  get half() {
    return Math.max(...this.size) / 2;
  }

  /** Half of its width and height in its frame: 1 is the longer one. */
  get radii() {
    const most = Math.max(...this.size);
    return this.size.map((side) => Math.max(side, 1e-6 * most) / most);
  }

  /** Its subpaths as polylines. */
  get lines() {
    return cache(this, "lines", () => this.subpaths.map((subpath) => this.toFrame(flattenSubpath(subpath))));
  }

  /** Whether it is one closed line that does not cross itself: the outline of a region that may be filled. */
  get isRegion() {
    return cache(this, "isRegion", () => this.lines.length === 1 && this.subpaths[0].closed && !crossesItself(this.lines[0]));
  }

  get isEllipse() {
    return cache(this, "isEllipse", () => {
      if (!this.isRegion || this.subpaths[0].pieces.length < 2) return false;
      const [rx, ry] = this.radii;
      const least = Math.min(rx, ry);
      return this.samples.every(([x, y]) => Math.abs(Math.hypot(x / rx, y / ry) - 1) * least < ELLIPSE_TOLERANCE);
    });
  }

  /** The corners of an outline that is one polygon, else null. */
  get vertices() {
    if (this.subpaths.length !== 1 || !isPolygon(this.subpaths[0])) return null;
    return this.toFrame(subpathCorners(this.subpaths[0]));
  }

  /** Points spaced evenly along it. */
  get samples() {
    return cache(this, "samples", () => rowsOf(this.outline).map(([x, y]) => [x, y]));
  }

  /** 6 numbers a sample: x, y, its direction, FREE_END or EDGE, and 1 on a line that is not closed. */
  get outline() {
    return cache(this, "outline", () => sampleOutline(this));
  }

  /** Every other row of `outline`, the end of a line rather than the sample beside it. */
  get coarseOutline() {
    return cache(this, "coarseOutline", () => {
      const rows = rowsOf(this.outline);
      const kept = Array.from({ length: NUM_SAMPLES / 2 }, (_, pair) =>
        rows[2 * pair + 1][4] > rows[2 * pair][4] ? rows[2 * pair + 1] : rows[2 * pair],
      );
      return Float64Array.from(kept.flatMap((row) => [...row]));
    });
  }

  /** The template in the frame of its convex hull. */
  get hullFrame() {
    return cache(this, "hullFrame", () => whitenTemplate(this, whitenPolygon(convexHull(this.lines.flat()))));
  }

  /** The template in the frame of the region that it encloses; null if it encloses none. */
  get regionFrame() {
    return cache(this, "regionFrame", () => (this.isRegion ? whitenTemplate(this, whitenPolygon(this.lines[0])) : null));
  }

  /** The area of the region that it encloses, over that of its convex hull. */
  get convexity() {
    return cache(this, "convexity", () =>
      this.isRegion ? polygonArea(this.lines[0]) / Math.max(polygonArea(convexHull(this.lines.flat())), 1e-9) : 0,
    );
  }

  /** Its samples when its box is stretched to -1..1. */
  get unitSamples() {
    return cache(this, "unitSamples", () => this.samples.map(([x, y]) => [x / this.radii[0], y / this.radii[1]]));
  }

  /** Many points along it when its box is stretched to -1..1. */
  get unitLine() {
    return cache(this, "unitLine", () => {
      const [rx, ry] = this.radii;
      return this.lines.flatMap((line) => spread(line.map(([x, y]) => [x / rx, y / ry]), SAME_TOLERANCE / 2));
    });
  }

  /** The first of the outlines that differ by what their fit leaves free. */
  get family() {
    return this.relatives[0];
  }

  /** Maps {matrix, shift} from its box's frame, -1..1, to the other's that take it onto the other. */
  waysOnto(other) {
    if (!this.#ways.has(other)) this.#ways.set(other, findWays(this, other));
    return this.#ways.get(other);
  }

  /** [along its width, along its height] of a rectangle with round corners; null of any other outline. */
  get cornerRadii() {
    const { pieces } = this.subpaths[0];
    const straight = pieces.filter((piece) => piece.length === 2);
    if (!this.isRegion || straight.length !== 4 || pieces.length === 4) return null;
    const sides = straight.map(([a, b]) => [Math.abs(b[0] - a[0]), Math.abs(b[1] - a[1])]);
    if (!sides.every((side) => Math.min(...side) < 1e-3 * Math.max(...this.size))) return null;
    return [0, 1].map((axis) => (this.size[axis] - Math.max(...sides.map((side) => side[axis]))) / 2);
  }

  /** Of all its lines. */
  get length() {
    return cache(this, "length", () =>
      this.lines.reduce(
        (sum, line) => sum + line.slice(1).reduce((part, [x, y], index) => part + Math.hypot(x - line[index][0], y - line[index][1]), 0),
        0,
      ),
    );
  }

  /** Points in the outline's units → in its frame. */
  toFrame(points) {
    const [[cx, cy], half] = [this.centre, this.half];
    return points.map(([x, y]) => [(x - cx) / half, (y - cy) / half]);
  }
}

function cache(object, name, compute) {
  const value = compute();
  Object.defineProperty(object, name, { value });
  return value;
}

/** The rows of six numbers. */
function rowsOf(outline) {
  return Array.from({ length: outline.length / 6 }, (_, index) => outline.subarray(6 * index, 6 * index + 6));
}

/** The low and high corner of the box of points. */
export function bounds(points) {
  const [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
  for (const point of points) {
    for (const axis of [0, 1]) {
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  }
  return [low, high];
}

/**
 * The templates of a shape from its outlines, {fit, mirror, plain, family, path, points} by variant: which of them are the
 * plainest, and which differ by what their fit leaves free (they have the same `family`), is told by Python.
 */
export function loadTemplates(shape, outlines) {
  const families = new Map();
  const templates = Object.entries(outlines).map(([variant, { fit, mirror, plain, family, path, points = {} }]) => {
    const subpaths = parsePath(path);
    const template = new Template({ shape, variant, fit, mirror, isPlain: plain, subpaths, namedPoints: points });
    families.set(family, [...(families.get(family) ?? []), template]);
    return template;
  });
  for (const family of families.values()) for (const template of family) template.relatives = family;
  return templates;
}

/** See Template.waysOnto. */
function findWays(one, other) {
  const [a, b] = [one.vertices, other.vertices];
  if (a?.length === 3 && b?.length === 3 && (one.fit === "affine" || one.fit === "vertices")) {
    return triangleWays(scaleAxes(a, one.radii), scaleAxes(b, other.radii), one.mirror);
  }
  const angles = [0, 90, 180, 270];
  if (one === other) angles.push(120, 240, 72, 144, 216, 288, 60, 300);
  const middle = [0, 1].map((axis) => one.unitSamples.reduce((sum, point) => sum + point[axis], 0) / NUM_SAMPLES);
  // a box with round corners: its corners are hardly other ones when it lies on its side
  const tolerance = one === other && one.cornerRadii ? 3 * SAME_TOLERANCE : SAME_TOLERANCE;
  const [rx, ry] = one.radii;
  const ways = [];
  for (const angle of angles) {
    if (one.fit === "similarity" && (angle === 90 || angle === 270) && Math.abs(rx - ry) > 1e-6) continue;
    const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
    const isOwn = angle % 90 !== 0; // a turn of the outline itself, not of its box stretched to a square
    const turn = isOwn ? [[cos, (-sin * ry) / rx], [(sin * rx) / ry, cos]] : [[cos, -sin], [sin, cos]];
    for (const flip of one.mirror ? [1, -1] : [1]) {
      const matrix = turn.map(([x, y]) => [x * flip, y]);
      const about = applyLinear(matrix, [middle[0] * flip, middle[1]]);
      const shift = isOwn ? [middle[0] - about[0], middle[1] - about[1]] : [0, 0];
      const move = ([x, y]) => [
        matrix[0][0] * x + matrix[0][1] * y + shift[0],
        matrix[1][0] * x + matrix[1][1] * y + shift[1],
      ];
      if (!areNear(one.unitSamples.map(move), other.unitLine, tolerance)) continue;
      if (areNear(other.unitSamples, one.unitLine.map(move), tolerance)) ways.push({ matrix, shift });
    }
  }
  return ways;
}

function scaleAxes(points, radii) {
  return points.map(([x, y]) => [x / radii[0], y / radii[1]]);
}

/** Whether each point lies within `tolerance` of one of a line's. */
function areNear(points, line, tolerance) {
  const xs = Float64Array.from(line, ([x]) => x);
  const ys = Float64Array.from(line, ([, y]) => y);
  for (let first = 0; first < 8; first++) {
    for (let index = first; index < points.length; index += 8) {
      // far points first: most lines differ
      const [x, y] = points[index];
      let at = 0;
      while (at < xs.length && (xs[at] - x) * (xs[at] - x) + (ys[at] - y) * (ys[at] - y) >= tolerance * tolerance) at++;
      if (at === xs.length) return false;
    }
  }
  return true;
}

function triangleWays(one, other, mirror) {
  const edges = (a, b, c) => [[b[0] - a[0], c[0] - a[0]], [b[1] - a[1], c[1] - a[1]]];
  const orders = [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [2, 1, 0], [1, 0, 2]];
  return orders.flatMap((order) => {
    const target = order.map((index) => other[index]);
    const matrix = multiplyLinear(edges(...target), invertLinear(edges(...one)));
    const [x, y] = applyLinear(matrix, one[0]);
    return mirror || determinant(matrix) > 0 ? [{ matrix, shift: [target[0][0] - x, target[0][1] - y] }] : [];
  });
}

// --- linear maps of the plane

/** A point under a linear map. */
export function applyLinear([[a, b], [c, d]], [x, y]) {
  return [a * x + b * y, c * x + d * y];
}

/** The map that is `right`, then `left`. */
export function multiplyLinear(left, right) {
  return left.map(([a, b]) => [a * right[0][0] + b * right[1][0], a * right[0][1] + b * right[1][1]]);
}

/** The factor by which a map changes areas, negative where it mirrors. */
export function determinant([[a, b], [c, d]]) {
  return a * d - b * c;
}

/** The inverse of a map. */
export function invertLinear(matrix) {
  const [[a, b], [c, d]] = matrix;
  const size = determinant(matrix);
  return [[d / size, -b / size], [-c / size, a / size]];
}

// --- maps of distances, and whitened frames: where poses are searched

/** [[cos, -sin], [sin, cos]] of the turns at which a pose is tried, then the same of the flipped outline. */
export const TURN_MATRICES = Array.from({ length: 2 * NUM_TURNS }, (_, index) => {
  const angle = ((index % NUM_TURNS) * 2 * Math.PI) / NUM_TURNS;
  const flip = index < NUM_TURNS ? 1 : -1;
  return [[flip * Math.cos(angle), -Math.sin(angle)], [flip * Math.sin(angle), Math.cos(angle)]];
});

/**
 * A template in a frame in which it has unit covariance: {matrix, centre, coarse, distances, turns}. `coarse` are samples
 * in the frame, `turns` those of TURN_MATRICES that its own symmetries do not repeat.
 */
function whitenTemplate(template, { matrix, centre }) {
  const toWhite = ([x, y]) => applyLinear(matrix, [x - centre[0], y - centre[1]]);
  const page = new Uint8Array(MAP_SIDE * MAP_SIDE).fill(1);
  for (const line of template.lines) drawLine(page, line.map(toWhite));
  const distances = distanceMap(page);
  const step = NUM_SAMPLES / NUM_COARSE;
  const coarse = template.samples.filter((_, index) => index % step === step >> 1).map(toWhite);
  const gaps = TURN_MATRICES.map((turn) => {
    const sum = coarse.reduce((total, point) => total + distances[mapIndex(...applyLinear(turn, point))], 0);
    return sum / coarse.length;
  });
  if (Math.max(...gaps) < MAX_ASYMMETRY) return { matrix, centre, coarse, distances, turns: [0] }; // a circle
  const beside = (index, steps) => gaps[index - (index % NUM_TURNS) + ((index + steps + NUM_TURNS) % NUM_TURNS)];
  const symmetries = [];
  gaps.forEach((gap, index) => {
    if (gap < MAX_ASYMMETRY && gap <= Math.min(beside(index, 1), beside(index, -1))) symmetries.push(index);
  });
  const turns = [];
  const repeated = new Set();
  for (let turn = 0; turn < (template.mirror ? 2 : 1) * NUM_TURNS; turn++) {
    if (repeated.has(turn)) continue;
    turns.push(turn);
    for (const symmetry of symmetries) repeated.add(composeTurns(turn, symmetry));
  }
  return { matrix, centre, coarse, distances, turns };
}

/** Put 0 on the pixels of a distance map that a polyline in its frame covers (Bresenham 1965). */
function drawLine(page, line) {
  const toPixel = (value) => Math.floor((Math.round((value / MAP_REACH + 1) * ((MAP_SIDE - 1) / 2) * 16) + 8) / 16);
  const pixels = line.map((point) => point.map(toPixel));
  for (let index = 1; index < pixels.length; index++) {
    const [[x0, y0], [x1, y1]] = [pixels[index - 1], pixels[index]].sort((one, other) => one[0] - other[0]);
    const [width, height, down] = [x1 - x0, Math.abs(y1 - y0), Math.sign(y1 - y0)];
    const [long, short] = [Math.max(width, height), Math.min(width, height)];
    let error = long - 2 * short;
    for (let step = 0, x = x0, y = y0; step <= long; step++) {
      if (x >= 0 && y >= 0 && x < MAP_SIDE && y < MAP_SIDE) page[y * MAP_SIDE + x] = 0;
      const isDiagonal = error < 0;
      if (width >= height || isDiagonal) x++;
      if (width < height || isDiagonal) y += down;
      error += (isDiagonal ? 2 * long : 0) - 2 * short;
    }
  }
}

/** The index in TURN_MATRICES of the second turn, then the first. */
function composeTurns(first, second) {
  const isFlipped = first >= NUM_TURNS !== second >= NUM_TURNS;
  const angle = first >= NUM_TURNS ? first - second : first + second;
  return (isFlipped ? NUM_TURNS : 0) + (((angle % NUM_TURNS) + NUM_TURNS) % NUM_TURNS);
}

/** The area of a polygon. */
export function polygonArea(polygon) {
  return Math.abs(
    polygon.reduce((sum, [x, y], index) => {
      const [nextX, nextY] = polygon[(index + 1) % polygon.length];
      return sum + x * nextY - nextX * y;
    }, 0) / 2,
  );
}

/** {matrix, centre} that give a polygon unit covariance; one without area is widened. */
export function whitenPolygon(polygon) {
  const [low, high] = bounds(polygon);
  const origin = [0, 1].map((axis) => polygon.reduce((sum, point) => sum + point[axis], 0) / polygon.length);
  let [area, sx, sy, xx, yy, xy] = [0, 0, 0, 0, 0, 0];
  polygon.forEach((point, index) => {
    const next = polygon[(index + 1) % polygon.length];
    const [x, y, x2, y2] = [point[0] - origin[0], point[1] - origin[1], next[0] - origin[0], next[1] - origin[1]];
    const cross = x * y2 - x2 * y;
    area += cross / 2;
    sx += (x + x2) * cross;
    sy += (y + y2) * cross;
    xx += (x * x + x * x2 + x2 * x2) * cross;
    yy += (y * y + y * y2 + y2 * y2) * cross;
    xy += (x * y2 + 2 * x * y + 2 * x2 * y2 + x2 * y) * cross;
  });
  const extent = Math.max(high[0] - low[0], high[1] - low[1]);
  if (Math.abs(area) < 1e-3 * extent * extent) return whitenLine(polygon);
  const [cx, cy] = [sx / (6 * area), sy / (6 * area)];
  xx = xx / (12 * area) - cx * cx;
  yy = yy / (12 * area) - cy * cy;
  xy = xy / (24 * area) - cx * cy;
  if (Math.min(xx, yy) <= 0 || xx * yy <= xy * xy) return whitenLine(polygon); // it winds about itself
  return { matrix: inverseRoot(xx, xy, yy), centre: [cx + origin[0], cy + origin[1]] };
}

/** What whitenPolygon gives for one with hardly any area: it counts as a hundredth as wide as long. */
function whitenLine(polygon) {
  const [low, high] = bounds(polygon);
  const centre = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];
  let [xx, xy, yy] = [0, 0, 0];
  for (const [x, y] of polygon) {
    xx += (x - centre[0]) ** 2 / polygon.length;
    xy += ((x - centre[0]) * (y - centre[1])) / polygon.length;
    yy += (y - centre[1]) ** 2 / polygon.length;
  }
  const ridge = Math.max(1e-4 * (xx + yy), 1e-12);
  return { matrix: inverseRoot(xx + ridge, xy, yy + ridge), centre };
}

/** The symmetric matrix whose square is the inverse of a covariance. */
function inverseRoot(xx, xy, yy) {
  const root = Math.sqrt(Math.max(xx * yy - xy * xy, 1e-30));
  const scale = Math.sqrt(xx + yy + 2 * root) * root;
  return [[(yy + root) / scale, -xy / scale], [-xy / scale, (xx + root) / scale]];
}

/** A point of a whitened frame → index into a distance map; what lies outside has its edge's. */
export function mapIndex(x, y) {
  const column = Math.min(Math.max(Math.round((x / MAP_REACH + 1) * ((MAP_SIDE - 1) / 2)), 0), MAP_SIDE - 1);
  const row = Math.min(Math.max(Math.round((y / MAP_REACH + 1) * ((MAP_SIDE - 1) / 2)), 0), MAP_SIDE - 1);
  return row * MAP_SIDE + column;
}

/** A square page, 0 where there is a line → the distance from it, in units of the whitened frame. */
export function distanceMap(page) {
  return distanceTransform(page, MAP_SIDE, MAP_SIDE).map((distance) => distance * ((2 * MAP_REACH) / (MAP_SIDE - 1)));
}

/** The distance in pixels of each pixel from the nearest 0, as a sum of steps (Borgefors 1986). */
export function distanceTransform(mask, width, height) {
  const [straight, diagonal] = [0.955, 1.3693];
  const stride = width + 2; // with a frame that is far from everything
  const distances = new Float32Array(stride * (height + 2)).fill(1e4);
  for (let y = 0; y < height; y++) {
    let to = (y + 1) * stride + 1;
    for (let from = y * width; from < (y + 1) * width; from++, to++) {
      if (!mask[from]) {
        distances[to] = 0;
        continue;
      }
      let least = distances[to - 1] + straight;
      const above = distances[to - stride] + straight;
      const aboveLeft = distances[to - stride - 1] + diagonal;
      const aboveRight = distances[to - stride + 1] + diagonal;
      if (above < least) least = above;
      if (aboveLeft < least) least = aboveLeft;
      if (aboveRight < least) least = aboveRight;
      distances[to] = least;
    }
  }
  const result = new Float32Array(width * height);
  for (let y = height - 1; y >= 0; y--) {
    let at = (y + 1) * stride + width;
    for (let to = (y + 1) * width - 1; to >= y * width; to--, at--) {
      let least = distances[at];
      if (least > 0) {
        const right = distances[at + 1] + straight;
        const below = distances[at + stride] + straight;
        const belowLeft = distances[at + stride - 1] + diagonal;
        const belowRight = distances[at + stride + 1] + diagonal;
        if (right < least) least = right;
        if (below < least) least = below;
        if (belowLeft < least) least = belowLeft;
        if (belowRight < least) least = belowRight;
        distances[at] = least;
      }
      result[to] = least;
    }
  }
  return result;
}

// --- sampling

/** Points along a polyline, at most about `step` apart, its corners cut. */
function spread(line, step) {
  const lengths = [0];
  for (let index = 1; index < line.length; index++) {
    lengths.push(lengths[index - 1] + Math.hypot(line[index][0] - line[index - 1][0], line[index][1] - line[index - 1][1]));
  }
  const count = 2 + Math.floor(lengths.at(-1) / step);
  let piece = 1;
  return Array.from({ length: count }, (_, index) => {
    const at = (lengths.at(-1) * index) / (count - 1);
    while (piece < line.length - 1 && lengths[piece] < at) piece++;
    const share = (at - lengths[piece - 1]) / Math.max(lengths[piece] - lengths[piece - 1], 1e-12);
    return [0, 1].map((axis) => line[piece - 1][axis] + share * (line[piece][axis] - line[piece - 1][axis]));
  });
}

/** See Template.outline. */
function sampleOutline(template) {
  const segments = []; // {from, to, piece, isOpen}
  const ends = []; // of each piece: where an open line begins and ends, or null
  for (const { pieces, closed } of template.subpaths) {
    pieces.forEach((piece, position) => {
      const line = template.toFrame(flattenPiece(piece));
      const isFirst = position === 0 && !closed;
      const isLast = position === pieces.length - 1 && !closed;
      ends.push([isFirst ? line[0] : null, isLast ? line.at(-1) : null]);
      for (let index = 1; index < line.length; index++) {
        segments.push({ from: line[index - 1], to: line[index], piece: ends.length - 1, isOpen: !closed });
      }
    });
  }
  const cumulative = [0];
  for (const { from, to } of segments) cumulative.push(cumulative.at(-1) + Math.hypot(to[0] - from[0], to[1] - from[1]));
  const outline = new Float64Array(6 * NUM_SAMPLES);
  const pieceOf = [];
  let index = 0;
  for (let sample = 0; sample < NUM_SAMPLES; sample++) {
    const at = ((sample + 0.5) * cumulative.at(-1)) / NUM_SAMPLES;
    while (index < segments.length - 1 && cumulative[index + 1] <= at) index++;
    const { from, to, piece, isOpen } = segments[index];
    const length = cumulative[index + 1] - cumulative[index];
    const share = (at - cumulative[index]) / length;
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    outline.set([from[0] + share * dx, from[1] + share * dy, dx / length, dy / length, EDGE, isOpen ? 1 : 0], 6 * sample);
    pieceOf.push(piece);
  }
  ends.forEach(([start, end], piece) => {
    // the samples next to an end stand for it
    const stand = (sample, place) => {
      outline.set(place, 6 * sample);
      outline[6 * sample + 4] = FREE_END;
    };
    if (!pieceOf.includes(piece)) return;
    if (start) stand(pieceOf.indexOf(piece), start);
    if (end) stand(pieceOf.lastIndexOf(piece), end);
  });
  return outline;
}

/** Whether two segments of a polyline cross, apart from neighbours. */
function crossesItself(line) {
  const side = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
  for (let i = 1; i < line.length; i++) {
    for (let j = 1; j < i; j++) {
      const [a, b, c, d] = [line[i - 1], line[i], line[j - 1], line[j]];
      if (side(a, b, c) * side(a, b, d) < -1e-12 && side(c, d, a) * side(c, d, b) < -1e-12) return true;
    }
  }
  return false;
}
