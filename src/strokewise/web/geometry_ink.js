/**
 * Ink → the points that an outline is fitted to.
 *
 * Ink is an image, 0 bare paper to 255 full ink, its longest side 64 to 512 pixels. Pixel (x, y) covers x to x + 1 and y to
 * y + 1. Points of ink are {points, weights, spacing, width, scale, matrix, centre, distances, coarse}: [x, y] each, the
 * share of the ink at each, the distance of neighbours along a line, the pen's width, the root of the area of their box,
 * and a frame in which their hull or region has unit covariance, with a map of distances and the points to search with.
 */

import { MAP_SIDE, applyLinear, bounds, distanceMap, distanceTransform, mapIndex, polygonArea, whitenPolygon } from "./geometry_template.js";
import { connectedComponents, convexHull, floodFill, makeImage } from "./images.js";

const CELLS = 32; // along the longer side: each cell of this grid with ink in it gives one point
const MAX_INK_POINTS = 128; // of these, spread evenly
export const SOLID = 96; // of 255: weaker ink is the soft edge of a line
const GAP_SHARES = [0, 0.08, 0.18, 0.3]; // of the longer side: gaps in an outline that are bridged to find its inside
const DEEP = 1.6; // pen widths from the outside: ink that lies deeper is a filling
export const MIN_FILLING = 0.3; // of the ink that lies deep where a shape is filled, hatched or scribbled over
const MIN_SOLID = 0.8; // of the ink that lies deep where a shape is solid, so that its pen's width cannot be seen
const MAX_PEN = 0.07; // of the longer side: what is wider is no line
const USUAL_PEN = 0.036; // of the longer side: the width of a pen that cannot be seen
const MIN_HOLE = 0.3; // of what an outline encloses: the largest bare area within a hatched shape is smaller
const NUM_CONTOUR = 120; // points along the edge of a filled region
const NUM_SEARCHED = 48; // points that the search for a pose looks at

/** The points of all ink, for outlines that are lines; `width` is the pen's. */
export function inkPoints(ink, width) {
  const cell = Math.max(1, Math.ceil(Math.max(ink.width, ink.height) / CELLS));
  const [rows, columns] = [Math.ceil(ink.height / cell), Math.ceil(ink.width / cell)];
  const sums = new Float64Array(3 * rows * columns); // ink, ink · x, ink · y of each cell
  for (let y = 0, at = 0; y < ink.height; y++) {
    for (let x = 0; x < ink.width; x++, at++) {
      const value = ink.data[at];
      if (!value) continue;
      const to = 3 * (Math.floor(y / cell) * columns + Math.floor(x / cell));
      sums[to] += value;
      sums[to + 1] += value * (x + 0.5);
      sums[to + 2] += value * (y + 0.5);
    }
  }
  let points = [];
  let masses = [];
  for (let at = 0; at < sums.length; at += 3) {
    if (sums[at] <= 0.04 * 255 * cell * cell) continue;
    points.push([sums[at + 1] / sums[at], sums[at + 2] / sums[at]]);
    masses.push(sums[at]);
  }
  if (!points.length) return null;
  const spacing = cell * Math.max(1, points.length / MAX_INK_POINTS);
  points = takeEvenly(points, MAX_INK_POINTS);
  masses = takeEvenly(masses, MAX_INK_POINTS);
  const sorted = [...masses].sort((a, b) => a - b);
  const usual = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  const weights = masses.map((mass) => Math.min(mass, usual));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return whitenPoints(points, weights.map((weight) => weight / total), spacing, width, convexHull(points));
}

/** At most `count` of a list, from its first to its last. */
function takeEvenly(list, count) {
  if (list.length <= count) return list;
  return Array.from({ length: count }, (_, index) => list[Math.round((index * (list.length - 1)) / (count - 1))]);
}

/**
 * The points along the region that the ink encloses or fills, and how filled it is: {region, filling}; null where there is
 * no region of any size.
 *
 * Where it is an outline, the points lie in the middle of the line: they are the edge of the largest bare area that it
 * encloses, without what sticks out. Gaps in the line are bridged, the wider ones only where they must be. Else they are
 * the edge of all that is not outside. `convexity` is the least area of an outline that is looked for, over that of its
 * hull.
 */
