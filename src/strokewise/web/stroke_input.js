/**
 * Strokes of a drawing app → a scene, Uint8Array (S, S), black lines on white paper.
 *
 * stroke_formats.js reads what the apps write; here the strokes, in whatever unit, are scaled to the scene and drawn as
 * OpenCV draws anti-aliased lines: each piece a rectangle, each joint a polygon of twelve corners, both with a soft edge.
 */

import { PictureError } from "./errors.js";

export const RASTER_SIDE = 256; // pixels: the scene's width and height
const PEN_WIDTH = 0.036; // line width over the drawing's longer side: the middle of what people draw with
const RASTER_MARGIN = 24; // pixels of bare paper on every side
const SUBPIXELS = 16; // steps of a pixel in which coordinates are given
const ONE = 2 ** 16; // a pixel in fixed point
const CAP_STEP = Math.PI / 6; // between the corners of the polygon that stands for a joint

// An edge has the profile of a Gaussian: its opacity, of 255, at 32 places in a pixel up to 1.5 pixels away
const EDGE_PROFILE = Uint8Array.from({ length: 64 }, (_, step) => 255.01 * Math.exp(-(((step - 15.5) / 32) ** 2) / 0.5625));
// how much more opaque a slanted edge is, as its three pixels lie closer to it, by its slope in 32nds
const SLOPE_STRENGTH = Uint16Array.from({ length: 32 }, (_, slope) => 128 * Math.SQRT2 * Math.hypot(1, (slope + 0.5) / 32));

/**
 * Draw strokes, lists of points [x, y], as a scene: {scene, unit, corner}. `unit` is the width of a pixel in the strokes'
 * own units, `corner` [x, y] where the scene's top left corner lies in them.
 *
 * Throws PictureError if all points are the same.
 */
export function rasterizeStrokes(strokes) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const stroke of strokes) {
    for (const [x, y] of stroke) {
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
  }
  const longerSide = Math.max(right - left, bottom - top);
  if (longerSide <= 0) {
    throw new PictureError(`all points of the strokes lie at ${left}, ${top}: that is a dot and no shape`);
  }
  const innerSide = RASTER_SIDE - 2 * RASTER_MARGIN;
  const scale = innerSide / longerSide;
  const centre = [(left + right) / 2, (top + bottom) / 2];
  const scene = new Uint8Array(RASTER_SIDE * RASTER_SIDE).fill(255);
  const width = Math.round(PEN_WIDTH * innerSide);
  for (const stroke of strokes) drawPolyline(scene, toFixedPoint(stroke, scale, centre), width);
  const unit = 1 / scale;
  const corner = centre.map((middle) => middle - (RASTER_SIDE / 2 + 0.5) * unit); // drawn from the middle of a pixel
  return { scene: { width: RASTER_SIDE, height: RASTER_SIDE, data: scene }, unit, corner };
}

/** Pixels in fixed point, [x, y, x, y, …], without the repetitions of a resting pen. */
function toFixedPoint(stroke, scale, centre) {
  const points = [];
  for (const [x, y] of stroke) {
    const px = roundEven(((x - centre[0]) * scale + RASTER_SIDE / 2) * SUBPIXELS) * (ONE / SUBPIXELS);
    const py = roundEven(((y - centre[1]) * scale + RASTER_SIDE / 2) * SUBPIXELS) * (ONE / SUBPIXELS);
    const end = points.length;
    if (end === 0 || points[end - 2] !== px || points[end - 1] !== py) points.push(px, py);
  }
  if (points.length === 2) points.push(...points); // a dot
  return points;
}

function roundEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function drawPolyline(scene, points, width) {
  const radius = (width * ONE) / 2;
  const cap = Array.from({ length: 13 }, (_, step) => [
    roundEven(radius * Math.cos(step * CAP_STEP)),
    roundEven(radius * Math.sin(step * CAP_STEP)),
  ]).flat();
  const corners = new Float64Array(26);
  const drawCap = (x, y) => {
    for (let index = 0; index < 26; index += 2) {
      corners[index] = x + cap[index];
      corners[index + 1] = y + cap[index + 1];
    }
    fillConvex(scene, corners);
  };
  const rectangle = new Float64Array(8);
  const reach = radius + (width % 2) * (ONE / 2);
  for (let index = 2; index < points.length; index += 2) {
    const [x0, y0, x1, y1] = [points[index - 2], points[index - 1], points[index], points[index + 1]];
    const [dx, dy] = [x0 - x1, y1 - y0];
    const length = Math.hypot(dx, dy);
    if (length > 0) {
      const [px, py] = [roundEven((dy * reach) / length), roundEven((dx * reach) / length)];
      rectangle.set([x0 + px, y0 + py, x0 - px, y0 - py, x1 - px, y1 - py, x1 + px, y1 + py]);
      fillConvex(scene, rectangle);
    }
    if (index === 2) drawCap(x0, y0);
    drawCap(x1, y1);
  }
}

