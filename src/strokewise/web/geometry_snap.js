/**
 * A drawing that was recognised → the outline of that shape which explains its ink, or the reason why none does.
 *
 * 1. Poses are sought in frames in which shape and ink have unit covariance (findPoses): that of the region that the ink
 *    encloses, and that of its convex hull.
 * 2. The best of them are refined by iterative closest points as far as the outline's `fit` allows (refine).
 * 3. The simplest member of the family that explains the ink as well is taken: no slant where hardly any is seen.
 * 4. Where too much ink is left over, or too much of the outline has no ink, there is no geometry.
 */

import { findPoses, poseGaps, projectMap, refine, solve } from "./geometry_fitting.js";
import { MIN_FILLING, SOLID, inkPoints, penWidth, regionPoints } from "./geometry_ink.js";
import { subpathCorners, transformPath, transformPoint, writePath } from "./geometry_path.js";
import { freeCorners } from "./geometry_polygon.js";
import { applyLinear, bounds, determinant, multiplyLinear } from "./geometry_template.js";

export const MAX_MISFIT = 0.36; // of a shape that is sure, calibrated on paintings
const COARSE_SIGMAS = [0.15, 0.1]; // of the ink's scale: what counts as far, a step each
const FINE_SIGMAS = [0.07, 0.05, 0.05];
const NUM_POSES = 4; // poses that are refined at a time
const POSES_EACH = 2; // of each template at most
const NUM_FINE = 2; // to the end
const MAX_POSES = 8; // that are refined in a frame
const GOOD_MISFIT = 0.15; // after the first steps: a pose that fits as well is not looked for elsewhere
const PLAIN_MISFIT = 0.12; // the same of a plain outline: others are not looked for
const MISFIT_SIGMA = 0.05; // of the ink's scale: at this distance ink and outline half explain each other
const SLANT_GAIN = 0.01; // of the misfit that a slant must explain
const PLAIN_GAIN = 0.04; // of the misfit that an outline must explain that is less symmetric than another of the shape
const MIN_THICKNESS = 0.02; // width over length of ink that may be a shape: less is a line
const MIN_POINTS = 8; // of the ink

/**
 * Lay the outline of a shape over the ink of a drawing.
 *
 * `templates`: the outlines of the shape. `source`: {ink, scale, corner}, as preprocessWithInk gives it. `confidence`: of
 * the shape, 0 to 1: the less sure it is, the better must the outline fit: `maxMisfit` is multiplied by its square.
 *
 * Returns the geometry, or the reason why there is none, text.
 */
export function snapOutline(templates, source, confidence = 1, maxMisfit = MAX_MISFIT) {
  const { ink } = source;
  const width = penWidth(ink);
  const reason = whyDegenerate(ink, width);
  if (reason || !templates.length) return reason || "the model has no outline of it";
  const fit = findFit(templates, ink, width);
  if (!fit || ![...fit.pose.linear.flat(), ...fit.pose.shift].every(Number.isFinite)) {
    return "no outline of it can be laid over the ink";
  }
  const bound = maxMisfit * confidence ** 2;
  return fit.misfit > bound ? describeMisfit(fit, bound) : toGeometry(fit, source);
}

/** The best fit of any template to ink drawn `width` wide, whatever its misfit; null where there is no pose. */
function findFit(templates, ink, width) {
  const lines = inkPoints(ink, width);
  if (!lines || lines.points.length < MIN_POINTS) return null;
  templates = templates.filter((template) => template.family === template); // one fit stands for all of a family
  const regions = templates.filter((template) => template.isRegion);
  const found = regions.length ? regionPoints(ink, width, Math.min(...regions.map(({ convexity }) => convexity))) : null;
  const isFilled = found !== null && found.filling > MIN_FILLING;
  let fits = [];
  for (const wanted of [true, false]) {
    const tried = templates.filter((template) => template.isPlain === wanted);
    for (const [target, poses] of searchPoses(tried, lines, found?.region, isFilled)) {
      for (const pose of poses) {
        const refined = refine(pose, pose.template.fit, target, COARSE_SIGMAS, true);
        fits.push(measure(refined, isFilled && refined.template.isRegion ? found.region : lines));
      }
      fits = fits.sort((a, b) => fitCost(a) - fitCost(b));
      if (fits.length && fits[0].misfit < GOOD_MISFIT) break;
    }
    if (fits.length && fits[0].misfit < PLAIN_MISFIT) break;
  }
  return fits.length ? finish(fits.slice(0, NUM_FINE)) : null;
}

