/**
 * A scene → its ink on bare paper: an image, 0 = bare paper, 255 = full ink.
 *
 * The ground must be plain, dark or light. Python's strokewise also reads photographs and ruled paper; here they are
 * recognised and refused.
 */

import { PictureError } from "./errors.js";
import { addBorder, applyTable, clamp, crop, dilateSquare, fillHoles, connectedComponents, floodFill, histogram, makeImage, resizeArea, threshold, transpose } from "./images.js";

const MAX_SCENE_SIDE = 4096; // pixels: larger scenes are averaged down to it first
const PAPER_THUMBNAIL_SIDE = 32; // pixels: the thumbnail on which the paper is estimated
const COLOUR_SAMPLE_SIDE = 32; // pixels: as many columns and rows of the scene are sampled for the colours
const FLAT_PAPER_RATIO = 0.03; // of the page's range of levels: paper whose standard deviation is less counts as flat
const RULED_LINE_COVERAGE = 0.85; // of the page's width: what a ruled line covers at least
const MAX_BESIDE_RULING = 0.5; // of the page's width that is inked beside a ruled line: strokes that cross it
const MAX_RULING_SLOPE = 0.06; // of the page's width: by how much a ruled line rises or falls over it
const MIN_STRONG_RULING = 3; // lines that may be as strong as the drawing
const FAINT_RULING = 0.65; // of full ink: the strength of a single ruled line
const WEAK_INK = 0.2; // of full ink: what a ruled line must exceed to be searched
const RULING_SLOPES = [-0.03, -0.015, 0, 0.015, 0.03]; // that are tried for a line with one visible end
const RULING_SAMPLES = 64; // points of a line that are looked at
const MAX_SHADE_STEP = 0.1; // of the page's range of levels: the largest step of shade from a pixel to the next
const MIN_EDGE_SHARE = 0.15; // of the page's edge that a region of paper holds; a fill that runs off the page holds less
const PLAIN_TOLERANCE = 3; // levels by which a plain ground may vary
const MIN_PLAIN_PAGE = 0.3; // of the page that a plain ground shows on
const MIN_PLAIN_EDGE = 0.6; // of its edge
export const SOLID_INK = 96; // of 255: weaker ink is the soft edge of a line
const MIN_CONTRAST = 12; // levels of 255 by which ink must differ from its paper
const BLACK_ADVANTAGE = 1.05; // how many times more ink must be seen on black than on white
const MIN_OPAQUE = 250; // alpha of 255: a pixel with more hides what is behind it
const MIN_PAGE_FILL = 0.9; // share of its box that an opaque page fills; a drawn shape that does is of one colour
const MIN_PAGE_MARKS = 0.001; // share of an opaque page that differs from its colour if something is drawn on it
const PAGE_SAMPLE = 2 ** 16; // pixels of a page that are looked at, at least
const MIN_SIDE = 8; // pixels: a smaller picture cannot show a shape
const MAX_PIXELS = 2 ** 26;
const MIN_SHEET_AREA = 0.2; // of the picture that a photographed sheet covers
const MIN_SHEET_BARE = 0.65; // of the sheet that is bare
const BLANK_MESSAGE = "the page is blank: nothing on it stands out from the paper; give a drawing";
const PHOTOGRAPH_MESSAGE =
  "the ground is not plain, as in a photograph; strokewise in Python reads it; give strokes, or ink on a plain ground";
const RULED_MESSAGE =
  "the paper is ruled or squared; strokewise in Python reads it; give strokes, or ink on a plain ground";

/**
 * Convert pixels, {width, height, data} with 4 bytes RGBA a pixel (ImageData), 3 or 1, to grey along the colours' own
 * main axis: yellow ink on white paper stays visible. Throws PictureError for what is no picture.
 */
export function toGrey(pixels) {
  const { width, height, data } = pixels;
  if (!Number.isInteger(width) || !Number.isInteger(height) || Math.min(width, height) < MIN_SIDE) {
    throw new PictureError(`${width}×${height} pixels hold no shape; give at least ${MIN_SIDE}×${MIN_SIDE}`, "picture");
  }
  if (width * height > MAX_PIXELS) {
    throw new PictureError(`${width}×${height} pixels are too many; at most ${MAX_PIXELS} are read: shrink it`, "picture");
  }
  const channels = data.length / (width * height);
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray) || ![1, 3, 4].includes(channels)) {
    throw new PictureError("the pixels are no ImageData; give width, height and data of 1, 3 or 4 bytes a pixel", "picture");
  }
  if (channels === 1) return makeImage(width, height, data);
  const planes = [0, 1, 2].map((channel) => {
    const plane = new Uint8Array(width * height);
    for (let at = 0, from = channel; at < plane.length; at++, from += channels) plane[at] = data[from];
    return plane;
  });
  if (channels === 4) {
    const alpha = Uint8Array.from({ length: width * height }, (_, at) => data[4 * at + 3]);
    if (alpha.some((value) => value < 255)) return compositeOnPaper(planes, alpha, width, height);
  }
  return mainAxisGrey(planes, width, height);
}

