/**
 * Strokes or pixels → the picture that the network sees, Uint8Array (G·G), 0 = bare paper, 255 = full ink.
 *
 * The ink is cropped to its main components without the ends of connectors, normalised in aspect, centred with a margin,
 * and its lines are kept visible at every size. Pure.
 */

import { SOLID_INK, extractInk, inkOfStrokes, toGrey } from "./binarize.js";
import { addBorder, applyTable, boundingBox, connectedComponents, convexHull, countNonZero, crop, dilateCross, dilateSquare, fillHoles, halve, histogram, makeImage, openEllipse, threshold, warpAffine } from "./images.js";
import { toStrokes } from "./stroke_formats.js";
import { rasterizeStrokes } from "./stroke_input.js";

export const PREPROCESSING_VERSION = 2; // of Python's preprocessing: a model of another version is refused
const CROP_SEARCH_SIDE = 160; // pixels: the scale at which the crop box is searched
const FRAME_MARGIN = 1 / 16; // of the drawing's longer side, left bare on every side
const MAX_ELONGATION = 9; // length over width: what is longer is normalised as if it were this
const MIN_LINE_WIDTH = 1 / 43; // of the picture's side: thinner lines are dilated
const JOIN_RADIUS = 2; // pixels: ink with a gap of less than twice this is one component
const SPECK_RATIO = 0.2; // of the main component's size: components that are both smaller and further away are specks
const MAX_NEIGHBOUR_AREA = 0.25; // of the main component's: of what is cut off by the page's edge where it is, too
const STUB_WIDTH = 0.25; // of a closed outline's width: the ends of connectors are narrower
const MIN_STUB_KERNEL = 5; // pixels: in a smaller outline, a line is as wide as that
const MIN_BODY_SHARE = 0.6; // of its area that remains of a closed outline without all that is narrow
const MAX_STUB_LENGTH = 0.35; // of a closed outline's size
const MAX_STUB_AREA = 0.12; // of a closed outline's area
const MAX_STUB_ROOT = 0.6; // of the width that falls off: how wide a connector may be where it begins
const SHARPEN_TABLE = Uint8Array.from({ length: 256 }, (_, level) =>
  Math.min(Math.max((level / 255 - 0.12) * (255 / 0.4), 0), 255),
); // restores faded lines

/**
 * Turn a drawing into the network's input.
 *
 * `drawing`: strokes in any form of stroke_formats.js, or pixels, {width, height, data}. `imageSize`: G. `layout`: see
 * toStrokes.
 *
 * Returns {picture, ink, scale, corner}: `ink` is the ink that the picture was made of, an image whose longer side is
 * mostly 128 to 256 pixels; `scale` [x, y] the size of its pixels and `corner` [x, y] the place of its top left corner, in
 * the drawing's own units.
 *
 * Throws PictureError for a drawing that cannot be read, or in which there is no ink.
 */
export function preprocessWithInk(drawing, imageSize, layout = null) {
  if (isPixels(drawing)) {
    const grey = toGrey(drawing);
    const ink = extractInk(grey);
    return sceneToPicture(ink, imageSize, [grey.width / ink.width, grey.height / ink.height], [0, 0]);
  }
  const { scene, unit, corner } = rasterizeStrokes(toStrokes(drawing, layout));
  return sceneToPicture(inkOfStrokes(scene), imageSize, [unit, unit], corner);
}

/** Whether it is ImageData, or as much of it as counts. */
function isPixels(drawing) {
  return ArrayBuffer.isView(drawing?.data) && "width" in drawing && "height" in drawing;
}

/** `unit` [x, y] is the size of a pixel of the scene, `corner` [x, y] the place of its corner, in the drawing's units. */
function sceneToPicture(sceneInk, imageSize, unit, corner) {
  const pyramid = [sceneInk];
  while (Math.max(pyramid.at(-1).width, pyramid.at(-1).height) > CROP_SEARCH_SIDE) pyramid.push(downsampleInk(pyramid.at(-1)));
  const { box, mask } = cropBox(pyramid.at(-1));
  const longerSide = Math.max(box.right - box.left, box.bottom - box.top);
  let level = pyramid.length - 1; // becomes the smallest one in which the box is twice as large as the result
  while (level > 0 && longerSide * 2 ** (pyramid.length - 1 - level) < 2 * imageSize) level--;
  const factor = 2 ** (pyramid.length - 1 - level);
  const ink = mask ? applyMask(pyramid[level], mask, factor) : pyramid[level];
  const [left, top, right, bottom] = [box.left, box.top, box.right, box.bottom].map((side) => side * factor);
  const picture = fitToSquare(ink, { left, top, right, bottom }, imageSize);
  const scale = unit.map((size) => size * 2 ** level);
  const start = [Math.max(left - 2, 0), Math.max(top - 2, 0)]; // soft edges of lines lie outside the box
  const end = [Math.min(right + 2, ink.width), Math.min(bottom + 2, ink.height)];
  return {
    picture,
    ink: crop(ink, { left: start[0], top: start[1], right: end[0], bottom: end[1] }),
    scale,
    corner: corner.map((place, axis) => place + start[axis] * scale[axis]),
  };
}

