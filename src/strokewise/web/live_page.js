/** The page that thinks while you draw: puts the sheet, the network, the maps and the panel together. */

import { PictureError } from "./errors.js";
import { exampleStrokes, examplePaths, pathElement } from "./live_examples.js";
import { LayerMaps, drawPicture, makePalette } from "./live_maps.js";
import { Pad } from "./live_pad.js";
import { element, formatNumber, placeName, stepElements } from "./live_panel.js";
import { explainValue, receptiveBox, strongestInput, valueAt } from "./live_sums.js";
import { bestLabel, snapThought, think } from "./live_thinking.js";
import { buildModel, unpackSnapshot } from "./live_weights.js";
import { OTHER } from "./recogniser.js";

const FRAME_BUDGET_MS = 9; // of thinking in a frame: the rest is for drawing, at 30 frames a second or more
const EXAMPLE_FRAMES = 24; // in which an example is drawn
const FEEDBACK_PATH = "feedback"; // beside the page, on a server that collects
const find = (selector) => document.querySelector(selector);

/** What the page knows; in the browser's console it is `strokewise`. */
const live = {
  models: new Map(), // by share of the training
  model: null, // that is shown
  thought: null, // see live_thinking.js
  selected: null, // the place whose sum is shown
  version: 0, // of the drawing
  thoughtVersion: -1, // of the drawing that was thought of last
  thoughts: 0, // since the page was opened
  explain: (place) => explainValue(live.model, live.thought, place),
};
const page = JSON.parse(find("#page-data").textContent);
const sheet = new Pad(find("#pad"), (isFinished) => changed(isFinished));
const views = [];
let palette = makePalette();
let running = null; // the thought that is being made: {steps, version}
let frame = 0; // that is asked for
let snapped = -1; // version of the drawing whose outline has been sought
let isPinned = false;
let example = 0; // counts the examples: a newer one ends the animation of an older

function changed(isFinished) {
  live.version++;
  showNote("", null);
  if (isFinished) snapped = -1;
  schedule();
}

function schedule() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    sheet.draw();
    if (work(FRAME_BUDGET_MS)) schedule();
  });
}

/** Think for a while; whether there is more to do. A drawing that changes meanwhile is thought of next, as it is then. */
function work(budget) {
  const end = performance.now() + budget;
  if (!running && live.version !== live.thoughtVersion) {
    running = { steps: think(live.model, sheet.strokes.map((stroke) => [...stroke])), version: live.version };
  }
  try {
    while (running) {
      const { done, value } = running.steps.next();
      if (done) {
        live.thoughtVersion = running.version;
        running = null;
        showThought(value);
        return true;
      }
      if (performance.now() >= end) return true;
    }
  } catch (error) {
    live.thoughtVersion = running?.version ?? live.version;
    running = null;
    if (!(error instanceof PictureError)) throw error;
    showThought(null);
    return live.version !== live.thoughtVersion;
  }
  if (!sheet.isDrawing && live.thought && snapped !== live.version) {
    snapped = live.version;
    showOutline(snapThought(live.model, live.thought));
  }
  return false;
}

// --- what is shown

function showThought(thought) {
  live.thought = thought;
  live.thoughts++;
  document.body.classList.toggle("empty", !thought);
  if (!thought) {
    find("#answer").textContent = sheet.strokes.length ? "draw on" : "draw something";
    announce("nothing to be seen yet");
    return;
  }
  const best = bestLabel(thought.scores);
  find("#answer").textContent = `${live.model.shapes[best]}, ${percent(thought.scores[best])}`;
  const logits = thought.outputs.at(-1).values;
  live.model.shapes.forEach((shape, label) => {
    const row = find("#scores tbody").rows[label];
    row.classList.toggle("best", label === best);
    row.querySelector(".bar").style.setProperty("--share", `${100 * thought.scores[label]}%`);
    for (const [name, value, text] of [
      ["prediction", thought.scores[label], percent(thought.scores[label])],
      ["upright", thought.upright[label], percent(thought.upright[label])],
      ["logit", logits[label], formatNumber(logits[label])],
    ]) {
      const data = row.querySelector(`data.${name}`);
      data.value = value;
      data.textContent = text;
    }
  });
  drawPicture(find("#seen"), thought.picture, live.model.image_size, palette);
  for (const { maps, at } of views) maps.draw(thought.outputs[at].values, palette);
  if (live.selected) showSum();
}

