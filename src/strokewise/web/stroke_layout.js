/**
 * What the numbers of a stroke mean: points, columns, or steps with a pen state.
 *
 * A table is a stroke's rows as they were given. Points: a row [x, y, …] for each point. Columns (Quick, Draw!): a row
 * of all x, a row of all y, and perhaps a row of all times. Steps: stroke-3, rows [dx, dy, lifted], and stroke-5, rows
 * [dx, dy, down, up, end] (Ha and Eck 2017).
 */

import { PictureError } from "./errors.js";

export const MAX_POINT_VALUES = 8; // of a point: x, y, time, pressure, tilt, ...
export const EXPECTED_STROKES = "give a list of strokes, each a list of [x, y] points";
const UNDECIDED =
  "the strokes can be read as points, [x, y, …], and as columns, [x, …] and [y, …]; say which they are: " +
  '{ strokes: "points" } or { strokes: "columns" }';

/**
 * Whether the strokes are written as columns. Decided once for the whole drawing, by what is plausible.
 *
 * `tables`: of all strokes, at least one. `layout`: "points" or "columns" where the user says it; it decides where it
 * fits. `isQuickdraw`: whether they come from a record of Quick, Draw!; null if they might.
 *
 * Throws PictureError if the strokes are neither, or if both are as plausible.
 */
export function hasColumns(tables, layout, isQuickdraw) {
  const widths = tables.map((table) => (table.length ? table[0].length : 0));
  const fitsPoints = widths.every((width) => width >= 2 && width <= MAX_POINT_VALUES);
  const fitsColumns = tables.every((table) => table.length === 2 || table.length === 3);
  if (!fitsPoints && !fitsColumns) {
    throw new PictureError(
      `the strokes are neither lists of [x, y] nor pairs of [x, …] and [y, …]; ${EXPECTED_STROKES}`,
    );
  }
  if (layout === "points" ? fitsPoints : layout === "columns" && fitsColumns) return layout === "columns";
  if (!fitsPoints || !fitsColumns) return fitsColumns;
  if (isQuickdraw) return true;
  if (widths.every((width) => width === 2)) {
    if (isQuickdraw === null) throw new PictureError(UNDECIDED);
    return false; // [[x, y], [x, y]], the form that is asked for
  }
  const rows = tables.flat();
  const isPressure = rows.every((row) => row.slice(2).every((value) => value >= 0 && value <= 1));
  if (isPressure && extent(rows) > 2) return false;
  const pointsHaveTimes = widths.every((width) => width === 3) && tables.every((table) => increases(table.map((row) => row[2])));
  const columnsHaveTimes =
    tables.every((table) => table.length === 3) && tables[0][2][0] === 0 && increases(tables.flatMap((table) => table[2]));
  if (pointsHaveTimes !== columnsHaveTimes) return columnsHaveTimes;
  if (isQuickdraw === null) return true;
  if (!pointsHaveTimes && tables.every((table) => table.length === 2) && widths.some((width) => width > 3)) {
    return true; // two rows of four or more values: a stroke of two points with so many values each is rare
  }
  throw new PictureError(UNDECIDED);
}

/**
 * Whether the only table holds steps with a pen state (stroke-3 or stroke-5).
 *
 * Throws PictureError if its rows could be steps as well as points with a pressure of 0 or 1.
 */
export function hasSteps(tables) {
  if (tables.length !== 1 || tables[0].length < 3) return false;
  const [table] = tables;
  const width = table[0].length;
  if (width !== 3 && width !== 5) return false;
  const pens = table.map((row) => row.slice(2));
  if (!pens.every((pen) => pen.every((value) => value === 0 || value === 1))) return false;
  if (width === 5 && !pens.every((pen) => pen[0] + pen[1] + pen[2] === 1)) return false;
  if (width === 3 && !pens.some((pen) => pen[0] === 1)) return false;
  if (table.some((row) => row[0] < 0 || row[1] < 0)) return true;
  throw new PictureError(
    "the third value of each point is 0 or 1: that the pen is lifted, or how hard it is pressed; give separate " +
      "strokes, each a list of [x, y] points",
  );
}

/** Convert steps to strokes: add them up, and cut after each row whose pen state is "lifted". */
export function addSteps(table) {
  const strokes = [];
  let stroke = [];
  let [x, y] = [0, 0];
  for (const row of table) {
    if (row.length === 5 && row[4] === 1) break;
    x += row[0];
    y += row[1];
    stroke.push([x, y]);
    if (row[row.length === 5 ? 3 : 2] === 1) {
      strokes.push(stroke);
      stroke = [];
    }
  }
  return [...strokes, stroke].filter((points) => points.length);
}

/** How far the first two values of all rows lie apart at most. */
function extent(rows) {
  let [low, high] = [Infinity, -Infinity];
  for (const [x, y] of rows) {
    low = Math.min(low, x, y);
    high = Math.max(high, x, y);
  }
  return high - low;
}

function increases(values) {
  return values.every((value, index) => index === 0 || value >= values[index - 1]);
}