/** The likeliest poses in the region's frame, if there is one, then in that of the hull: [points, poses], a few at a time. */
function* searchPoses(templates, lines, region, isFilled) {
  const searched = [[lines, templates.filter((template) => !(isFilled && template.isRegion)), "hullFrame"]];
  if (region) searched.unshift([region, templates.filter((template) => template.isRegion), "regionFrame"]);
  for (const [target, among, frame] of searched) {
    const frames = among.map((template) => [template, template[frame]]);
    const poses = findPoses(frames, target, MAX_POSES, POSES_EACH).map((pose) => ({
      ...pose,
      linear: projectMap(pose.linear, pose.template.fit),
    }));
    for (let first = 0; first < poses.length; first += NUM_POSES) yield [target, poses.slice(first, first + NUM_POSES)];
  }
}

/** Refine to the end, and take the best, the simplest of equals. */
function finish(fits) {
  const final = fits.map(({ pose, ink }) => measure(refine(pose, pose.template.fit, ink, FINE_SIGMAS), ink));
  const best = final.reduce((least, fit) => (fitCost(fit) < fitCost(least) ? fit : least));
  const { pose, ink } = best;
  const { template } = pose;
  if (template.fit === "vertices" && template.vertices?.length > 3) {
    const freed = measure(freeCorners(pose, ink), ink);
    return freed.misfit < best.misfit ? freed : best;
  }
  if (template.fit === "affine" && !template.isEllipse) {
    const upright = { template, linear: projectMap(pose.linear, "box"), shift: pose.shift };
    const plain = measure(refine(upright, "box", ink, FINE_SIGMAS.slice(-2)), ink);
    if (plain.misfit <= best.misfit + SLANT_GAIN) return plain;
  }
  return best;
}

/** Its misfit, and what it must explain where it is not plain: few draw a kite or an egg on purpose. */
function fitCost({ misfit, pose }) {
  return misfit + (pose.template.isPlain ? 0 : PLAIN_GAIN);
}

/**
 * A pose with its misfit: {pose, ink, off, bare, misfit}: the share of the ink off the outline, that of the outline without
 * ink, 0 to 1 each, and their mean.
 *
 * What lies at a distance d counts d² / (d² + σ²), so that a wobble counts little and a missing side in full.
 */
function measure(pose, ink) {
  const { inkGaps, outlineGaps, lengths } = poseGaps(pose, ink);
  const sigma = Math.max(MISFIT_SIGMA * ink.scale, 0.5 * ink.width);
  const share = (gaps, weights) =>
    gaps.reduce((sum, gap, index) => sum + (gap ** 2 / (gap ** 2 + sigma ** 2)) * weights[index], 0);
  const [off, bare] = [share(inkGaps, ink.weights), share(outlineGaps, lengths)];
  return { pose, ink, off, bare, misfit: (off + bare) / 2 };
}

