/**
 * What OpenCV does to images, as far as preprocessing needs it. An image is {width, height, data}: one byte a pixel, row
 * by row. A box is {left, top, right, bottom} in pixels, right and bottom exclusive.
 */

/** An image of `width`×`height`, all zeros unless `data` is given. */
export function makeImage(width, height, data = new Uint8Array(width * height)) {
  return { width, height, data };
}

/** The image with every value replaced by that of a table of 256. */
export function applyTable(image, table) {
  const { data } = image;
  const result = new Uint8Array(data.length);
  for (let at = 0; at < data.length; at++) result[at] = table[data[at]];
  return makeImage(image.width, image.height, result);
}

/** 255 where the image exceeds a threshold, else 0. */
export function threshold(image, limit) {
  return applyTable(image, Uint8Array.from({ length: 256 }, (_, level) => (level > limit ? 255 : 0)));
}

/** How many pixels are not 0. */
export function countNonZero(image) {
  let count = 0;
  for (const value of image.data) if (value) count++;
  return count;
}

/** How many pixels have each of the 256 levels. */
export function histogram(data) {
  const counts = new Uint32Array(256);
  for (let at = 0; at < data.length; at++) counts[data[at]]++;
  return counts;
}

/** The part of an image within a box. */
export function crop(image, { left, top, right, bottom }) {
  const part = makeImage(right - left, bottom - top);
  for (let y = top; y < bottom; y++) {
    part.data.set(image.data.subarray(y * image.width + left, y * image.width + right), (y - top) * part.width);
  }
  return part;
}

/** The image in the middle of one with `border` more pixels on every side; `value` fills them, null repeats the edge. */
export function addBorder(image, border, value = 0) {
  const { width, height, data } = image;
  const result = makeImage(width + 2 * border, height + 2 * border);
  if (value) result.data.fill(value);
  for (let y = 0; y < result.height; y++) {
    const from = value === null ? clamp(y - border, 0, height - 1) : y - border;
    if (from < 0 || from >= height) continue;
    const row = result.data.subarray(y * result.width, (y + 1) * result.width);
    row.set(data.subarray(from * width, (from + 1) * width), border);
    if (value === null) {
      row.fill(row[border], 0, border);
      row.fill(row[border + width - 1], border + width);
    }
  }
  return result;
}

/** The box of all pixels that are not 0; empty where there are none. */
export function boundingBox(image) {
  const { width, height, data } = image;
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width);
    let first = 0;
    while (first < width && !row[first]) first++;
    if (first === width) continue;
    let last = width - 1;
    while (!row[last]) last--;
    box.left = Math.min(box.left, first);
    box.right = Math.max(box.right, last + 1);
    box.top = Math.min(box.top, y);
    box.bottom = y + 1;
  }
  return box.bottom ? box : { left: 0, top: 0, right: 0, bottom: 0 };
}

/** Shrink an image: each pixel is the mean of the area that it covers. */
export function resizeArea(image, width, height) {
  if (width === image.width && height === image.height) return image;
  const columns = areaWeights(image.width, width);
  const rows = areaWeights(image.height, height);
  const result = makeImage(width, height);
  const line = new Float64Array(image.width);
  for (let y = 0; y < height; y++) {
    line.fill(0);
    for (const [from, weight] of rows[y]) {
      const start = from * image.width;
      for (let x = 0; x < image.width; x++) line[x] += weight * image.data[start + x];
    }
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const [from, weight] of columns[x]) sum += weight * line[from];
      result.data[y * width + x] = Math.round(sum);
    }
  }
  return result;
}

/** For each of `count` parts of a line of `size` pixels: [pixel, share] of all that it covers. */
function areaWeights(size, count) {
  const scale = size / count;
  return Array.from({ length: count }, (_, part) => {
    const [start, end] = [part * scale, (part + 1) * scale];
    const shares = [];
    for (let at = Math.floor(start); at < Math.min(end, size); at++) {
      const covered = Math.min(end, at + 1) - Math.max(start, at);
      if (covered > 1e-6) shares.push([at, covered / scale]);
    }
    return shares;
  });
}

/** The image at half its size, which must be even: each pixel is the mean of four. */
export function halve(image) {
  const { width, data } = image;
  const result = makeImage(width / 2, image.height / 2);
  for (let y = 0, at = 0; y < result.height; y++) {
    for (let x = 0, from = 2 * y * width; x < result.width; x++, from += 2) {
      result.data[at++] = (data[from] + data[from + 1] + data[from + width] + data[from + width + 1] + 2) >> 2;
    }
  }
  return result;
}

/** The largest value around each pixel, `radius` pixels either way: in a square. */
export function dilateSquare(image, radius) {
  return transpose(dilateRows(transpose(dilateRows(image, radius)), radius));
}

function dilateRows(image, radius) {
  const { width, height, data } = image;
  const result = makeImage(width, height, data.slice());
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width);
    const wide = result.data.subarray(y * width, (y + 1) * width);
    for (let shift = 1; shift <= radius; shift++) {
      for (let x = shift; x < width; x++) {
        if (row[x - shift] > wide[x]) wide[x] = row[x - shift];
        if (row[x] > wide[x - shift]) wide[x - shift] = row[x];
      }
    }
  }
  return result;
}

/** The image with x and y exchanged. */
export function transpose(image) {
  const { width, height, data } = image;
  const result = makeImage(height, width);
  for (let y = 0, at = 0; y < height; y++) for (let x = 0; x < width; x++) result.data[x * height + y] = data[at++];
  return result;
}

