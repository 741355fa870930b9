/** A polygon whose corners are free: each edge becomes the straight line nearest to the ink along it. */

import { Template, applyLinear } from "./geometry_template.js";

const ROUNDS = 3;
const EDGE_MARGIN = 0.12; // of an edge's length, at both ends: ink there may belong to the next one
const REACH = 0.12; // of the ink's scale: what is farther from an edge is not its ink
const MIN_ON_EDGE = 3; // points of the ink that decide where an edge lies; with fewer it stays
const MAX_MOVE = 0.3; // of the ink's scale, of a corner

/**
 * The pose of a template made of the moved corners, which names the template that it comes from as its `source`. Where
 * edges have too little ink, or corners would move too far, they stay.
 */
export function freeCorners(pose, ink) {
  const { template } = pose;
  const first = template.vertices.map((corner) => {
    const [x, y] = applyLinear(pose.linear, corner);
    return [x + pose.shift[0], y + pose.shift[1]];
  });
  let corners = first;
  for (let round = 0; round < ROUNDS; round++) {
    const lines = corners.map((corner, index) => edgeLine(corner, corners[(index + 1) % corners.length], ink));
    corners = corners.map((corner, index) => {
      const met = intersection(lines.at(index - 1), lines[index], corner);
      const [x, y] = first[index];
      return Math.hypot(met[0] - x, met[1] - y) <= MAX_MOVE * ink.scale ? met : corner;
    });
  }
  const pieces = corners.map((corner, index) => [corner, corners[(index + 1) % corners.length]]);
  const free = new Template({ ...template, subpaths: [{ pieces, closed: true }] });
  return { template: free, linear: [[free.half, 0], [0, free.half]], shift: free.centre, source: template };
}

/** A point and the direction of the line nearest to the ink along an edge. */
function edgeLine(start, end, ink) {
  const length = Math.max(Math.hypot(end[0] - start[0], end[1] - start[1]), 1e-12);
  const [wx, wy] = [(end[0] - start[0]) / length, (end[1] - start[1]) / length];
  const near = [];
  ink.points.forEach(([x, y], index) => {
    const along = (x - start[0]) * wx + (y - start[1]) * wy;
    const across = (y - start[1]) * wx - (x - start[0]) * wy;
    const isNear = along > EDGE_MARGIN * length && along < (1 - EDGE_MARGIN) * length && Math.abs(across) < REACH * ink.scale;
    if (isNear) near.push([x, y, ink.weights[index] / (1 + (across / (0.5 * REACH * ink.scale)) ** 2) ** 2]);
  });
  if (near.length < MIN_ON_EDGE) return { point: [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2], way: [wx, wy] };
  const total = near.reduce((sum, [, , weight]) => sum + weight, 0);
  const point = [0, 1].map((axis) => near.reduce((sum, row) => sum + row[axis] * row[2], 0) / total);
  let [xx, xy, yy] = [0, 0, 0];
  for (const [x, y, weight] of near) {
    xx += weight * (x - point[0]) ** 2;
    xy += weight * (x - point[0]) * (y - point[1]);
    yy += weight * (y - point[1]) ** 2;
  }
  const angle = Math.atan2(2 * xy, xx - yy) / 2;
  const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
  return { point, way: dx * wx + dy * wy > 0 ? [dx, dy] : [-dx, -dy] };
}

/** Where two lines meet; `otherwise` where they are nearly parallel. */
function intersection({ point: a, way: u }, { point: b, way: v }, otherwise) {
  const cross = u[0] * v[1] - u[1] * v[0];
  if (Math.abs(cross) < 0.05) return otherwise;
  const share = ((b[0] - a[0]) * v[1] - (b[1] - a[1]) * v[0]) / cross;
  return [a[0] + u[0] * share, a[1] + u[1] * share];
}
