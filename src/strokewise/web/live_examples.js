/** The outlines of a model → drawings of them: strokes [[[x, y], …], …] on a square of PAD_SIDE units. */

import { PAD_SIDE } from "./live_pad.js";

const MARGIN = 60; // units of bare paper around an example
const POINT_STEP = 6; // units between the points of a stroke
const SCRIBBLE = "M10 60 C30 -20 50 120 60 40 S90 0 70 70 S20 90 40 30 S100 60 85 95 S30 60 5 90";

/** An SVG path element of path data. */
export function pathElement(data) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", data);
  return path;
}

/** The path data of a shape's variants, plain ones first; a scribble for a shape without outlines, which is none of them. */
export function examplePaths(model, shape) {
  const variants = Object.values(model.outlines[shape] ?? {}).sort((a, b) => b.plain - a.plain);
  return variants.length ? variants.map(({ path }) => path) : [SCRIBBLE];
}

/** Path data as strokes that fill the sheet, a stroke a subpath. */
export function exampleStrokes(data) {
  const parts = data.split(/(?=M)/).map((part) => sampleLine(pathElement(part)));
  const points = parts.flat();
  const low = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
  const high = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
  const scale = (PAD_SIDE - 2 * MARGIN) / Math.max(high[0] - low[0], high[1] - low[1]);
  const place = (point) =>
    point.map((value, axis) => {
      const middle = (low[axis] + high[axis]) / 2;
      return Math.round(((value - middle) * scale + PAD_SIDE / 2) * 10) / 10;
    });
  return parts.map((part) => thinOut(part.map(place)));
}

function sampleLine(path) {
  const length = path.getTotalLength();
  const steps = Math.max(2, Math.min(400, Math.ceil(length * 4)));
  return Array.from({ length: steps + 1 }, (_, step) => {
    const { x, y } = path.getPointAtLength((length * step) / steps);
    return [x, y];
  });
}

/** Points that are at least POINT_STEP apart, and the last one. */
function thinOut(points) {
  const kept = [points[0]];
  for (const point of points) {
    if (Math.hypot(point[0] - kept.at(-1)[0], point[1] - kept.at(-1)[1]) >= POINT_STEP) kept.push(point);
  }
  return [...kept, points.at(-1)];
}