function showOutline(found) {
  const isFound = typeof found !== "string";
  sheet.outline = isFound ? found.path : null;
  sheet.draw();
  const note = isFound ? `Its clean outline (${found.variant}) is drawn over your ink.` : `No clean outline: ${found}.`;
  showNote(note, sheet.outline);
  const best = bestLabel(live.thought.scores);
  announce(`${live.model.shapes[best]}, ${percent(live.thought.scores[best])}. ${note}`);
}

function showNote(text, path) {
  find("#outline-note").textContent = text;
  find("#outline-note").dataset.path = path ?? "";
}

function announce(text) {
  if (find("#status").textContent !== text) find("#status").textContent = text;
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

// --- the sum behind a value

/** A value that is pressed is held until another is, or the same again; what the mouse passes over is not. */
function select(place, manner = "keyboard") {
  if (!live.thought || (isPinned && manner === "hover")) return;
  const isSame = live.selected && ["at", "channel", "row", "column"].every((key) => live.selected[key] === place[key]);
  if (isSame && manner === "hover") return;
  isPinned = manner === "press" ? !(isSame && isPinned) : manner === "keyboard";
  find("#sum").hidden = false;
  live.selected = place;
  showSum();
}

function showSum() {
  const { thought, model, selected } = live;
  const { layer } = thought.outputs[selected.at];
  const steps = explainValue(model, thought, selected);
  const [first] = steps;
  const sum = find("#sum");
  Object.assign(sum.dataset, { ...selected, layer: layer.name, value: steps.at(-1).value });
  sum.classList.toggle("pinned", isPinned);
  const value = valueAt(model, thought, selected);
  find("#sum-title").textContent = `${placeName(layer, selected)}${shapeNote(selected)} = ${formatNumber(value, 4)}`;
  const before = first.place.at - 1;
  const inputName = (channel) => {
    if (before < 0) return "the picture";
    const [, height, width] = thought.outputs[before].layer.output_size;
    return `${height * width > 1 ? "map" : "number"} ${channel + 1}`;
  };
  const openDetails = Boolean(sum.querySelector("details[open]"));
  find("#sum-steps").replaceChildren(...stepElements(steps, model.activation, inputName), ...softmaxElements(selected));
  for (const details of sum.querySelectorAll("details")) details.open = openDetails;
  const box = receptiveBox(model, thought, selected);
  const [top, left, bottom, right] = box;
  find("#sum-field").textContent = `sees rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1} of the picture`;
  for (const frame of document.querySelectorAll(".field")) placeField(frame, box, model.image_size);
  drawPicture(find("#sum-picture"), thought.picture, model.image_size, palette);
  live.source = strongestInput(first);
  find("#follow").disabled = !live.source || live.source.at < 0;
  markMaps(selected, steps);
}

function closeSum() {
  isPinned = false;
  live.selected = null;
  find("#sum").hidden = true;
  for (const frame of document.querySelectorAll(".field")) frame.hidden = true;
  for (const { maps, overlay } of views) maps.mark(overlay, []);
}

/** What follows the logits: the softmax, and the looks of a prediction. */
function softmaxElements({ at, channel }) {
  const { thought, model } = live;
  if (at !== thought.outputs.length - 1) return [];
  const looks = thought.looks.map((look) => formatNumber(look[channel], 4));
  const angles = model.tta_angles.map((degrees) => `${formatNumber(degrees, 1)}°`).join(" and ");
  return [
    element("li", {}, element("p", {}, element("b", {}, "softmax"), `: e to this score, over the sum of e to all scores: ${formatNumber(thought.upright[channel], 4)} for the picture as it lies`)),
    element("li", {}, element("p", {}, element("b", {}, "prediction"), `: the mean of ${looks.join(" and ")}, for the picture turned by ${angles}, is ${formatNumber(thought.scores[channel], 4)}`)),
  ];
}

function shapeNote({ at, channel }) {
  return at === live.thought.outputs.length - 1 ? ` (${live.model.shapes[channel]})` : "";
}

function placeField(frame, [top, left, bottom, right], side) {
  frame.hidden = false;
  const share = (pixels) => `${(100 * pixels) / side}%`;
  const sides = { top: share(top), left: share(left), height: share(bottom - top), width: share(right - left) };
  for (const [name, value] of Object.entries(sides)) frame.style.setProperty(name, value);
}

/** Frame the value, the values that it was made of in its block, and the patch that the filter lies on. */
function markMaps(selected, steps) {
  const boxes = new Map([[selected.at, [{ ...selected, top: selected.row, left: selected.column, height: 1, width: 1 }]]]);
  for (const { kind, place, parts, side, source } of steps) {
    const { channel, row, column } = place;
    if (place.at !== selected.at) boxes.set(place.at, [{ channel, top: row, left: column, height: 1, width: 1 }]);
    if (kind === "pooling") {
      boxes.set(place.at - 1, [{ channel, top: row * side, left: column * side, height: side, width: side }]);
    }
    if (source) boxes.set(source.at, [{ ...source, top: source.row, left: source.column, height: 1, width: 1 }]);
    if (parts && place.at > 0) {
      boxes.set(place.at - 1, parts.map(({ channel: from, top, left, side: size }) => ({ channel: from, top, left, height: size, width: size })));
    }
  }
  for (const { maps, overlay, at } of views) {
    maps.selected = at === selected.at ? selected : null;
    maps.mark(overlay, boxes.get(at) ?? []);
  }
}

// --- examples, the training, corrections

async function drawExample(shape, variant, isAnimated) {
  const number = ++example;
  const paths = examplePaths(live.model, shape);
  const strokes = exampleStrokes(paths[variant % paths.length]);
  const total = strokes.reduce((sum, stroke) => sum + stroke.length, 0);
  sheet.setStrokes([]);
  if (isAnimated && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (let shown = 0; shown < total; shown += Math.ceil(total / EXAMPLE_FRAMES)) {
      let left = shown + 1;
      sheet.strokes = strokes.map((stroke) => stroke.slice(0, Math.max((left -= stroke.length) + stroke.length, 0))).filter((stroke) => stroke.length);
      changed(false);
      await new Promise(requestAnimationFrame);
      if (number !== example || sheet.isDrawing) return;
    }
  }
  sheet.setStrokes(strokes);
}

function buildExamples() {
  for (const shape of live.model.shapes) {
    let variant = 0;
    const button = element("button", { type: "button", "aria-label": `draw an example: ${shape}`, "data-shape": shape });
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = pathElement(examplePaths(live.model, shape)[0]);
    picture.append(path);
    button.append(picture, shape);
    button.addEventListener("click", () => drawExample(shape, variant++, true));
    find("#examples").append(button);
    const { x, y, width, height } = path.getBBox();
    const side = Math.max(width, height) * 1.15;
    picture.setAttribute("viewBox", `${x + (width - side) / 2} ${y + (height - side) / 2} ${side} ${side}`);
    path.setAttribute("stroke-width", side / 16);
  }
}

async function loadSnapshots() {
  const range = find("#training");
  if (!range) return;
  if (document.readyState === "loading") await new Promise((done) => addEventListener("DOMContentLoaded", done));
  let before = null;
  for (const script of document.querySelectorAll("script.snapshot")) {
    const bits = await unpackSnapshot(script.textContent, script.dataset.delta ? before : null);
    before = bits;
    live.models.set(Number(script.dataset.share), buildModel(page.description, page.tensors, bits));
  }
  range.disabled = false;
  range.addEventListener("input", () => showMoment(page.shares[Number(range.value)]));
}

function showMoment(share) {
  live.model = live.models.get(share);
  running = null;
  const text = share === 1 ? "after the whole training" : share ? `after ${100 * share} % of the training` : "before the training: random weights";
  find("#moment").textContent = text;
  find("#training").setAttribute("aria-valuetext", text);
  showFilters();
  changed(true);
}

/** The numbers of the line filters. */
function showFilters() {
  const { weights, network } = live.model;
  const { layer } = network[0];
  const area = layer.kernel_size ** 2;
  document.querySelectorAll("#filters .filter").forEach((filter, channel) => {
    filter.querySelectorAll("td").forEach((cell, at) => {
      const value = weights[`${layer.name}.weight`][channel * area + at];
      cell.textContent = formatNumber(value);
      cell.className = value < 0 ? "below" : "above";
      cell.style.setProperty("--share", `${Math.min(45, Math.round(45 * Math.abs(value)))}%`);
    });
    const bias = weights[`${layer.name}.bias`]?.[channel] ?? 0;
    filter.querySelector(".note").textContent = `bias ${formatNumber(bias)}`;
  });
}

function acceptCorrections() {
  const form = find("#correction");
  if (!form) return;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const reply = find("#correction-reply");
    if (!live.thought) {
      reply.textContent = "Draw something first.";
      return;
    }
    const body = JSON.stringify({ shape: form.elements.shape.value, strokes: sheet.strokes });
    try {
      const response = await fetch(FEEDBACK_PATH, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const answer = await response.json();
      reply.textContent = response.ok ? `Kept, with ${answer.kept - 1} others.` : answer.message;
    } catch {
      reply.textContent = "The server does not answer; the drawing was not kept.";
    }
  });
}