function mainAxisGrey(planes, width, height) {
  const [red, green, blue] = planes;
  if (red.every((value, at) => value === green[at] && value === blue[at])) return makeImage(width, height, red);
  const sample = [];
  for (let y = 0; y < COLOUR_SAMPLE_SIDE; y++) {
    for (let x = 0; x < COLOUR_SAMPLE_SIDE; x++) {
      const at = Math.floor((y * height) / COLOUR_SAMPLE_SIDE) * width + Math.floor((x * width) / COLOUR_SAMPLE_SIDE);
      sample.push([red[at], green[at], blue[at]]);
    }
  }
  const mean = [0, 1, 2].map((i) => sample.reduce((sum, colour) => sum + colour[i], 0) / sample.length);
  let matrix = [0, 1, 2].map((i) =>
    [0, 1, 2].map((j) => sample.reduce((sum, colour) => sum + colour[i] * colour[j], 0) / sample.length - mean[i] * mean[j] + 4),
  );
  for (let power = 0; power < 14; power++) {
    // squared again and again, only the main axis is left
    const scale = Math.max(...matrix.flat().map(Math.abs));
    matrix = matrix.map((row) => matrix.map((_, j) => row.reduce((sum, value, k) => sum + (value / scale) * (matrix[k][j] / scale), 0)));
  }
  let axis = matrix.reduce((best, row) => (Math.hypot(...row) > Math.hypot(...best) ? row : best));
  const total = axis.reduce((sum, value) => sum + Math.abs(value), 0) * Math.sign(axis[0] + axis[1] + axis[2] || 1);
  axis = axis.map((value) => value / total);
  const offset = -255 * axis.reduce((sum, value) => sum + Math.min(value, 0), 0);
  const grey = new Uint8Array(width * height);
  for (let at = 0; at < grey.length; at++) {
    grey[at] = clamp(Math.round(axis[0] * red[at] + axis[1] * green[at] + axis[2] * blue[at] + offset), 0, 255);
  }
  return makeImage(width, height, grey);
}

/** Composite on the colour of the page that the opaque pixels show; else on white or black, whichever shows more ink. */
function compositeOnPaper(planes, alpha, width, height) {
  const page = opaquePageColour(planes, alpha, width, height);
  if (page) {
    const flat = planes.map((plane, channel) =>
      plane.map((value, at) => Math.round((value * alpha[at]) / 255) + Math.round((page[channel] * (255 - alpha[at])) / 255)),
    );
    return mainAxisGrey(flat, width, height);
  }
  const [red, green, blue] = planes;
  const onWhite = alpha.map((value, at) => Math.round((Math.min(red[at], green[at], blue[at]) * value) / 255) + 255 - value);
  const onBlack = alpha.map((value, at) => Math.round((Math.max(red[at], green[at], blue[at]) * value) / 255));
  const seenOnWhite = onWhite.reduce((count, level) => count + (level < 255 - MIN_CONTRAST), 0);
  const seenOnBlack = onBlack.reduce((count, level) => count + (level > MIN_CONTRAST), 0);
  return makeImage(width, height, seenOnBlack > BLACK_ADVANTAGE * seenOnWhite ? onBlack : onWhite);
}

