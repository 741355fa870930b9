/**
 * Where an outline lies on the ink: poses from moments, then iterative closest points, both ways and robust.
 *
 * A pose is {template, linear, shift}: a point p of the template's frame lies at linear · p + shift; after its corners have
 * moved, `source` is the template that it comes from.
 */

import { NUM_TURNS, TURN_MATRICES, applyLinear, determinant, invertLinear, mapIndex, multiplyLinear } from "./geometry_template.js";

const MAP_CAP = 0.5; // of the whitened frame's unit: a larger distance counts as this
const OUTLINE_SHARE = 0.5; // weight of the way from outline to ink against the way from ink to outline
const DAMPING = 1e-4;
const FREE = { similarity: 2, box: 3, affine: 4, vertices: 4 }; // of turn, stretch along x, along y, slant

/**
 * The likeliest poses of templates, `each` of a template at most, best first. `frames`: [template, its whitened frame].
 *
 * In the frames in which both have unit covariance, any affine pose is a turn, flipped or not.
 */
export function findPoses(frames, ink, count, each) {
  const unwhite = invertLinear(ink.matrix);
  const poses = [];
  for (const [template, frame] of frames) {
    const gaps = frame.turns.map((turn) => turnGap(TURN_MATRICES[turn], frame, ink));
    const order = gaps.map((_, index) => index).sort((a, b) => gaps[a] - gaps[b] || a - b);
    const taken = [];
    for (const index of order) {
      if (taken.some((other) => areNearTurns(frame.turns[index], frame.turns[other]))) continue;
      taken.push(index);
      const linear = multiplyLinear(multiplyLinear(unwhite, TURN_MATRICES[frame.turns[index]]), frame.matrix);
      const [x, y] = applyLinear(linear, frame.centre);
      poses.push({ gap: gaps[index], pose: { template, linear, shift: [ink.centre[0] - x, ink.centre[1] - y] } });
      if (taken.length === each) break;
    }
  }
  return poses.sort((a, b) => a.gap - b.gap).slice(0, count).map(({ pose }) => pose);
}

/** How far a turned template and ink are from each other, in the whitened frame. */
function turnGap([[a, b], [c, d]], frame, ink) {
  let [there, here] = [0, 0];
  for (const [x, y] of frame.coarse) {
    there += Math.min(ink.distances[mapIndex(a * x + b * y, c * x + d * y)], MAP_CAP) ** 2;
  }
  for (const [x, y] of ink.coarse) {
    here += Math.min(frame.distances[mapIndex(a * x + c * y, b * x + d * y)], MAP_CAP) ** 2; // turned back
  }
  return Math.sqrt(there / frame.coarse.length) + Math.sqrt(here / ink.coarse.length);
}

/** Whether two turns are within three steps of each other. */
function areNearTurns(one, other) {
  const apart = Math.abs(one - other) % NUM_TURNS;
  return one >= NUM_TURNS === other >= NUM_TURNS && Math.min(apart, NUM_TURNS - apart) <= 3;
}

/** The nearest map to a linear map that `fit` allows. */
export function projectMap(linear, fit) {
  if (fit === "affine" || fit === "vertices") return linear;
  const size = determinant(linear);
  let lengths = [0, 1].map((axis) => Math.max(Math.hypot(linear[0][axis], linear[1][axis]), 1e-12));
  const sign = size >= 0 ? 1 : -1;
  const angle = Math.atan2(
    linear[1][0] / lengths[0] - (linear[0][1] / lengths[1]) * sign,
    linear[0][0] / lengths[0] + (linear[1][1] / lengths[1]) * sign,
  );
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  if (fit === "similarity") lengths = lengths.fill(Math.sqrt(Math.max(Math.abs(size), 1e-12)));
  return [
    [cos * lengths[0], -sin * lengths[1] * sign],
    [sin * lengths[0], cos * lengths[1] * sign],
  ];
}

/**
 * Refine a pose by iterative closest points.
 *
 * `fit`: what may move. `sigmas`: of the ink's scale, the distance from which on a point counts little, a step each.
 * `isCoarse`: take only half of the points.
 */
export function refine(pose, fit, ink, sigmas, isCoarse = false) {
  const outline = isCoarse ? pose.template.coarseOutline : pose.template.outline;
  const points = isCoarse ? ink.points.filter((_, index) => index % 2 === 0) : ink.points;
  let weights = isCoarse ? ink.weights.filter((_, index) => index % 2 === 0) : ink.weights;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  weights = weights.map((weight) => weight / total);
  let { linear, shift } = pose;
  for (const sigma of sigmas) {
    const reach = Math.max(sigma * ink.scale, 0.5 * ink.width);
    ({ linear, shift } = refineStep(outline, fit, linear, shift, points, weights, reach));
  }
  return { template: pose.template, linear, shift };
}

