/**
 * Strokes as drawing apps write them → a list of strokes, each a list of points [x, y], x right and y down, in the
 * app's units.
 *
 * What is read:
 *
 * - a list of strokes, or one stroke; a stroke is a list of points, a point [x, y, …] or {x, y}; what follows x and y
 *   (time, pressure, tilt) is ignored
 * - a list of PointerEvents: a stroke begins at each pointerdown
 * - columns, [x, x, …] and [y, y, …] (Quick, Draw!), or {x: [x, …], y: [y, …]}; steps with a pen state (see
 *   stroke_layout.js)
 * - an object around them, whatever its key: {strokes: …}, {drawing: …}, {points: …}, {paths: …}
 * - Excalidraw's elements, with their offset, angle and deletion; tldraw's draw shapes; Konva's lines
 * - the JSON text of any of these
 *
 * What says that it means something else (an eraser, a text, another transform, y going up) is refused by name.
 */

import { PictureError } from "./errors.js";
import { EXPECTED_STROKES, MAX_POINT_VALUES, addSteps, hasColumns, hasSteps } from "./stroke_layout.js";

export const MAX_TEXT_LENGTH = 2 ** 23; // characters of JSON
export const MAX_POINTS = 100_000; // of a drawing: an hour of a pen that reports 30 times a second
export const MAX_NESTING = 16; // brackets within brackets
export const MAX_COORDINATE = 1e9; // absolute value, in the app's units
const TOO_MANY_POINTS = `the strokes hold more than ${MAX_POINTS} points; give one drawing, with fewer`;
const USE_PIXELS = "give the drawing's pixels (ImageData) instead";

const DELETED_KEYS = ["isDeleted", "deleted", "isErased", "erased", "hidden", "isHidden"];
const TOOL_KEYS = ["type", "tool", "mode", "globalCompositeOperation", "kind"];
const ERASER_WORDS = ["eraser", "erase", "destination-out"];
/** Keys that hold strokes or points; the first one counts where there are several. */
const STROKE_KEYS = [
  "strokes", "drawing", "points", "paths", "path", "lines", "elements", "shapes", "ink", "data", "segments",
];
/** What would move or rotate a stroke → the value that does not. */
const NEUTRAL_VALUES = {
  angle: 0, rotation: 0, rotate: 0, skewX: 0, skewY: 0, skew: 0, scale: 1, scaleX: 1, scaleY: 1, flipX: false,
  flipY: false, transform: "none", matrix: [1, 0, 0, 1, 0, 0], transformMatrix: [1, 0, 0, 1, 0, 0], dx: 0, dy: 0,
};
const QUICKDRAW_KEYS = ["word", "countrycode", "recognized", "key_id", "timestamp"]; // beside `drawing`
/** Excalidraw's elements without points. */
const BOX_OUTLINES = {
  rectangle: [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]],
  diamond: [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5], [0.5, 0]],
  ellipse: Array.from({ length: 73 }, (_, step) => {
    const angle = (step * Math.PI) / 36;
    return [(1 + Math.cos(angle)) / 2, (1 + Math.sin(angle)) / 2];
  }),
};
/** Kinds of elements whose form is in no points. */
const NOT_STROKES = [
  "text", "image", "frame", "magicframe", "embeddable", "iframe", "note", "bookmark", "video", "embed", "geo",
];

/**
 * Convert strokes in any of the module's forms to lists of points.
 *
 * `layout`: "points" or "columns", for strokes without names that could be both; null: what is plausible.
 *
 * Throws PictureError for what is none of the forms, for more than MAX_POINTS points, and for a coordinate that is not a
 * number between ±MAX_COORDINATE.
 */
export function toStrokes(drawing, layout = null) {
  if (typeof drawing === "string") drawing = parseText(drawing);
  if (isPointerEvents(drawing)) drawing = splitEvents(drawing);
  const raw = [];
  collect(drawing, 0, raw);
  const unnamed = raw.filter((stroke) => !stroke.isPoints).map((stroke) => stroke.table);
  if (layout === null && hasSteps(unnamed)) return check(unnamed.flatMap(addSteps));
  const columns = unnamed.length > 0 && hasColumns(unnamed, layout, isQuickdraw(drawing));
  return check(
    raw.map(({ table, isPoints }) =>
      columns && !isPoints
        ? table[0].map((x, index) => [x, table[1][index]])
        : table.map((row) => [row[0], row[1]]),
    ),
  );
}