/** The median colour of the opaque pixels if they are a page with something on it, rather than the ink itself. */
function opaquePageColour(planes, alpha, width, height) {
  let box = { left: width, top: height, right: 0, bottom: 0 };
  const opaque = [];
  for (let at = 0; at < alpha.length; at++) {
    if (alpha[at] <= MIN_OPAQUE) continue;
    opaque.push(at);
    const [x, y] = [at % width, Math.floor(at / width)];
    box = { left: Math.min(box.left, x), top: Math.min(box.top, y), right: Math.max(box.right, x + 1), bottom: y + 1 };
  }
  const [boxWidth, boxHeight] = [box.right - box.left, box.bottom - box.top];
  if (Math.min(boxWidth, boxHeight) < MIN_SIDE || opaque.length < MIN_PAGE_FILL * boxWidth * boxHeight) return null;
  const step = Math.max(1, Math.floor(opaque.length / PAGE_SAMPLE));
  const sample = opaque.filter((_, index) => index % step === 0);
  const colour = planes.map((plane) => median(sample.map((at) => plane[at])));
  const marks = sample.filter((at) => planes.some((plane, channel) => Math.abs(plane[at] - colour[channel]) > MIN_CONTRAST));
  return marks.length > MIN_PAGE_MARKS * sample.length ? colour : null;
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  return Math.floor((sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2);
}

/** The ink of strokes that were drawn black on white: nothing is to be estimated. */
export function inkOfStrokes(scene) {
  const level = fullInkLevel(histogram(scene.data).reverse(), 0);
  return applyTable(scene, rampTable(0.33 * level, 0.75 * level).reverse());
}

/**
 * Extract the ink from a grey page of any even shade.
 *
 * Throws PictureError if nothing stands out from the paper and its noise, or if the ground is not plain.
 */
export function extractInk(grey) {
  const longerSide = Math.max(grey.width, grey.height);
  if (longerSide > MAX_SCENE_SIDE) {
    const scale = MAX_SCENE_SIDE / longerSide;
    grey = resizeArea(grey, Math.max(1, Math.round(grey.width * scale)), Math.max(1, Math.round(grey.height * scale)));
  }
  const paper = estimatePaper(grey);
  const noise = noiseLevel(grey);
  const darker = applyTable(grey, Uint8Array.from({ length: 256 }, (_, level) => Math.max(paper - level, 0)));
  const lighter = applyTable(grey, Uint8Array.from({ length: 256 }, (_, level) => Math.max(level - paper, 0)));
  const sides = energy(lighter) > energy(darker) ? [lighter, darker] : [darker, lighter];
  for (const difference of sides) {
    const level = fullInkLevel(histogram(difference.data), 3 * noise);
    if (level < Math.max(MIN_CONTRAST, 4 * noise)) break;
    if (isRuled(difference, level, noise)) throw new PictureError(RULED_MESSAGE, "photograph");
    const low = Math.max(0.33 * level, 2.5 * noise);
    const ink = applyTable(difference, rampTable(low, Math.max(0.75 * level, low + 1)));
    if (ink.data.some((value) => value >= SOLID_INK)) {
      if (difference === lighter && isSheet(ink)) throw new PictureError(PHOTOGRAPH_MESSAGE, "photograph");
      return ink;
    }
  }
  throw new PictureError(BLANK_MESSAGE, "blank");
}

function energy(image) {
  const counts = histogram(image.data);
  return counts.reduce((sum, count, level) => sum + count * level * level, 0);
}

function rampTable(low, high) {
  return Uint8Array.from({ length: 256 }, (_, level) => clamp((level - low) * (255 / (high - low)), 0, 255));
}

/**
 * Difference between full ink and paper: the mean of the higher of Otsu's two classes of what exceeds `floor`. `counts`
 * says how many pixels have each difference.
 */
function fullInkLevel(counts, floor) {
  counts.fill(0, 0, Math.floor(floor) + 1);
  let [total, sum] = [0, 0];
  for (let level = 0; level < 256; level++) {
    total += counts[level];
    sum += counts[level] * level;
  }
  if (!total) return 0;
  let [best, limit, count, part] = [0, 0, 0, 0];
  for (let level = 0; level < 256; level++) {
    count += counts[level];
    part += counts[level] * level;
    if (!count || count === total) continue;
    const between = count * (total - count) * (part / count - (sum - part) / (total - count)) ** 2;
    if (between > best) [best, limit] = [between, level];
  }
  let [above, aboveSum] = [0, 0];
  for (let level = limit + 1; level < 256; level++) {
    above += counts[level];
    aboveSum += counts[level] * level;
  }
  return above ? aboveSum / above : sum / total;
}

/** Standard deviation of the paper's noise in levels, from the median difference of neighbours (normal noise). */
function noiseLevel(grey) {
  const { width, height, data } = grey;
  if (width < 2) return 0;
  const step = Math.max(1, Math.floor(height / 32));
  const counts = new Uint32Array(256);
  let total = 0;
  for (let y = 0; y < height; y += step) {
    for (let x = 1; x < width; x++) counts[Math.abs(data[y * width + x] - data[y * width + x - 1])]++;
    total += width - 1;
  }
  let middle = Math.floor((total - 1) / 2);
  let level = 0;
  while (middle >= counts[level]) middle -= counts[level++];
  return level / 0.954;
}

/** Level of the bare paper. Throws PictureError where it is not the same all over the page. */
function estimatePaper(grey) {
  const scale = Math.min(1, PAPER_THUMBNAIL_SIDE / Math.max(grey.width, grey.height));
  const [width, height] = [grey.width, grey.height].map((side) => Math.max(4, Math.round(side * scale)));
  const small = resizeArea(grey, width, height);
  const thumb = medianBlur(small, 3);
  const darkest = thumb.data.reduce((least, value) => Math.min(least, value), 255);
  const lightest = thumb.data.reduce((most, value) => Math.max(most, value), 0);
  const tolerance = 4 + 3 * noiseLevel(thumb);
  const shadeStep = Math.max(tolerance, MAX_SHADE_STEP * (lightest - darkest));
  const [mean, deviation] = meanAndDeviation(thumb.data, floodFromEdges(thumb, shadeStep));
  if (deviation < FLAT_PAPER_RATIO * Math.max(64, lightest - darkest)) return Math.round(mean);
  // strokes that lie too close for the thumbnail; where the page itself has one level, that is the paper
  const level = plainLevel(grey);
  if (level === null) throw new PictureError(PHOTOGRAPH_MESSAGE, "photograph");
  return level;
}

/** The level that much of the page and of its edge has, as no photograph does; null if there is none. */
function plainLevel({ width, height, data }) {
  const counts = histogram(data);
  const level = counts.indexOf(Math.max(...counts));
  const isPlain = (value) => Math.abs(value - level) <= PLAIN_TOLERANCE;
  let [edge, page] = [0, 0];
  for (let at = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (!isPlain(data[at])) continue;
      page++;
      if (x === 0 || y === 0 || x === width - 1 || y === height - 1) edge++;
    }
  }
  return page >= MIN_PLAIN_PAGE * width * height && edge >= MIN_PLAIN_EDGE * 2 * (width + height) ? level : null;
}

