/**
 * The sheet to draw on: mouse, pen, touch and keyboard → strokes [[[x, y], …], …] on a square of PAD_SIDE units.
 *
 * With the keyboard, arrows move the pen (Shift: finely), Space lowers and lifts it.
 */

export const PAD_SIDE = 400;
const PEN_WIDTH_SHARE = 0.022; // of the sheet: how wide ink is shown, whatever the network makes of it
const KEY_STEP = 12; // units an arrow key moves the pen
const FINE_STEP = 3;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** `onChange(isFinished)`: called when the drawing has changed; `isFinished` if no stroke is being drawn. */
export class Pad {
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.strokes = [];
    this.outline = null; // SVG path data over the ink
    this.pen = { x: PAD_SIDE / 2, y: PAD_SIDE / 2, isDown: false, isShown: false };
    this.pointer = null;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#end(event));
    canvas.addEventListener("keydown", (event) => this.#press(event));
    canvas.addEventListener("blur", () => this.#lift());
  }

  get isDrawing() {
    return this.pointer !== null || this.pen.isDown;
  }

  /** Replace the drawing. */
  setStrokes(strokes) {
    this.strokes = strokes;
    this.outline = null;
    this.onChange(true);
  }

  undo() {
    this.pen.isDown = false;
    this.setStrokes(this.strokes.slice(0, -1));
  }

  clear() {
    this.pen.isDown = false;
    this.setStrokes([]);
  }

  /** Show the drawing, in the colours of the style sheet. */
  draw() {
    const { canvas } = this;
    const pixels = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)) || PAD_SIDE;
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.setTransform(pixels / PAD_SIDE, 0, 0, pixels / PAD_SIDE, 0, 0);
    context.clearRect(0, 0, PAD_SIDE, PAD_SIDE);
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = PAD_SIDE * PEN_WIDTH_SHARE;
    context.strokeStyle = style.getPropertyValue("--ink");
    context.globalAlpha = this.outline ? 0.35 : 1;
    for (const stroke of this.strokes) {
      context.beginPath();
      stroke.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (stroke.length === 1) context.lineTo(...stroke[0]);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.strokeStyle = style.getPropertyValue("--mark");
    if (this.outline) {
      context.lineWidth = PAD_SIDE * PEN_WIDTH_SHARE * 0.6;
      context.stroke(new Path2D(this.outline));
    }
    if (this.pen.isShown) {
      context.lineWidth = 2;
      context.beginPath();
      context.arc(this.pen.x, this.pen.y, this.pen.isDown ? 4 : 8, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return [x, y].map((share) => Math.round(share * PAD_SIDE * 10) / 10);
  }

  #begin(event) {
    if (this.isDrawing || event.button > 0) return; // a second finger, another button
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.pen.isShown = false;
    this.outline = null;
    this.strokes = [...this.strokes, [this.#place(event)]];
    this.onChange(false);
  }

  #move(event) {
    if (event.pointerId !== this.pointer) return;
    const stroke = this.strokes.at(-1);
    const events = event.getCoalescedEvents?.() ?? [];
    for (const part of events.length ? events : [event]) stroke.push(this.#place(part));
    this.onChange(false);
  }

  #end(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    this.onChange(true);
  }

  #press(event) {
    const { pen } = this;
    const direction = ARROWS[event.key];
    if (event.key === " ") {
      pen.isShown = true;
      this.outline = null;
      pen.isDown = !pen.isDown;
      if (pen.isDown) this.strokes = [...this.strokes, [[pen.x, pen.y]]];
      this.onChange(!pen.isDown);
    } else if (direction) {
      pen.isShown = true;
      const step = event.shiftKey ? FINE_STEP : KEY_STEP;
      pen.x = Math.min(Math.max(pen.x + step * direction[0], 0), PAD_SIDE);
      pen.y = Math.min(Math.max(pen.y + step * direction[1], 0), PAD_SIDE);
      if (pen.isDown) this.strokes.at(-1).push([pen.x, pen.y]);
      this.onChange(!pen.isDown);
    } else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
      this.undo();
    } else if (event.key === "Delete") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
  }

  #lift() {
    this.pen.isShown = false;
    if (this.pen.isDown) {
      this.pen.isDown = false;
      this.onChange(true);
    } else {
      this.draw();
    }
  }
}