/** Fill a convex polygon [x, y, x, y, …] in fixed point with ink, its edges soft. */
function fillConvex(scene, corners) {
  const count = corners.length / 2;
  let [top, low, high] = [0, Infinity, -Infinity];
  for (let index = 0; index < count; index++) {
    const before = index ? index - 1 : count - 1;
    drawEdge(scene, corners[2 * before], corners[2 * before + 1], corners[2 * index], corners[2 * index + 1]);
    const y = corners[2 * index + 1];
    if (y < low) {
      low = y;
      top = index;
    }
    if (y > high) high = y;
  }
  // down both sides from the topmost corner, row by row
  const lastRow = toRow(high);
  const sides = [makeSide(top, 1, toRow(low)), makeSide(top, count - 1, toRow(low))];
  let corner = count;
  for (let y = toRow(low); y <= lastRow; y++) {
    if (y < lastRow || y === toRow(low)) {
      for (const side of sides) {
        if (y < side.endRow) continue;
        let from = side.corner;
        let to = (from + side.step) % count;
        for (; corner-- > 0; from = to, to = (to + side.step) % count) {
          const row = toRow(corners[2 * to + 1]);
          if (row > y) {
            side.endRow = row;
            side.slope = Math.trunc((2 * (corners[2 * to] - corners[2 * from]) + (row - y)) / (2 * (row - y)));
            side.x = corners[2 * from];
            side.corner = to;
            break;
          }
        }
      }
    }
    if (corner < 0) break;
    const left = Math.min(sides[0].x, sides[1].x);
    const right = Math.max(sides[0].x, sides[1].x);
    scene.fill(0, y * RASTER_SIDE + Math.ceil(left / ONE), y * RASTER_SIDE + Math.floor(right / ONE) + 1);
    for (const side of sides) side.x += side.slope;
  }
}

function makeSide(corner, step, endRow) {
  return { corner, step, endRow, x: -ONE, slope: 0 };
}

function toRow(y) {
  return Math.floor((y + ONE / 2) / ONE);
}

/** Draw one soft edge between two points in fixed point: three pixels across at each step along its main direction. */
function drawEdge(scene, x0, y0, x1, y1) {
  const isFlat = Math.abs(x1 - x0) > Math.abs(y1 - y0);
  let [start, end, side, otherSide] = isFlat ? [x0, x1, y0, y1] : [y0, y1, x0, x1]; // along, along, across, across
  if (end < start) [start, end, side, otherSide] = [end, start, otherSide, side];
  const slope = Math.trunc(((otherSide - side) * ONE) / ((end - start) | 1));
  const steepness = (slope < 0 ? ~slope : slope) >> 11; // in 32nds
  const strength = steepness >= 32 ? 256 : SLOPE_STRENGTH[steepness]; // of 256
  const [along, across] = isFlat ? [1, RASTER_SIDE] : [RASTER_SIDE, 1];
  const first = start >> 16;
  const count = ((end + ONE) >> 16) - first;
  const startShare = (start >> 9) & 0x78; // of the first and the last pixel, in 128ths
  const endShare = (end >> 9) & 0x78;
  let place = side + Math.floor((-slope * (start % ONE)) / ONE) + ONE / 2;
  for (let step = 0; step <= count; step++, place += slope) {
    const left = count - step;
    let opacity = 256;
    if (step < 2 && left < 2) {
      opacity = step + left === 0 ? 0 : step + left === 1 ? ((endShare - startShare) & 0x78) | 4 : (endShare - startShare + 128) | 4;
    } else if (step < 2) {
      opacity = ((0x78 - startShare) | 4) + 128 * step;
    } else if (left < 2) {
      opacity = (endShare | 4) + 128 * left;
    }
    opacity = ((opacity * strength) >> 8) & 0x1ff;
    const part = (place >> 11) & 31;
    const at = (first + step) * along + ((place >> 16) - 1) * across;
    blend(scene, at, (opacity * EDGE_PROFILE[part + 32]) >> 8);
    blend(scene, at + across, (opacity * EDGE_PROFILE[part]) >> 8);
    blend(scene, at + 2 * across, (opacity * EDGE_PROFILE[63 - part]) >> 8);
  }
}

/** Cover a pixel with ink, twice; its opacity is in 256ths. */
function blend(scene, at, opacity) {
  const level = scene[at] + ((-scene[at] * opacity + 127) >> 8);
  scene[at] = level + ((-level * opacity + 127) >> 8);
}