function parseText(text) {
  if (text.length > MAX_TEXT_LENGTH) {
    throw new PictureError(`the text holds more than ${MAX_TEXT_LENGTH} characters: give one drawing, with fewer points`);
  }
  if (text.trimStart().startsWith("<")) {
    throw new PictureError("this is XML (SVG, InkML), which only strokewise in Python reads; give the strokes as JSON");
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const records = text.split("\n").filter((record) => record.trim());
    if (records.length > 1 && isJson(records[0])) {
      throw new PictureError(`this is ndjson with ${records.length} records; give one record at a time`);
    }
    throw new PictureError(`this is no JSON (${error.message.slice(0, 100)}); ${EXPECTED_STROKES}`);
  }
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isPointerEvents(drawing) {
  return isList(drawing) && drawing.length > 0 && /^(pointer|mouse)/.test(drawing[0]?.type) && isNumber(drawing[0].x);
}

/** The strokes of a list of PointerEvents: from each pointerdown to the next; without one, all is one stroke. */
function splitEvents(events) {
  if (events.length > MAX_POINTS) throw new PictureError(TOO_MANY_POINTS);
  const strokes = [];
  let isDown = !events.some((event) => /down$/.test(event?.type));
  for (const event of events) {
    if (/down$/.test(event?.type) || (isDown && !strokes.length)) {
      strokes.push([]);
      isDown = true;
    }
    if (isDown) strokes.at(-1).push({ x: event?.x, y: event?.y });
    if (/(up|cancel|leave|out)$/.test(event?.type)) isDown = false;
  }
  return strokes;
}

/** Whether it is a record of Quick, Draw!; null if it has the record's `drawing` and nothing else of it. */
function isQuickdraw(drawing) {
  if (!isMapping(drawing) || !("drawing" in drawing)) return false;
  return QUICKDRAW_KEYS.some((key) => key in drawing) || null;
}

/** Return the strokes that have points, all of them bounded. */
function check(strokes) {
  strokes = strokes.filter((stroke) => stroke.length);
  if (!strokes.length) throw new PictureError(`there are no strokes in it; ${EXPECTED_STROKES}`);
  if (strokes.reduce((sum, stroke) => sum + stroke.length, 0) > MAX_POINTS) throw new PictureError(TOO_MANY_POINTS);
  for (const stroke of strokes) {
    for (const [x, y] of stroke) {
      if (!(Math.abs(x) <= MAX_COORDINATE && Math.abs(y) <= MAX_COORDINATE)) {
        throw new PictureError(
          `a coordinate is no number between -${MAX_COORDINATE} and ${MAX_COORDINATE}; ${EXPECTED_STROKES}`,
        );
      }
    }
  }
  return strokes;
}

/** Append all strokes within a value to `found`, in their order: {table, isPoints}, whether its rows are surely points. */
function collect(value, depth, found) {
  if (depth > MAX_NESTING) {
    throw new PictureError(`the strokes are nested more than ${MAX_NESTING} deep; ${EXPECTED_STROKES}`);
  }
  if (isMapping(value)) {
    collectElement(value, depth, found);
    return;
  }
  if (!isList(value)) throw new PictureError(`${typeName(value)} is no stroke; ${EXPECTED_STROKES}`);
  if (value.length > MAX_POINTS) throw new PictureError(TOO_MANY_POINTS);
  if (nestingDepth(value) === 2) {
    found.push(toRawStroke(value));
    return;
  }
  for (let index = 0; index < value.length; index++) {
    const item = value[index];
    const depthOfItem = isList(item) ? nestingDepth(item) : 0;
    if (!isMapping(item) && (depthOfItem === 0 || depthOfItem === 1)) {
      throw new PictureError(`stroke ${index + 1} is no list of points but ${typeName(item)}; ${EXPECTED_STROKES}`);
    }
    collect(item, depth + 1, found);
  }
}

/** Collect the strokes of an object: a stroke with properties, an app's element, or what is around all strokes. */
function collectElement(element, depth, found) {
  if (DELETED_KEYS.some((key) => element[key] === true) || element.visible === false) return;
  checkKind(element);
  if (isBox(element)) {
    const outline = BOX_OUTLINES[element.type.toLowerCase()];
    place(element, [outline.map(([x, y]) => [x * element.width, y * element.height])], found);
    return;
  }
  const { x, y } = element;
  if (isList(x) && isList(y)) {
    if (x.length > MAX_POINTS) throw new PictureError(TOO_MANY_POINTS);
    if (x.length !== y.length) throw new PictureError(`a stroke has ${x.length} x and ${y.length} y; ${EXPECTED_STROKES}`);
    found.push({ table: Array.from(x, (value, index) => [toNumber(value), toNumber(y[index])]), isPoints: true });
    return;
  }
  const inner = findStrokes(element);
  if (inner === null) {
    const keys = Object.keys(element).slice(0, 6).map((key) => key.slice(0, 20)).join(", ") || "(none)";
    throw new PictureError(`there are no strokes under the keys ${keys}; ${EXPECTED_STROKES}`);
  }
  const within = [];
  if (isNumber(x) && isNumber(y)) {
    collect(inner, depth + 1, within);
    place(element, within.map(({ table }) => table.map((row) => [row[0], row[1]])), found);
    return;
  }
  checkUntransformed(element);
  if (isFlat(inner)) {
    const pairs = Math.floor(inner.length / 2);
    if (pairs > MAX_POINTS) throw new PictureError(TOO_MANY_POINTS);
    found.push({ table: Array.from({ length: pairs }, (_, index) => [inner[2 * index], inner[2 * index + 1]]), isPoints: true });
    return;
  }
  const isOneStroke = depth > 0 && nestingDepth(inner) === 2 && !("drawing" in element);
  collect(inner, depth + 1, within);
  for (const { table, isPoints } of within) found.push({ table, isPoints: isPoints || isOneStroke });
}

/** Throw PictureError for an element whose form is in no strokes. */
function checkKind(element) {
  const kind = String(element.type ?? "").toLowerCase();
  if (NOT_STROKES.includes(kind)) {
    throw new PictureError(`there is an element of the type '${kind}', which is no stroke; ${USE_PIXELS}`);
  }
  const tools = TOOL_KEYS.map((key) => String(element[key] ?? "").toLowerCase()).join(" ");
  if (ERASER_WORDS.some((word) => tools.includes(word)) || element.drawMode === false) {
    throw new PictureError(`there is an eraser's stroke, which is not understood; ${USE_PIXELS}`);
  }
  if ("coordinates" in element) {
    throw new PictureError("this looks like GeoJSON, whose y goes up; give strokes with y going down");
  }
}

/** Throw PictureError for an element with a transform other than the identity; `except` are keys that may be any. */
function checkUntransformed(element, except = []) {
  for (const [key, identity] of Object.entries(NEUTRAL_VALUES)) {
    const value = element[key];
    const isNeutral = value === undefined || value === null || value === "" || (isList(value) && !value.length);
    if (except.includes(key) || isNeutral || JSON.stringify(value) === JSON.stringify(identity)) continue;
    if (!value === !identity && value == identity) continue; // eslint-disable-line eqeqeq -- true and 1 are the same
    throw new PictureError(`a stroke has ${key}: ${String(value).slice(0, 30)}, which is not understood; ${USE_PIXELS}`);
  }
}

/** What holds the strokes or points of an object; null if nothing does. */
function findStrokes(element) {
  for (const key of ["props", "attrs"]) {
    // tldraw's, Konva's
    if (isMapping(element[key])) {
      checkUntransformed(element[key]);
      return findStrokes(element[key]);
    }
  }
  if (isMapping(element.store)) {
    // tldraw's document
    return Object.values(element.store).filter((record) => isMapping(record) && record.typeName === "shape");
  }
  let keys = STROKE_KEYS.filter((key) => isList(element[key]) || isMapping(element[key]));
  if (!keys.length) {
    keys = Object.keys(element).filter((key) => isList(element[key]) && nestingDepth(element[key]) !== null);
    if (keys.length > 1) {
      throw new PictureError(`several keys could hold strokes: ${keys.slice(0, 5).join(", ")}; ${EXPECTED_STROKES}`);
    }
  }
  return keys.length ? element[keys[0]] : null;
}

/** Collect the strokes of an element whose points are relative to its x and y, rotated by its angle in radians. */
function place(element, strokes, found) {
  checkUntransformed(element, ["angle", "rotation"]);
  const points = strokes.flat();
  if (!points.length) return;
  const angle = toNumber(element.angle ?? element.rotation ?? 0);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  // Excalidraw rotates about the middle of the element, tldraw about its origin
  const [pivotX, pivotY] = "angle" in element ? [0, 1].map((axis) => middle(points.map((point) => point[axis]))) : [0, 0];
  for (const stroke of strokes) {
    if (!stroke.length) continue;
    const table = stroke.map(([x, y]) => {
      const [dx, dy] = [x - pivotX, y - pivotY];
      return angle
        ? [cos * dx - sin * dy + pivotX + element.x, sin * dx + cos * dy + pivotY + element.y]
        : [x + element.x, y + element.y];
    });
    found.push({ table, isPoints: true });
  }
}

function middle(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return (low + high) / 2;
}

function isBox(element) {
  const isSized = ["x", "y", "width", "height"].every((key) => isNumber(element[key]));
  return isSized && Object.hasOwn(BOX_OUTLINES, String(element.type ?? "").toLowerCase());
}

/** How deeply numbers are nested: a number 0, a point 1, a stroke 2, a drawing 3; null if there are no numbers. */
function nestingDepth(value) {
  for (let depth = 0; depth < MAX_NESTING; depth++) {
    if (isMapping(value)) return depth + (isPoint(value) ? 1 : 2);
    if (isNumber(value)) return depth;
    if (!isList(value) || !value.length) return null;
    value = Array.prototype.find.call(value, (item) => !(isList(item) && !item.length)) ?? null;
  }
  return null;
}

/** Convert a list of points, or of columns, to a table whose rows are as given. */
function toRawStroke(stroke) {
  const named = isMapping(stroke[0]);
  const width = named ? 2 : stroke[0]?.length;
  if (stroke.length * width > MAX_POINT_VALUES * MAX_POINTS) throw new PictureError(TOO_MANY_POINTS);
  const table = [];
  for (const row of stroke) {
    if (isMapping(row) !== named || (!named && (!isList(row) || row.length !== width))) {
      throw new PictureError(`a stroke is no list of points that are all of one kind; ${EXPECTED_STROKES}`);
    }
    table.push(named ? [toNumber(row.x), toNumber(row.y)] : Array.from(row, toNumber));
  }
  return { table, isPoints: named };
}

/** Whether an object is a point rather than an app's element. */
function isPoint(value) {
  if (!isNumber(value.x) || !isNumber(value.y)) return false;
  const kind = String(value.type ?? "").toLowerCase();
  if (NOT_STROKES.includes(kind) || Object.hasOwn(BOX_OUTLINES, kind)) return false;
  return !Object.values(value).some((item) => isList(item) || isMapping(item));
}

/** Whether it is x, y, x, y, … without brackets. */
function isFlat(value) {
  return isList(value) && value.length >= 4 && Array.prototype.every.call(value, isNumber);
}

function isList(value) {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function isMapping(value) {
  return typeof value === "object" && value !== null && !isList(value);
}

function isNumber(value) {
  return typeof value === "number";
}

/** NaN for what is not a number. */
function toNumber(value) {
  return typeof value === "number" ? value : NaN;
}

function typeName(value) {
  return value === null ? "null" : isList(value) ? "a list" : `a ${typeof value}`;
}