function meanAndDeviation(data, mask) {
  let [count, sum, squares] = [0, 0, 0];
  for (let at = 0; at < data.length; at++) {
    if (!mask[at]) continue;
    count++;
    sum += data[at];
    squares += data[at] ** 2;
  }
  const mean = count ? sum / count : 0;
  return [mean, count ? Math.sqrt(Math.max(squares / count - mean * mean, 0)) : 0];
}

/** The median around each pixel, `radius` pixels either way. */
function medianBlur(image, radius) {
  const framed = addBorder(image, radius, null);
  const result = makeImage(image.width, image.height);
  const window = new Uint8Array((2 * radius + 1) ** 2);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      for (let row = 0, at = 0; row <= 2 * radius; row++) {
        const start = (y + row) * framed.width + x;
        for (let column = 0; column <= 2 * radius; column++) window[at++] = framed.data[start + column];
      }
      result.data[y * image.width + x] = window.sort()[window.length >> 1];
    }
  }
  return result;
}

/** 1 where steps of at most `tolerance` levels lead to from twelve places along the edge. */
function floodFromEdges(thumb, tolerance) {
  const { width, height, data } = thumb;
  const most = Math.floor(tolerance);
  const mask = new Uint8Array(width * height);
  const isOpen = (from, to) => Math.abs(data[from] - data[to]) <= most;
  let count = 0;
  for (const x of [0, Math.floor(width / 3), Math.floor((2 * width) / 3), width - 1]) {
    for (const y of [0, Math.floor(height / 3), Math.floor((2 * height) / 3), height - 1]) {
      const isEdge = x === 0 || x === width - 1 || y === 0 || y === height - 1;
      if (isEdge && !mask[y * width + x]) floodFill(width, height, y * width + x, isOpen, mask, ++count);
    }
  }
  const edge = [];
  for (let x = 0; x < width; x++) edge.push(mask[x], mask[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) edge.push(mask[y * width], mask[y * width + width - 1]);
  const pixels = new Array(count + 1).fill(0);
  for (const region of edge) if (region) pixels[region]++;
  const least = Math.min(MIN_EDGE_SHARE * edge.length, Math.max(...pixels));
  return mask.map((region) => (region && pixels[region] >= least ? 1 : 0));
}

/** Whether light ink is a photographed sheet on a dark table: wide, mostly bare, and with a darker drawing on it. */
function isSheet(ink) {
  const light = threshold(ink, SOLID_INK);
  const { labels, areas } = connectedComponents(light);
  const largest = areas.reduce((best, area, index) => (area.area > areas[best].area ? index : best), 0);
  const sheet = makeImage(ink.width, ink.height, Uint8Array.from(labels, (label) => (label === largest + 1 ? 255 : 0)));
  const filled = fillHoles(sheet).data.reduce((count, value) => count + (value > 0), 0);
  const bare = areas[largest].area;
  return filled >= MIN_SHEET_AREA * ink.data.length && bare >= MIN_SHEET_BARE * filled && bare < 0.999 * filled;
}

// --- ruled paper: thin straight lines from edge to edge, nearly along the page

function isRuled(ink, level, noise) {
  const weak = threshold(ink, Math.max(WEAK_INK * level, 2 * noise));
  return hasRuledLines(ink, weak, level) || hasRuledLines(transpose(ink), transpose(weak), level);
}

/** Whether ruled lines run from left to right. `weak` is 255 where there is as much ink as a ruled line has, else 0. */
function hasRuledLines(ink, weak, level) {
  const { width, height } = weak;
  const strip = 2 + Math.floor(width / 64);
  const left = thinRuns(crop(weak, { left: 0, top: 0, right: Math.min(strip, width), bottom: height }));
  const right = thinRuns(crop(weak, { left: Math.max(width - strip, 0), top: 0, right: width, bottom: height }));
  const beside = 3 + Math.floor(height / 40);
  const isInked = (x, y) => [y - 1, y, y + 1].some((row) => row >= 0 && row < height && weak.data[row * width + x]);
  let faint = false;
  const strong = [new Set(), new Set()];
  for (const { start, end, paired } of pairEnds(left, right, width)) {
    const shares = [0, 0, 0];
    const strengths = [];
    for (let sample = 0; sample < RULING_SAMPLES; sample++) {
      const x = Math.round((sample * (width - 1)) / (RULING_SAMPLES - 1));
      const y = clamp(Math.round(start + ((end - start) * x) / Math.max(1, width - 1)), 0, height - 1);
      [-beside, 0, beside].forEach((offset, index) => (shares[index] += isInked(x, y + offset) / RULING_SAMPLES));
      let strongest = 0;
      for (let row = Math.max(y - beside + 1, 0); row < Math.min(y + beside, height); row++) {
        strongest = Math.max(strongest, ink.data[row * width + x]);
      }
      strengths.push(strongest);
    }
    if (shares[1] < RULED_LINE_COVERAGE || Math.max(shares[0], shares[2]) >= MAX_BESIDE_RULING) continue;
    const strength = strengths.sort((a, b) => a - b)[Math.floor(0.3 * RULING_SAMPLES)];
    if (strength <= FAINT_RULING * level) faint = true;
    else if (paired) [start, end].forEach((row, index) => strong[index].add(row));
  }
  return faint || Math.min(strong[0].size, strong[1].size) >= MIN_STRONG_RULING;
}

/** Every line that the rows in which one may end allow: where other ink hides one end, a few slopes are tried. */
function pairEnds(left, right, width) {
  const fits = (start, end) => Math.abs(end - start) <= MAX_RULING_SLOPE * width;
  const slopes = RULING_SLOPES.map((slope) => slope * width);
  return [
    ...left.flatMap((start) => right.filter((end) => fits(start, end)).map((end) => ({ start, end, paired: true }))),
    ...left.filter((start) => !right.some((end) => fits(start, end))).flatMap((start) => slopes.map((rise) => ({ start, end: start + rise, paired: false }))),
    ...right.filter((end) => !left.some((start) => fits(start, end))).flatMap((end) => slopes.map((rise) => ({ start: end + rise, end, paired: false }))),
  ];
}

/** Middle row of every thin run of ink in a strip of the page's edge. */
function thinRuns(strip) {
  const { width, height, data } = strip;
  const middles = [];
  for (let y = 0, start = -1; y <= height; y++) {
    const inked = y < height && data.subarray(y * width, (y + 1) * width).reduce((sum, value) => sum + value, 0) / width >= 127.5;
    if (inked && start < 0) start = y;
    if (!inked && start >= 0) {
      if (y - start <= 3 + Math.floor(height / 40)) middles.push((start + y - 1) / 2);
      start = -1;
    }
  }
  return middles;
}