function buildMaps() {
  for (const canvas of document.querySelectorAll("canvas.maps")) {
    const at = Number(canvas.dataset.layer);
    const maps = new LayerMaps(canvas, at, live.model.network[at].layer, select);
    views.push({ maps, at, overlay: canvas.nextElementSibling });
  }
  arrangeMaps();
  document.querySelectorAll("#scores tbody button").forEach((button, channel) => {
    button.addEventListener("click", () => select({ at: live.model.network.length - 1, channel, row: 0, column: 0 }));
  });
}

/** All widths are read before any is changed: else the browser would lay out the page once for each layer. */
function arrangeMaps() {
  const rooms = views.map(({ maps }) => maps.room);
  views.forEach(({ maps }, index) => maps.arrange(rooms[index]));
}

function listen() {
  find("#undo").addEventListener("click", () => sheet.undo());
  find("#clear").addEventListener("click", () => sheet.clear());
  find("#follow").addEventListener("click", () => select(live.source));
  find("#close").addEventListener("click", closeSum);
  addEventListener("keydown", (event) => event.key === "Escape" && closeSum());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar comes and goes
    width = innerWidth;
    arrangeMaps();
    repaint();
  });
}

function repaint() {
  palette = makePalette();
  sheet.draw();
  if (live.thought) showThought(live.thought);
}

async function start() {
  const bits = await unpackSnapshot(find("#weights").textContent, null);
  live.model = buildModel(page.description, page.tensors, bits);
  live.models.set(1, live.model);
  buildMaps();
  showFilters();
  listen();
  await drawExample(live.model.shapes.findLast((shape) => shape !== OTHER), 0, false);
  while (live.thoughtVersion !== live.version) work(Infinity);
  document.documentElement.dataset.firstAnswer = Math.round(performance.now()); // ms after opening
  buildExamples();
  acceptCorrections();
  window.strokewise = live;
  await loadSnapshots();
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  find("#answer").textContent = `The page cannot run in this browser: ${error.message}`;
  throw error;
});