/** One step of Gauss and Newton towards the closest points. */
function refineStep(outline, fit, linear, shift, points, weights, sigma) {
  const placed = placeOutline(outline, linear, shift);
  const { nearestSample, nearestPoint } = closestPairs(points, placed);
  const size = Math.sqrt(Math.abs(determinant(linear))) + 1e-9;
  const totals = { normal: new Float64Array(36), gradient: new Float64Array(6) };
  const totalSpeed = placed.reduce((sum, sample) => sum + sample.speed, 0);
  const addPair = (sample, target, soft, weight) => {
    const [rx, ry] = [sample.x - shift[0], sample.y - shift[1]];
    const [dx, dy] = [target[0] - sample.x, target[1] - sample.y];
    // the metric of the pair: across the line in full, along it as stiff as the sample
    const xx = weight * (sample.dy ** 2 + soft * sample.dx ** 2);
    const xy = weight * (soft - 1) * sample.dx * sample.dy;
    const yy = weight * (sample.dx ** 2 + soft * sample.dy ** 2);
    addMetric(totals, [rx, ry, size], [xx, xy, yy], [xx * dx + xy * dy, xy * dx + yy * dy]);
  };
  points.forEach((point, index) => {
    const sample = placed[nearestSample[index]];
    const gap = ((point[0] - sample.x) ** 2 + (point[1] - sample.y) ** 2) / sigma ** 2;
    addPair(sample, point, sample.stiffness, weights[index] / (1 + gap) ** 2);
  });
  placed.forEach((sample, index) => {
    const target = points[nearestPoint[index]];
    let gap = ((target[0] - sample.x) ** 2 + (target[1] - sample.y) ** 2) / sigma ** 2;
    // a sample of an open line that lies beyond the ink is drawn back along the line
    const soft = Math.max(sample.stiffness, ((0.3 + 0.7 * sample.isOpen) * gap) / (gap + 1));
    gap /= 1 + 8 * sample.isOpen; // an end that lies far beyond the ink counts all the same
    addPair(sample, target, soft, (OUTLINE_SHARE * sample.speed) / totalSpeed / (1 + gap) ** 2);
  });
  const change = solveStep(totals, freedomBasis(linear, fit));
  const [turn, sx, slant] = [change[0], change[1], change[3]];
  const sy = fit === "similarity" ? sx : change[2];
  const rotation = [[Math.cos(turn), -Math.sin(turn)], [Math.sin(turn), Math.cos(turn)]];
  const stretch = [[Math.exp(sx), slant], [0, Math.exp(sy)]];
  return {
    linear: multiplyLinear(multiplyLinear(rotation, linear), stretch),
    shift: [shift[0] + change[4] * size, shift[1] + change[5] * size],
  };
}

/** Add a pair to the normal equations over the entries of an affine map of the plane, by rows. */
function addMetric({ normal, gradient }, at, [xx, xy, yy], [pullX, pullY]) {
  for (let i = 0; i < 3; i++) {
    gradient[i] += pullX * at[i];
    gradient[3 + i] += pullY * at[i];
    for (let j = 0; j < 3; j++) {
      const product = at[i] * at[j];
      normal[6 * i + j] += xx * product;
      normal[6 * i + 3 + j] += xy * product;
      normal[6 * (3 + i) + j] += xy * product;
      normal[6 * (3 + i) + 3 + j] += yy * product;
    }
  }
}

/**
 * What each free parameter does to the plane: 6 columns, each the entries of an affine map about the shift.
 *
 * The parameters are turn, stretch along x and along y of the outline (together in a similarity), slant, and the shift;
 * those that a fit leaves out are zero.
 */
function freedomBasis(linear, fit) {
  const inverse = invertLinear([
    [linear[0][0] + 1e-12, linear[0][1]],
    [linear[1][0], linear[1][1] + 1e-12],
  ]);
  const outer = (column, row) =>
    [0, 1].flatMap((i) => [linear[i][column] * inverse[row][0], linear[i][column] * inverse[row][1], 0]);
  const none = [0, 0, 0, 0, 0, 0];
  const [alongX, alongY] = [outer(0, 0), outer(1, 1)];
  const columns = [[0, -1, 0, 1, 0, 0], alongX, alongY, outer(0, 1), [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]];
  if (fit === "similarity") columns[1] = alongX.map((value, index) => value + alongY[index]);
  for (let index = FREE[fit]; index < 4; index++) columns[index] = none;
  return columns;
}