/** Halve the size. Each result is nearer to the maximum of four pixels than to their mean, to keep hairlines. */
function downsampleInk(ink) {
  const [width, height] = [(ink.width + 1) >> 1, (ink.height + 1) >> 1];
  const result = makeImage(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    const upper = 2 * y * ink.width;
    const lower = Math.min(2 * y + 1, ink.height - 1) * ink.width;
    for (let x = 0; x < width; x++, at++) {
      const left = 2 * x;
      const right = Math.min(left + 1, ink.width - 1);
      const a = ink.data[upper + left];
      const b = ink.data[upper + right];
      const c = ink.data[lower + left];
      const d = ink.data[lower + right];
      result.data[at] = roundHalfEven((3 * Math.max(a, b, c, d) + ((a + b + c + d + 2) >> 2)) / 4);
    }
  }
  return result;
}

/** 255 where there is solid ink, else 0. Where all ink has faded from halving, half of its maximum is solid. */
function thresholdInk(ink) {
  const maximum = histogram(ink.data).findLastIndex(Boolean);
  return threshold(ink, Math.min(SOLID_INK, maximum / 2));
}

/**
 * Box of the main components, and their mask if anything was dropped, else null.
 *
 * Components are labelled at half the size: the dilation that joins them makes the difference invisible.
 */
function cropBox(ink) {
  const solid = thresholdInk(ink);
  const joined = everyOther(dilateSquare(solid, JOIN_RADIUS));
  const { labels, areas } = connectedComponents(joined);
  const small = areas.length > 1 || runsToEdge(solid) ? drawingMask(joined, labels, areas) : null;
  if (!small) return { box: boundingBox(solid), mask: null };
  const mask = enlarge(small, 2, ink.width, ink.height);
  return { box: boundingBox(makeImage(ink.width, ink.height, solid.data.map((value, at) => value & mask.data[at]))), mask };
}

function everyOther(image) {
  const result = makeImage((image.width + 1) >> 1, (image.height + 1) >> 1);
  for (let y = 0, at = 0; y < result.height; y++) {
    for (let x = 0; x < result.width; x++) result.data[at++] = image.data[2 * y * image.width + 2 * x];
  }
  return result;
}

/** Whether there is ink at the very edge of the page. */
function runsToEdge({ width, height, data }) {
  for (let x = 0; x < width; x++) if (data[x] || data[(height - 1) * width + x]) return true;
  for (let y = 0; y < height; y++) if (data[y * width] || data[y * width + width - 1]) return true;
  return false;
}

/** 255 on the components that make up the drawing, without connectors' ends, else 0; null to keep all. */
function drawingMask({ width, height }, labels, areas) {
  const main = areas.reduce((best, { area }, index) => (area > areas[best].area ? index : best), 0);
  const sides = areas.map((box) => touchedSides(box, width, height));
  const large = sides.filter((_, index) => areas[index].area >= MAX_NEIGHBOUR_AREA * areas[main].area);
  let stubs = null;
  if (runsOff(sides[main], large)) {
    stubs = findStubs(makeImage(width, height, Uint8Array.from(labels, (label) => (label === main + 1 ? 255 : 0))));
  }
  if (stubs) sides[main] = [false, false, false, false];
  const keep = mainComponents(areas, main, sides);
  if (!stubs && keep.every(Boolean)) return null;
  const mask = makeImage(width, height, Uint8Array.from(labels, (label) => (label && keep[label - 1] ? 255 : 0)));
  if (stubs) stubs.forEach((isStub, at) => isStub && (mask.data[at] = 0));
  return mask;
}

/** Whether a component touches the page's left, top, right and bottom edges. */
function touchedSides(box, width, height) {
  return [box.left <= 0, box.top <= 0, box.right >= width, box.bottom >= height];
}