export function regionPoints(ink, width, convexity) {
  const side = Math.max(ink.width, ink.height);
  width = Math.min(width, MAX_PEN * side);
  const hull = polygonArea(convexHull(outermostSolid(ink)));
  let page = solidPage(ink, 4); // most outlines are closed: then no more is needed
  for (const gap of GAP_SHARES) {
    if (gap === GAP_SHARES[1]) page = solidPage(ink, Math.ceil((GAP_SHARES.at(-1) * side) / 2) + 4);
    const reach = 0.5 + (gap * side) / 2;
    const hole = largestHole(page.distances, reach, page);
    if (!hole) continue;
    const region = selectNear(distanceTransform(hole, page.width, page.height), reach + 0.5 * width);
    if (countOnes(region) > MIN_HOLE * convexity * hull) return { region: edgePoints(region, width, 0.5, page), filling: 0 };
  }
  const { width: pageWidth, height: pageHeight, bare, distances } = page;
  const bridge = (GAP_SHARES[1] * side) / 2;
  const outside = floodFill(pageWidth, pageHeight, 0, (_, to) => distances[to] > bridge);
  for (let at = 0; at < outside.length; at++) outside[at] ^= 1;
  const closed = distanceTransform(outside, pageWidth, pageHeight);
  const filled = new Uint8Array(closed.length);
  for (let at = 0; at < filled.length; at++) if (closed[at] > bridge || !bare[at]) filled[at] = 1;
  const depth = distanceTransform(filled, pageWidth, pageHeight);
  let [deep, inked] = [0, 0];
  for (let at = 0; at < depth.length; at++) {
    if (depth[at] <= DEEP * width + 1) continue;
    deep++;
    if (!bare[at]) inked++;
  }
  const filling = deep ? inked / deep : 0;
  const tail = 0.5 * width + 1; // opened: ends that stick out are cut off
  const beyond = selectNear(depth, tail);
  if (countOnes(beyond) === beyond.length) return null;
  const region = selectNear(distanceTransform(beyond, pageWidth, pageHeight), tail);
  const inset = 0.5 * (filling > MIN_SOLID ? Math.min(width, USUAL_PEN * side) : width);
  return { region: edgePoints(region, width, 0.5 - inset, page), filling };
}

/** Ink with a margin of `margin` pixels: {width, height, margin, bare, distances}; `bare` is 1 where there is none. */
function solidPage(ink, margin) {
  const [width, height] = [ink.width + 2 * margin, ink.height + 2 * margin];
  const bare = new Uint8Array(width * height).fill(1);
  for (let y = 0, at = 0; y < ink.height; y++) {
    for (let x = 0; x < ink.width; x++, at++) if (ink.data[at] > SOLID) bare[(y + margin) * width + x + margin] = 0;
  }
  return { width, height, margin, bare, distances: distanceTransform(bare, width, height) };
}

/** The first and last solid pixel [x, y] of every row. */
function outermostSolid(ink) {
  const pixels = [];
  for (let y = 0; y < ink.height; y++) {
    const row = ink.data.subarray(y * ink.width, (y + 1) * ink.width);
    const first = row.findIndex((value) => value > SOLID);
    if (first >= 0) pixels.push([first, y], [row.findLastIndex((value) => value > SOLID), y]);
  }
  return pixels;
}

/** 1 where a distance is within `reach`, else 0. */
function selectNear(distances, reach) {
  const region = new Uint8Array(distances.length);
  for (let at = 0; at < region.length; at++) if (distances[at] <= reach) region[at] = 1;
  return region;
}

function countOnes(region) {
  let count = 0;
  for (let at = 0; at < region.length; at++) count += region[at];
  return count;
}

/**
 * 0 on the largest area farther than `reach` that is apart from the page's first pixel, else 1; null if there is none.
 *
 * Areas are put together from runs of pixels in a row, each with those above that it touches.
 */
function largestHole(distances, reach, { width, height }) {
  const runs = []; // {y, start, end, area}: `area` leads to the run that stands for the whole area
  const rootOf = (run) => {
    while (run.area !== run) run = run.area = run.area.area;
    return run;
  };
  let above = 0; // the first run of the row above that may touch the next one
  for (let y = 0; y < height; y++) {
    const first = runs.length;
    for (let x = 0, at = y * width; x < width; x++, at++) {
      if (distances[at] <= reach) continue;
      const start = x;
      while (x < width && distances[at] > reach) {
        x++;
        at++;
      }
      const run = { y, start, end: x, size: x - start, area: null };
      run.area = run;
      while (above < first && runs[above].end <= start) above++;
      for (let index = above; index < first && runs[index].start < x; index++) {
        const [older, root] = [rootOf(runs[index]), rootOf(run)];
        if (older === root) continue;
        older.size += root.size;
        root.area = older;
      }
      runs.push(run);
    }
    above = first;
  }
  const outside = rootOf(runs[0]);
  const largest = runs.reduce((best, run) => {
    const isHole = run.area === run && run !== outside;
    return isHole && run.size > (best?.size ?? 0) ? run : best;
  }, null);
  if (!largest) return null;
  const hole = new Uint8Array(width * height).fill(1);
  for (const run of runs) if (rootOf(run) === largest) hole.fill(0, run.y * width + run.start, run.y * width + run.end);
  return hole;
}