/** The six parameters of a step, each at most 0.5 either way. */
function solveStep({ normal, gradient }, basis) {
  const images = basis.map((column) =>
    Array.from({ length: 6 }, (_, row) => column.reduce((sum, value, index) => sum + normal[6 * row + index] * value, 0)),
  );
  const system = basis.map((left) => images.map((image) => dot(left, image)));
  const ridge = DAMPING * system.reduce((sum, row, index) => sum + row[index], 0) + 1e-12;
  system.forEach((row, index) => (row[index] += ridge));
  return solve(system, basis.map((column) => dot(column, gradient))).map((value) => Math.min(Math.max(value, -0.5), 0.5));
}

function dot(a, b) {
  return a.reduce((sum, value, index) => sum + value * b[index], 0);
}

/** The solution of linear equations, a list of rows, by elimination. */
export function solve(system, right) {
  const rows = system.map((row, index) => [...row, right[index]]);
  const count = rows.length;
  for (let column = 0; column < count; column++) {
    let pivot = column;
    for (let row = column + 1; row < count; row++) {
      if (Math.abs(rows[row][column]) > Math.abs(rows[pivot][column])) pivot = row;
    }
    [rows[column], rows[pivot]] = [rows[pivot], rows[column]];
    for (let row = column + 1; row < count; row++) {
      const factor = rows[row][column] / rows[column][column];
      for (let index = column; index <= count; index++) rows[row][index] -= factor * rows[column][index];
    }
  }
  const solution = new Array(count).fill(0);
  for (let row = count - 1; row >= 0; row--) {
    let value = rows[row][count];
    for (let index = row + 1; index < count; index++) value -= rows[row][index] * solution[index];
    solution[row] = value / rows[row][row];
  }
  return solution;
}

/** The samples of an outline where a pose puts them: place, direction of length 1, and how much longer it is there. */
function placeOutline(outline, [[a, b], [c, d]], shift) {
  const samples = [];
  for (let at = 0; at < outline.length; at += 6) {
    const [x, y, tx, ty] = [outline[at], outline[at + 1], outline[at + 2], outline[at + 3]];
    const [dx, dy] = [a * tx + b * ty, c * tx + d * ty];
    const speed = Math.sqrt(dx * dx + dy * dy) + 1e-12;
    samples.push({
      x: a * x + b * y + shift[0],
      y: c * x + d * y + shift[1],
      dx: dx / speed,
      dy: dy / speed,
      speed,
      stiffness: outline[at + 4],
      isOpen: outline[at + 5],
    });
  }
  return samples;
}

/** For each point its nearest sample, for each sample its nearest point, and the squared distance of the latter. */
function closestPairs(points, placed) {
  const xs = Float64Array.from(placed, ({ x }) => x);
  const ys = Float64Array.from(placed, ({ y }) => y);
  const nearestSample = new Int32Array(points.length);
  const nearestPoint = new Int32Array(placed.length);
  const squares = new Float64Array(placed.length).fill(Infinity);
  for (let index = 0; index < points.length; index++) {
    const [px, py] = points[index];
    let least = Infinity;
    for (let sample = 0; sample < xs.length; sample++) {
      const dx = xs[sample] - px;
      const dy = ys[sample] - py;
      const square = dx * dx + dy * dy;
      if (square < least) {
        least = square;
        nearestSample[index] = sample;
      }
      if (square < squares[sample]) {
        squares[sample] = square;
        nearestPoint[sample] = index;
      }
    }
  }
  return { nearestSample, nearestPoint, squares };
}

/**
 * How far a pose is from the ink: {inkGaps, outlineGaps, lengths}: the distance of each point of the ink from the outline,
 * that of each sample from the ink, and the share of the outline's length at each sample.
 */
export function poseGaps({ template, linear, shift }, ink) {
  const placed = placeOutline(template.outline, linear, shift);
  const { nearestSample, squares } = closestPairs(ink.points, placed);
  const inkGaps = ink.points.map(([x, y], index) => {
    const sample = placed[nearestSample[index]];
    const [dx, dy] = [x - sample.x, y - sample.y];
    const reach = ((template.length * 0.55) / placed.length) * sample.speed;
    const beyond = Math.max(Math.abs(dx * sample.dx + dy * sample.dy) - reach, 0);
    return Math.hypot(dx * sample.dy - dy * sample.dx, beyond);
  });
  const between = (0.55 * ink.spacing) ** 2; // the ink goes on between two of its points
  const totalSpeed = placed.reduce((sum, { speed }) => sum + speed, 0);
  return {
    inkGaps,
    outlineGaps: Array.from(squares, (square) => Math.sqrt(Math.max(square - between, 0))),
    lengths: placed.map(({ speed }) => speed / totalSpeed),
  };
}