/** Whether a component runs off the page: one that is cropped to its drawing is touched on opposite edges. */
function runsOff(main, large) {
  const touched = [0, 1, 2, 3].map((side) => large.some((sides) => sides[side]));
  return main.some(Boolean) && !main.some((touches, side) => touches && touched[(side + 2) % 4]);
}

/**
 * 1 on the ends of connectors that run from a closed outline off the page; null if that is not certain.
 *
 * The outline with all that it encloses is opened: what is narrower than a quarter of it falls off. An end is a
 * connector's if it is small and short, and is much narrower where it begins: a corner's tip is as wide there as what
 * falls off.
 */
function findStubs(component) {
  const { width, height } = component;
  const box = boundingBox(component);
  const kernelSide = roundHalfEven(STUB_WIDTH * Math.min(box.right - box.left, box.bottom - box.top));
  if (kernelSide < MIN_STUB_KERNEL) return null;
  const filled = fillHoles(component);
  const inner = { left: kernelSide, top: kernelSide, right: kernelSide + width, bottom: kernelSide + height };
  const body = crop(openEllipse(addBorder(filled, kernelSide), kernelSide), inner);
  const area = countNonZero(body);
  const bodyBox = boundingBox(body);
  const size = Math.max(bodyBox.right - bodyBox.left, bodyBox.bottom - bodyBox.top);
  if (area < MIN_BODY_SHARE * countNonZero(filled)) return null;
  const grown = dilateCross(body); // without the crumbs that opening leaves around it
  const rest = makeImage(width, height, component.data.map((value, at) => value & ~grown.data[at]));
  const { labels, areas } = connectedComponents(rest);
  const around = dilateCross(grown).data.map((value, at) => value & ~grown.data[at]);
  const roots = new Array(areas.length + 1).fill(0);
  around.forEach((value, at) => value && roots[labels[at]]++);
  const isOff = areas.map((end) => touchedSides(end, width, height).some(Boolean));
  const isStub = areas.map(
    (end, index) =>
      Math.max(end.right - end.left, end.bottom - end.top) <= MAX_STUB_LENGTH * size &&
      end.area <= MAX_STUB_AREA * area &&
      roots[index + 1] <= MAX_STUB_ROOT * kernelSide,
  );
  if (!isOff.some(Boolean) || areas.some((_, index) => isOff[index] && !isStub[index])) return null;
  const stubs = makeImage(width, height, Uint8Array.from(labels, (label) => (label && isOff[label - 1] ? 1 : 0)));
  return dilateCross(stubs).data.map((value, at) => (value && !body.data[at] ? 1 : 0));
}

function roundHalfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/**
 * Which components make up the drawing. Dropped are specks away from the largest, and components that are cut off by the
 * page's edge where the largest is not. If it is, too, only small ones are dropped, and none that reaches an edge whose
 * opposite is also touched. `areas` are measured at half the size of the ink.
 */
function mainComponents(areas, main, sides) {
  const extents = areas.map((box) => 2 * Math.max(box.right - box.left, box.bottom - box.top) - 2 * JOIN_RADIUS);
  const touched = [0, 1, 2, 3].map((side) => sides.some((touches) => touches[side]));
  const mainTouches = sides[main].some(Boolean);
  const largest = areas[main];
  return areas.map((box, index) => {
    if (index === main) return true;
    const apart = Math.max(box.left - largest.right, largest.left - box.right, box.top - largest.bottom, largest.top - box.bottom);
    const gap = 2 * apart + 2 * JOIN_RADIUS;
    const isNear = gap <= Math.min(SPECK_RATIO * extents[main], 3 * extents[index]);
    const isCut = sides[index].some(Boolean);
    const isForeign = mainTouches
      ? isCut &&
        !sides[index].some((touches, side) => touches && touched[(side + 2) % 4]) &&
        box.area < MAX_NEIGHBOUR_AREA * largest.area
      : isCut && box.area < 0.6 * largest.area;
    return (isNear || extents[index] >= SPECK_RATIO * extents[main]) && !isForeign;
  });
}

/** A mask repeated `factor` times either way, and cut to a size. */
function enlarge(mask, factor, width, height) {
  const result = makeImage(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor(y / factor) * mask.width;
    for (let x = 0; x < width; x++) result.data[at++] = mask.data[row + Math.floor(x / factor)];
  }
  return result;
}