/** The largest value of each pixel and its four neighbours. */
export function dilateCross(image) {
  const { width, height, data } = image;
  const result = makeImage(width, height, data.slice());
  const wide = result.data;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      let most = data[at];
      if (x > 0 && data[at - 1] > most) most = data[at - 1];
      if (x + 1 < width && data[at + 1] > most) most = data[at + 1];
      if (y > 0 && data[at - width] > most) most = data[at - width];
      if (y + 1 < height && data[at + width] > most) most = data[at + width];
      wide[at] = most;
    }
  }
  return result;
}

/** Opened by an ellipse in a square of `side` pixels: what is narrower falls off. The image's border must be wider. */
export function openEllipse(image, side) {
  const radius = side >> 1;
  const offsets = [];
  for (let y = 0; y < side; y++) {
    const dy = y - radius;
    const reach = Math.round(radius * Math.sqrt((radius * radius - dy * dy) / (radius * radius)));
    for (let x = Math.max(radius - reach, 0); x < Math.min(radius + reach + 1, side); x++) {
      offsets.push(dy * image.width + x - radius);
    }
  }
  const pass = (source, isErosion) => {
    const result = makeImage(image.width, image.height);
    for (let y = radius; y < image.height - radius; y++) {
      for (let x = radius; x < image.width - radius; x++) {
        const at = y * image.width + x;
        const value = offsets[isErosion ? "every" : "some"]((offset) => source.data[at + offset] > 0);
        result.data[at] = value ? 255 : 0;
      }
    }
    return result;
  };
  return pass(pass(image, true), false);
}

/**
 * Number the areas of pixels that are not 0, diagonals included: {labels, areas}. `labels` has 0 for a bare pixel, 1 for
 * the first area and so on; `areas` is a list of {left, top, right, bottom, area}.
 */
export function connectedComponents(image) {
  const { width, height, data } = image;
  const labels = new Int32Array(width * height);
  const areas = [];
  const stack = [];
  for (let start = 0; start < data.length; start++) {
    if (!data[start] || labels[start]) continue;
    const box = { left: width, top: height, right: 0, bottom: 0, area: 0 };
    areas.push(box);
    labels[start] = areas.length;
    stack.push(start);
    while (stack.length) {
      const at = stack.pop();
      const y = Math.floor(at / width);
      const x = at - y * width;
      box.area++;
      if (x < box.left) box.left = x;
      if (x >= box.right) box.right = x + 1;
      if (y < box.top) box.top = y;
      if (y >= box.bottom) box.bottom = y + 1;
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column++) {
          const next = row * width + column;
          if (data[next] && !labels[next]) {
            labels[next] = areas.length;
            stack.push(next);
          }
        }
      }
    }
  }
  return { labels, areas };
}

/** 1 on all pixels that can be reached from one through pixels for which `isOpen(from, to)`, by four neighbours. */
export function floodFill(width, height, start, isOpen, mask = new Uint8Array(width * height), value = 1) {
  mask[start] = value;
  const stack = [start];
  const visit = (from, to) => {
    if (!mask[to] && isOpen(from, to)) {
      mask[to] = value;
      stack.push(to);
    }
  };
  while (stack.length) {
    const at = stack.pop();
    const x = at % width;
    if (x > 0) visit(at, at - 1);
    if (x + 1 < width) visit(at, at + 1);
    if (at >= width) visit(at, at - width);
    if (at + width < width * height) visit(at, at + width);
  }
  return mask;
}

/** An image of 0 and 255 with its holes filled. */
export function fillHoles(image) {
  const framed = addBorder(image, 1);
  const outside = floodFill(framed.width, framed.height, 0, (_, to) => !framed.data[to]);
  const filled = makeImage(framed.width, framed.height, outside.map((isOutside) => (isOutside ? 0 : 255)));
  return crop(filled, { left: 1, top: 1, right: image.width + 1, bottom: image.height + 1 });
}

/** The corners [[x, y], …] of the convex hull of points, in their order. */
export function convexHull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (ordered) => {
    const chain = [];
    for (const point of ordered) {
      while (chain.length > 1 && turn(chain.at(-2), chain.at(-1), point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return sorted.length < 3 ? sorted : [...half(sorted), ...half(sorted.reverse())];
}

/** Twice the area of a triangle, positive where it turns from x to y. */
function turn(a, b, c) {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

/**
 * A square image of `side` pixels whose pixel (x, y) is that of `image` at the place from which an affine map
 * [[a, b, c], [d, e, f]] leads to (x, y), interpolated; 0 beyond the image.
 */
export function warpAffine(image, [[a, b, c], [d, e, f]], side) {
  const { width, height } = image;
  const determinant = a * e - b * d;
  const [ia, ib, id, ie] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
  const result = makeImage(side, side);
  const framed = addBorder(image, 1);
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++, at++) {
      const px = ia * (x - c) + ib * (y - f);
      const py = id * (x - c) + ie * (y - f);
      if (px <= -1 || py <= -1 || px >= width || py >= height) continue;
      const left = Math.floor(px);
      const top = Math.floor(py);
      const from = (top + 1) * framed.width + left + 1;
      const right = px - left;
      const below = py - top;
      const upper = framed.data[from] * (1 - right) + framed.data[from + 1] * right;
      const lower = framed.data[from + framed.width] * (1 - right) + framed.data[from + framed.width + 1] * right;
      result.data[at] = upper * (1 - below) + lower * below + 0.5;
    }
  }
  return result;
}

/** The value within [low, high] that is nearest. */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