/** Points along the edge of the largest part of a region, `outset` pixels outside the edge's pixels. */
function edgePoints(region, width, outset, page) {
  const line = longestContour(region, page);
  const count = line.length;
  const smooth = line.map((_, index) => {
    const [before, here, after] = [line.at(index - 1), line[index], line[(index + 1) % count]];
    return [(before[0] + here[0] + after[0]) / 3, (before[1] + here[1] + after[1]) / 3];
  });
  let turn = 0;
  line.forEach(([x, y], index) => {
    const [nextX, nextY] = line[(index + 1) % count];
    turn += x * nextY - nextX * y;
  });
  const sign = turn > 0 ? outset : -outset;
  const points = smooth.map(([x, y], index) => {
    const [before, after] = [smooth.at((index - 2) % count), smooth[(index + 2) % count]];
    const [dx, dy] = [after[0] - before[0], after[1] - before[1]];
    const length = Math.max(Math.hypot(dx, dy), 1e-9);
    return [x + (sign * dy) / length + 0.5 - page.margin, y - (sign * dx) / length + 0.5 - page.margin];
  });
  const kept = takeEvenly(points, NUM_CONTOUR);
  const steps = kept.slice(1).map(([x, y], index) => Math.hypot(x - kept[index][0], y - kept[index][1]));
  const spacing = steps.reduce((sum, step) => sum + step, 0) / Math.max(steps.length, 1);
  return whitenPoints(kept, kept.map(() => 1 / kept.length), spacing, width, kept);
}

const NEIGHBOURS = [[1, 0], [1, -1], [0, -1], [-1, -1], [-1, 0], [-1, 1], [0, 1], [1, 1]]; // against the clock, as seen

/** The pixels [x, y] along the outside of the part of a region with the longest edge, against the clock as seen. */
function longestContour(region, { width, height }) {
  const { labels, areas } = connectedComponents(makeImage(width, height, region));
  let longest = [];
  areas.forEach((box, index) => {
    if (2 * (box.right - box.left) * (box.bottom - box.top) <= longest.length) return;
    const isPart = (x, y) => x >= 0 && y >= 0 && x < width && y < height && labels[y * width + x] === index + 1;
    let x = box.left;
    while (!isPart(x, box.top)) x++;
    const contour = traceContour(x, box.top, isPart);
    if (contour.length > longest.length) longest = contour;
  });
  return longest;
}

function traceContour(startX, startY, isPart) {
  const contour = [];
  let [x, y, from] = [startX, startY, 4]; // the neighbour to begin after: the one to the left is bare
  let first = -1;
  for (;;) {
    let direction = -1;
    for (let step = 1; step <= 8; step++) {
      const tried = (from + step) % 8;
      if (isPart(x + NEIGHBOURS[tried][0], y + NEIGHBOURS[tried][1])) {
        direction = tried;
        break;
      }
    }
    if (direction < 0) return [[x, y]];
    if (x === startX && y === startY) {
      if (direction === first) return contour;
      if (first < 0) first = direction;
    }
    contour.push([x, y]);
    x += NEIGHBOURS[direction][0];
    y += NEIGHBOURS[direction][1];
    from = (direction + 4) % 8;
  }
}

/** The mean width of the lines in pixels: four times the mean distance of their pixels from bare paper. */
export function penWidth(ink) {
  const [width, height] = [ink.width + 2, ink.height + 2];
  const solid = new Uint8Array(width * height);
  let count = 0;
  for (let y = 0, from = 0; y < ink.height; y++) {
    for (let x = 0; x < ink.width; x++, from++) {
      if (ink.data[from] <= SOLID) continue;
      solid[(y + 1) * width + x + 1] = 1;
      count++;
    }
  }
  if (!count) return 1;
  const distances = distanceTransform(solid, width, height);
  let sum = 0;
  for (let at = 0; at < distances.length; at++) sum += distances[at];
  return Math.max(1, (4 * sum) / count - 1);
}

/** Points of ink in the frame in which `polygon` has unit covariance. */
function whitenPoints(points, weights, spacing, width, polygon) {
  const [low, high] = bounds(points);
  const [longer, shorter] = [high[0] - low[0], high[1] - low[1]].sort((a, b) => b - a);
  const { matrix, centre } = whitenPolygon(polygon);
  const white = points.map(([x, y]) => applyLinear(matrix, [x - centre[0], y - centre[1]]));
  const page = new Uint8Array(MAP_SIDE * MAP_SIDE).fill(1);
  for (const [x, y] of white) page[mapIndex(x, y)] = 0;
  return {
    points,
    weights,
    spacing,
    width,
    scale: Math.sqrt(Math.max(longer * Math.max(shorter, 0.1 * longer), 1e-12)),
    matrix,
    centre,
    distances: distanceMap(page),
    coarse: takeEvenly(white, NUM_SEARCHED),
  };
}