/** `ink` where `mask`, which is `factor` times smaller, is not 0. */
function applyMask(ink, mask, factor) {
  const large = enlarge(mask, factor, ink.width, ink.height);
  return makeImage(ink.width, ink.height, ink.data.map((value, at) => value & large.data[at]));
}

/** Normalise the aspect of the ink in the box and centre it on a square of `imageSize` with a margin. */
function fitToSquare(ink, { left, top, right, bottom }, imageSize) {
  const margin = roundHalfEven(Math.max(right - left, bottom - top) * FRAME_MARGIN) + 1; // soft edges lie outside the box
  ink = crop(ink, {
    left: Math.max(left - margin, 0),
    top: Math.max(top - margin, 0),
    right: Math.min(right + margin, ink.width),
    bottom: Math.min(bottom + margin, ink.height),
  });
  while (Math.max(ink.width, ink.height) > 2.5 * imageSize) ink = downsampleInk(ink); // keeps hairlines from fading
  ink = applyTable(warpAffine(ink, normaliseAspect(ink, 2 * imageSize), 2 * imageSize), SHARPEN_TABLE);
  const dilated = dilateCross(ink);
  const area = countNonZero(ink);
  const width = (2 * area) / Math.max(1, countNonZero(dilated) - area); // area over half the perimeter
  return halve(width < 2 * MIN_LINE_WIDTH * imageSize ? dilated : ink).data;
}

/**
 * Affine matrix [[a, b, c], [d, e, f]] from a point of the ink to one of a side×side picture, filled but for its margin.
 *
 * A drawing that is n times as long as wide becomes √n times as long, along whatever axis it lies. Length and width are
 * those of the ellipse with the second moments of the convex hull, which are the same for an outline and a filled shape.
 */
function normaliseAspect(ink, side) {
  const hull = convexHull(outermostCorners(thresholdInk(ink)));
  const { xx, xy, yy } = secondMoments(hull);
  const middle = (xx + yy) / 2;
  const spread = Math.hypot((xx - yy) / 2, xy);
  const elongation = Math.min(Math.sqrt((middle + spread) / (middle - spread)), MAX_ELONGATION);
  // along the short axis, of the direction (cos, sin), the drawing grows by √elongation
  const angle = Math.atan2(2 * xy, xx - yy) / 2 + Math.PI / 2;
  const [cos, sin, gain] = [Math.cos(angle), Math.sin(angle), Math.sqrt(elongation) - 1];
  const linear = [
    [1 + gain * cos * cos, gain * cos * sin],
    [gain * cos * sin, 1 + gain * sin * sin],
  ];
  const spans = linear.map((row) => {
    const places = hull.map(([x, y]) => row[0] * x + row[1] * y);
    return [Math.min(...places), Math.max(...places)];
  });
  const longest = Math.max(...spans.map(([low, high]) => high - low));
  const scale = side / (1 + 2 * FRAME_MARGIN) / longest;
  return linear.map((row, axis) => [
    scale * row[0],
    scale * row[1],
    (side - 1) / 2 - (scale * (spans[axis][0] + spans[axis][1])) / 2,
  ]);
}

/** The corners of the first and last pixel of every row that are not 0: the hull of all pixels is theirs. */
function outermostCorners({ width, height, data }) {
  const corners = [];
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width);
    const first = row.findIndex(Boolean);
    if (first < 0) continue;
    const last = row.findLastIndex(Boolean);
    for (const x of [first - 0.5, last + 0.5]) corners.push([x, y - 0.5], [x, y + 0.5]);
  }
  return corners;
}

/** Central second moments of a polygon, up to a factor. */
function secondMoments(polygon) {
  const [x0, y0] = polygon[0]; // near it, sums lose nothing
  let [area, sx, sy, xx, xy, yy] = [0, 0, 0, 0, 0, 0];
  polygon.forEach((point, index) => {
    const next = polygon[(index + 1) % polygon.length];
    const [ax, ay, bx, by] = [point[0] - x0, point[1] - y0, next[0] - x0, next[1] - y0];
    const cross = ax * by - bx * ay;
    area += cross / 2;
    sx += ((ax + bx) * cross) / 6;
    sy += ((ay + by) * cross) / 6;
    xx += ((ax * ax + ax * bx + bx * bx) * cross) / 12;
    yy += ((ay * ay + ay * by + by * by) * cross) / 12;
    xy += ((2 * ax * ay + ax * by + bx * ay + 2 * bx * by) * cross) / 24;
  });
  return { xx: xx - (sx * sx) / area, xy: xy - (sx * sy) / area, yy: yy - (sy * sy) / area };
}