/** Why this ink is no shape at all; empty if it may be one. */
function whyDegenerate(ink, width) {
  let [count, sx, sy, xx, xy, yy] = [0, 0, 0, 0, 0, 0];
  for (let y = 0, at = 0; y < ink.height; y++) {
    for (let x = 0; x < ink.width; x++, at++) {
      if (ink.data[at] <= SOLID) continue;
      count++;
      sx += x;
      sy += y;
      xx += x * x;
      xy += x * y;
      yy += y * y;
    }
  }
  if (count < MIN_POINTS) return "there is hardly any ink";
  const covariance = (sum, a, b) => (sum - (a * b) / count) / (count - 1);
  [xx, xy, yy] = [covariance(xx, sx, sx), covariance(xy, sx, sy), covariance(yy, sy, sy)];
  const spread = Math.hypot((xx - yy) / 2, xy);
  const [low, high] = [(xx + yy) / 2 - spread, (xx + yy) / 2 + spread];
  const [thickness, length] = [Math.sqrt(12 * Math.max(low, 0)), Math.sqrt(12 * Math.max(high, 0))];
  if (length < 1.8 * width && count < 2.2 * width * width) return "it is a dot";
  const thin = Math.sqrt(Math.max(low - 1 / 12, 0) / Math.max(high, 1e-9));
  if (thin < MIN_THICKNESS || (thickness < 1.15 * width && length > 6 * width)) return "it is a straight line";
  return "";
}

function describeMisfit({ off, bare, misfit }, bound) {
  const worse =
    bare > off
      ? `${Math.round(100 * bare)}% of the outline has no ink`
      : `${Math.round(100 * off)}% of the ink is off the outline`;
  return `no outline of it explains the ink: ${worse} (misfit ${misfit.toFixed(2)}, ${bound.toFixed(2)} is allowed)`;
}

// --- what a user gets

function toGeometry(fit, { ink, scale, corner }) {
  const { pose } = fit;
  const source = pose.source ?? null;
  let { template } = pose;
  let linear = pose.linear.map((row, axis) => row.map((value) => value * scale[axis]));
  let shift = pose.shift.map((value, axis) => value * scale[axis] + corner[axis]);
  if (!source) ({ template, linear, shift } = plainest(template, linear, shift));
  const origin = applyLinear(linear, template.centre);
  const matrix = linear.map(([a, b], axis) => [a / template.half, b / template.half, shift[axis] - origin[axis] / template.half]);
  const subpaths = template.isEllipse ? null : transformPath(template.subpaths, matrix);
  const whole = source ? nearestAffine(source, template, matrix) : matrix;
  const named = source ?? template;
  const extent = Math.max(...scale) * Math.max(ink.width, ink.height);
  const digits = Math.max(0, 4 - Math.ceil(Math.log10(Math.max(extent, 1e-9))));
  const gaps = poseGaps(pose, fit.ink).inkGaps;
  const mean = gaps.reduce((sum, gap, index) => sum + fit.ink.weights[index] * gap ** 2, 0);
  return {
    shape: named.shape,
    variant: named.variant,
    matrix: whole,
    path: subpaths ? writePath(subpaths, Math.min(digits, 100)) : ellipsePath(template, matrix),
    parameters: geometryParameters(named, whole, subpaths),
    residual: Math.sqrt(mean) / solidSide(ink),
    misfit: fit.misfit,
  };
}

/** The longer side of the box of solid ink. */
function solidSide(ink) {
  const solid = [];
  for (let at = 0; at < ink.data.length; at++) {
    if (ink.data[at] > SOLID) solid.push([at % ink.width, Math.floor(at / ink.width)]);
  }
  const [low, high] = bounds(solid);
  return Math.max(high[0] - low[0], high[1] - low[1]) + 1;
}

/**
 * The same outline laid down in the plainest way: by the relative of the template that is stretched least, turned least by
 * a symmetry, and not mirrored if it need not be.
 */
function plainest(template, linear, shift) {
  const scaleColumns = (matrix, [x, y]) => matrix.map(([a, b]) => [a * x, b * y]);
  let unit = scaleColumns(linear, template.radii);
  if (template.isEllipse) unit = principalAxes(unit);
  let best = null;
  for (const relative of template.relatives) {
    for (const way of relative.waysOnto(template)) {
      const turned = scaleColumns(multiplyLinear(unit, way.matrix), relative.radii.map((radius) => 1 / radius));
      const lengths = [0, 1].map((axis) => Math.max(Math.hypot(turned[0][axis], turned[1][axis]), 1e-12));
      const stretch = Math.abs(Math.log(lengths[0] / lengths[1]));
      const slant = Math.abs((turned[0][0] * turned[0][1] + turned[1][0] * turned[1][1]) / (lengths[0] * lengths[1]));
      const cost = [
        Math.round(1000 * (stretch + 2 * slant)),
        determinant(turned) < 0 ? 1 : 0,
        Math.abs(firstAngle(turned)),
      ];
      if (best && !isLess(cost, best.cost)) continue;
      const [x, y] = applyLinear(unit, way.shift);
      best = { cost, template: relative, linear: turned, shift: [shift[0] + x, shift[1] + y] };
    }
  }
  return best;
}

