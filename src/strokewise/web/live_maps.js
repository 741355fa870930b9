/**
 * All maps of a layer on one canvas, on one scale: above zero, zero and below it in the three colours of the page.
 *
 * Any value can be pointed at, tapped, or reached with the arrow keys (Page Up and Page Down: the same place of the map
 * before or after).
 */

const MAP_WIDTHS = { 64: 128, 32: 96, 16: 64, 8: 48, 4: 32, 2: 24 }; // units a map is shown wide, by its side
const NARROW = 640; // units of room: with less, maps are shown smaller
const NARROW_SHARE = 0.72;
const VECTOR_COLUMNS = 32;
const VALUE_WIDTH = 11; // units a number of a vector is shown wide
const LINE_COLUMNS = 4; // of the line filters, so that the four lines are the first row
const MOVES = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0] };

/** 511 colours, from full rust (below zero) through the page's ground to full ink, as RGBA words for ImageData. */
export function makePalette() {
  const colour = (name) => {
    const context = document.createElement("canvas").getContext("2d");
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  };
  const [below, zero, above] = ["--mark", "--ground", "--bar"].map(colour);
  return Uint32Array.from({ length: 511 }, (_, index) => {
    const share = Math.abs(index - 255) / 255;
    const end = index < 255 ? below : above;
    const [red, green, blue] = [0, 1, 2].map((part) => Math.round(zero[part] + share * (end[part] - zero[part])));
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

/** Draw values (height, width) into a Uint32 image at a place; `limit` is full ink. */
function paintMap(image, imageWidth, values, start, [height, width], [top, left], palette, limit) {
  const factor = limit > 0 ? 255 / limit : 0;
  for (let row = 0, from = start; row < height; row++) {
    let to = (top + row) * imageWidth + left;
    for (let column = 0; column < width; column++) {
      image[to++] = palette[255 + Math.max(-255, Math.min(255, Math.round(values[from++] * factor)))];
    }
  }
}

/** Show one map (side·side), of values in [-1, 1], on a canvas. */
export function drawPicture(canvas, values, side, palette) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  paintMap(new Uint32Array(image.data.buffer), side, values, 0, [side, side], [0, 0], palette, 1);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/**
 * The maps of one layer. `onSelect(place, manner)` is called with a place of live_sums.js, and with "hover" or
 * "press" where a pointer chose it, or the keyboard without one.
 */
export class LayerMaps {
  constructor(canvas, at, layer, onSelect) {
    [this.channels, this.height, this.width] = layer.output_size;
    this.canvas = canvas;
    this.at = at;
    this.onSelect = onSelect;
    this.gap = this.height * this.width > 1 ? 1 : 0;
    this.isLines = layer.block === "lines";
    this.values = null;
    this.selected = null;
    canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.#point(event, "hover"));
    canvas.addEventListener("pointerup", (event) => this.#point(event, "press")); // a finger that scrolls has none
    canvas.addEventListener("keydown", (event) => this.#press(event));
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible")) this.onSelect(this.selected ?? this.#strongest());
    });
  }

  /** How wide the maps may be together. */
  get room() {
    return this.canvas.parentElement.clientWidth || 320;
  }

  /** Choose how many maps stand side by side in the width that there is. */
  arrange(room) {
    const side = Math.max(this.height, this.width);
    const full = this.gap ? (MAP_WIDTHS[side] ?? Math.max(24, Math.min(128, side * 3))) : VALUE_WIDTH;
    const wide = room < NARROW && this.gap ? full * NARROW_SHARE : full;
    const most = this.isLines ? LINE_COLUMNS : this.gap ? this.channels : VECTOR_COLUMNS;
    const pixel = (this.isLines ? Math.min(wide * 1.6, room / LINE_COLUMNS) : wide) / (this.width + this.gap);
    this.columns = Math.max(1, Math.min(most, this.channels, Math.floor(room / (pixel * (this.width + this.gap)))));
    this.rows = Math.ceil(this.channels / this.columns);
    if (this.gap && !this.isLines) this.columns = Math.ceil(this.channels / this.rows); // no nearly empty last row
    this.canvas.width = this.columns * (this.width + this.gap) - this.gap;
    this.canvas.height = this.rows * (this.height + this.gap) - this.gap;
    this.canvas.style.width = `${Math.floor(this.canvas.width * pixel)}px`;
  }

  draw(values, palette) {
    this.values = values;
    const { canvas } = this;
    const area = this.height * this.width;
    const image = new ImageData(canvas.width, canvas.height);
    const words = new Uint32Array(image.data.buffer);
    let limit = 0;
    for (const value of values) limit = Math.max(limit, Math.abs(value));
    for (let channel = 0; channel < this.channels; channel++) {
      paintMap(words, canvas.width, values, channel * area, [this.height, this.width], this.#corner(channel), palette, limit);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** Frame squares of maps: `boxes` are {channel, top, left, height, width}; none clears them. */
  mark(overlay, boxes) {
    const { canvas } = this;
    const scale = canvas.clientWidth / canvas.width;
    overlay.width = Math.round(canvas.clientWidth);
    overlay.height = Math.round(canvas.clientHeight);
    const context = overlay.getContext("2d");
    context.strokeStyle = getComputedStyle(canvas).getPropertyValue("--mark");
    context.lineWidth = 1.5;
    for (const { channel, top, left, height, width } of boxes) {
      const [y, x] = this.#corner(channel);
      context.strokeRect((x + left) * scale - 0.75, (y + top) * scale - 0.75, width * scale + 1.5, height * scale + 1.5);
    }
  }

  #corner(channel) {
    const column = channel % this.columns;
    return [((channel - column) / this.columns) * (this.height + this.gap), column * (this.width + this.gap)];
  }

  #point(event, manner) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.canvas.width;
    const y = ((event.clientY - box.top) / box.height) * this.canvas.height;
    const [mapColumn, mapRow] = [Math.floor(x / (this.width + this.gap)), Math.floor(y / (this.height + this.gap))];
    const channel = mapRow * this.columns + mapColumn;
    const row = Math.min(Math.floor(y % (this.height + this.gap)), this.height - 1); // a gap belongs to the map before
    const column = Math.min(Math.floor(x % (this.width + this.gap)), this.width - 1);
    if (mapColumn >= 0 && mapColumn < this.columns && channel >= 0 && channel < this.channels) this.onSelect({ at: this.at, channel, row, column }, manner);
  }

  #press(event) {
    const here = this.selected ?? this.#strongest();
    let [channel, row, column] = [here.channel, here.row, here.column];
    if (event.key === "PageUp" || event.key === "PageDown") {
      channel += event.key === "PageDown" ? 1 : -1;
    } else if (MOVES[event.key]) {
      const [, down, right] = MOVES[event.key];
      if (this.gap) [row, column] = [row + down, column + right];
      else channel += down * this.columns + right;
    } else {
      return;
    }
    event.preventDefault();
    const clamp = (value, count) => Math.min(Math.max(value, 0), count - 1);
    channel = clamp(channel, this.channels);
    [row, column] = [clamp(row, this.height), clamp(column, this.width)];
    this.onSelect({ at: this.at, channel, row, column });
  }

  /** The place of the value that is furthest from zero. */
  #strongest() {
    let best = 0;
    (this.values ?? []).forEach((value, index) => {
      if (Math.abs(value) > Math.abs(this.values[best])) best = index;
    });
    const column = best % this.width;
    const row = Math.floor(best / this.width) % this.height;
    return { at: this.at, channel: Math.floor(best / (this.height * this.width)), row, column };
  }
}