function isLess(one, other) {
  const index = one.findIndex((value, position) => value !== other[position]);
  return index >= 0 && one[index] < other[index];
}

/** The map of the unit circle onto the same ellipse whose columns are the ellipse's axes, the longer one first. */
function principalAxes([[a, b], [c, d]]) {
  const [xx, xy, yy] = [a * a + b * b, a * c + b * d, c * c + d * d];
  const spread = Math.hypot((xx - yy) / 2, xy);
  const [long, short] = [Math.sqrt((xx + yy) / 2 + spread), Math.sqrt(Math.max((xx + yy) / 2 - spread, 0))];
  const angle = Math.atan2(2 * xy, xx - yy) / 2;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [[cos * long, -sin * short], [sin * long, cos * short]];
}

/** The direction of the first axis in degrees, -180 to 180, clockwise as seen. */
function firstAngle(linear) {
  return (Math.atan2(linear[1][0], linear[0][0]) * 180) / Math.PI;
}

function ellipsePath(template, matrix) {
  const lengths = [0, 1].map((axis) => Math.hypot(matrix[0][axis], matrix[1][axis]));
  const radii = lengths.map((length, axis) => (length * template.size[axis]) / 2);
  const centre = transformPoint(matrix, template.centre);
  const axis = matrix.map((row) => (row[0] / Math.max(lengths[0], 1e-12)) * radii[0]);
  const write = (...values) => values.map((value) => String(Number(value.toPrecision(6)))).join(" ");
  const [start, end] = [-1, 1].map((sign) => write(centre[0] + sign * axis[0], centre[1] + sign * axis[1]));
  const arc = `A${write(...radii, firstAngle(matrix))} 0 1`;
  return `M${start} ${arc} ${end} ${arc} ${start} Z`;
}

/** The affine map from an outline's units that is nearest to where its corners went. */
function nearestAffine(source, moved, matrix) {
  const before = subpathCorners(source.subpaths[0]).map(([x, y]) => [x, y, 1]);
  const after = subpathCorners(moved.subpaths[0]).map((corner) => transformPoint(matrix, corner));
  const sum = (values) => before.reduce((total, row, index) => total + values(row, index), 0);
  const system = [0, 1, 2].map((i) => [0, 1, 2].map((j) => sum((row) => row[i] * row[j])));
  return [0, 1].map((axis) => solve(system, [0, 1, 2].map((i) => sum((row, index) => row[i] * after[index][axis]))));
}

function geometryParameters(template, matrix, subpaths) {
  const lengths = [0, 1].map((axis) => Math.hypot(matrix[0][axis], matrix[1][axis]));
  const size = lengths.map((length, axis) => length * template.size[axis]);
  const found = {
    centre: transformPoint(matrix, template.centre),
    size,
    angle: firstAngle(matrix),
    mirrored: determinant(matrix) < 0,
  };
  if (template.isEllipse) found.radii = size.map((side) => side / 2);
  const { cornerRadii } = template;
  if (cornerRadii) found.corner_radius = (lengths[0] * cornerRadii[0] + lengths[1] * cornerRadii[1]) / 2;
  if (template.vertices && subpaths) found.vertices = subpathCorners(subpaths[0]);
  const names = Object.entries(template.namedPoints);
  if (names.length) found.points = Object.fromEntries(names.map(([name, place]) => [name, transformPoint(matrix, place)]));
  return found;
}
