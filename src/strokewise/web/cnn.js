/**
 * The CNN, built from the description of its layers that Python's `model/layers.py` gives.
 *
 *     line filters → blocks of convolution, pooling, normalisation, activation → flatten → fully connected
 *
 * A layer's output is a Float32Array (channels, N, height·width) for N looks: all looks of a channel lie together, so
 * that a convolution of all of them is one product of matrices.
 */

const NORM_EPSILON = 1e-5; // of torch's normalisations
const LEAKY_SLOPE = 0.01; // of torch's leaky ReLU
const TILE = 4; // maps and places that are summed up together

const ACTIVATIONS = {
  relu: (x) => (x > 0 ? x : 0),
  leaky_relu: (x) => (x > 0 ? x : LEAKY_SLOPE * x),
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  silu: (x) => x / (1 + Math.exp(-x)),
};

/**
 * The layers as a list of {layer, forward}: forward(values, N) → values.
 *
 * `description`: `layers`, `activation`, `pooling`, `normalisation`, as in a model file. `weights`: Float32Arrays by name.
 */
export function buildLayers(description, weights) {
  return description.layers.map((layer) => ({ layer, forward: buildLayer(layer, description, weights) }));
}

function buildLayer(layer, { activation, pooling, normalisation }, weights) {
  const part = (name) => weights[`${layer.name}.${name}`];
  switch (layer.kind) {
    case "convolution":
      return convolution(layer, part("weight"), part("bias"));
    case "pooling":
      return pool(layer, pooling === "max");
    case "normalisation": {
      if (normalisation === "group") return groupNorm(layer, part("weight"), part("bias"));
      return batchNorm(layer, part("weight"), part("bias"), part("running_mean"), part("running_var"));
    }
    case "activation":
      return (values) => values.map(ACTIVATIONS[activation]);
    case "flatten":
      return flatten(layer);
    default:
      return convolution(layer, part("weight"), part("bias")); // fully connected: its maps are 1×1
  }
}

/** Slide filters over maps: the places of all looks are the columns of a matrix, which the filters' matrix multiplies. */
function convolution(layer, weight, bias) {
  const [channels, height, width] = layer.output_size;
  const length = weight.length / channels;
  const filters = toTiles(weight, channels, length);
  let columns = new Float64Array(0); // kept from call to call: a large array takes long to make
  return (values, looks) => {
    const places = looks * height * width;
    const size = Math.ceil(places / TILE) * TILE * length;
    if (columns.length !== size) columns = new Float64Array(size);
    gatherPatches(layer, pad(layer, values, looks), looks, columns, length);
    return multiply(filters, columns, channels, length, places, bias ?? new Float32Array(channels));
  };
}

/** A matrix (rows, length) as tiles of `TILE` rows, each column by column; missing rows are 0. */
function toTiles(matrix, rows, length) {
  const tiles = new Float64Array(Math.ceil(rows / TILE) * TILE * length);
  for (let row = 0; row < rows; row++) {
    let to = (row - (row % TILE)) * length + (row % TILE);
    for (let from = row * length; from < (row + 1) * length; from++, to += TILE) tiles[to] = matrix[from];
  }
  return tiles;
}

/** The maps of a convolution's input with its padding around them, zeros. */
function pad({ input_size: [channels, height, width], padding }, values, looks) {
  if (!padding) return values;
  const padded = new Float32Array(channels * looks * (height + 2 * padding) * (width + 2 * padding));
  let to = padding * (width + 2 * padding) + padding;
  for (let map = 0, from = 0; map < channels * looks; map++) {
    for (let y = 0; y < height; y++, from += width, to += width + 2 * padding) {
      for (let x = 0; x < width; x++) padded[to + x] = values[from + x];
    }
    to += 2 * padding * (width + 2 * padding);
  }
  return padded;
}

/** The patch under the filter at every place of every look, as tiles of `TILE` places. */
function gatherPatches(layer, padded, looks, columns, length) {
  const kernel = layer.kernel_size;
  const stride = layer.stride;
  const width = layer.input_size[2] + 2 * layer.padding;
  const area = (layer.input_size[1] + 2 * layer.padding) * width;
  const outHeight = layer.output_size[1];
  const outWidth = layer.output_size[2];
  const offsets = new Int32Array(length); // of the values of a patch from its first
  for (let at = 0; at < length; at++) {
    const column = at % kernel;
    const row = ((at - column) / kernel) % kernel;
    offsets[at] = Math.floor(at / (kernel * kernel)) * looks * area + row * width + column;
  }
  let place = 0;
  for (let look = 0; look < looks; look++) {
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++, place++) {
        const start = look * area + y * stride * width + x * stride;
        let to = (place - (place % TILE)) * length + (place % TILE);
        for (let at = 0; at < length; at++, to += TILE) columns[to] = padded[start + offsets[at]];
      }
    }
  }
}

/**
 * Tiles of (rows, length) times tiles of (columns, length), plus a bias for each row: Float32Array (rows, columns).
 *
 * The products of four rows with four columns are written out: so each number is fetched once for four uses.
 */
function multiply(left, right, rows, length, columns, bias) {
  const result = new Float32Array(rows * columns);
  const sums = new Float64Array(TILE * TILE);
  for (let row = 0; row < rows; row += TILE) {
    for (let column = 0; column < columns; column += TILE) {
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
      const end = (row + TILE) * length;
      for (let at = row * length, to = column * length; at < end; at += TILE, to += TILE) {
        const b0 = right[to];
        const b1 = right[to + 1];
        const b2 = right[to + 2];
        const b3 = right[to + 3];
        let a = left[at];
        s00 += a * b0, s01 += a * b1, s02 += a * b2, s03 += a * b3;
        a = left[at + 1];
        s10 += a * b0, s11 += a * b1, s12 += a * b2, s13 += a * b3;
        a = left[at + 2];
        s20 += a * b0, s21 += a * b1, s22 += a * b2, s23 += a * b3;
        a = left[at + 3];
        s30 += a * b0, s31 += a * b1, s32 += a * b2, s33 += a * b3;
      }
      sums[0] = s00, sums[1] = s01, sums[2] = s02, sums[3] = s03;
      sums[4] = s10, sums[5] = s11, sums[6] = s12, sums[7] = s13;
      sums[8] = s20, sums[9] = s21, sums[10] = s22, sums[11] = s23;
      sums[12] = s30, sums[13] = s31, sums[14] = s32, sums[15] = s33;
      const rowEnd = Math.min(TILE, rows - row);
      const columnEnd = Math.min(TILE, columns - column);
      for (let i = 0; i < rowEnd; i++) {
        const to = (row + i) * columns + column;
        for (let j = 0; j < columnEnd; j++) result[to + j] = sums[i * TILE + j] + bias[row + i];
      }
    }
  }
  return result;
}

/** The largest or the mean of each square of values. */
function pool(layer, isMax) {
  const [channels, inHeight, inWidth] = layer.input_size;
  const [, outHeight, outWidth] = layer.output_size;
  const { kernel_size: kernel, stride } = layer;
  return (values, looks) => {
    const result = new Float32Array(channels * looks * outHeight * outWidth);
    let to = 0;
    for (let map = 0; map < channels * looks; map++) {
      for (let y = 0; y < outHeight; y++) {
        for (let x = 0; x < outWidth; x++) {
          const start = (map * inHeight + y * stride) * inWidth + x * stride;
          let value = isMax ? -Infinity : 0;
          for (let row = 0; row < kernel; row++) {
            for (let column = 0; column < kernel; column++) {
              const next = values[start + row * inWidth + column];
              value = isMax ? (next > value ? next : value) : value + next;
            }
          }
          result[to++] = isMax ? value : value / (kernel * kernel);
        }
      }
    }
    return result;
  };
}

function batchNorm(layer, weight, bias, mean, variance) {
  const scale = weight.map((value, channel) => value / Math.sqrt(variance[channel] + NORM_EPSILON));
  const shift = bias.map((value, channel) => value - mean[channel] * scale[channel]);
  return (values) => {
    const result = new Float32Array(values.length);
    const length = values.length / scale.length; // of all looks of a channel
    for (let channel = 0, at = 0; channel < scale.length; channel++) {
      for (const end = at + length; at < end; at++) result[at] = values[at] * scale[channel] + shift[channel];
    }
    return result;
  };
}

/** Each group of maps of a look gets mean 0 and deviation 1, then every map its own scale and shift. */
function groupNorm(layer, weight, bias) {
  const [channels, height, width] = layer.output_size;
  const area = height * width;
  const size = channels / layer.groups;
  return (values, looks) => {
    const result = new Float32Array(values.length);
    for (let group = 0; group < layer.groups; group++) {
      for (let look = 0; look < looks; look++) {
        let [sum, squares] = [0, 0];
        const maps = Array.from({ length: size }, (_, index) => ((group * size + index) * looks + look) * area);
        for (const start of maps) for (let at = start; at < start + area; at++) sum += values[at];
        const mean = sum / (size * area);
        for (const start of maps) for (let at = start; at < start + area; at++) squares += (values[at] - mean) ** 2;
        const inverse = 1 / Math.sqrt(squares / (size * area) + NORM_EPSILON);
        maps.forEach((start, index) => {
          const channel = group * size + index;
          for (let at = start; at < start + area; at++) {
            result[at] = (values[at] - mean) * inverse * weight[channel] + bias[channel];
          }
        });
      }
    }
    return result;
  };
}

/** (channels, N, area) → (channels·area, N, 1): all values of a look in one row, as torch orders them. */
function flatten(layer) {
  const [channels, height, width] = layer.input_size;
  const area = height * width;
  return (values, looks) => {
    const result = new Float32Array(values.length);
    for (let channel = 0, from = 0; channel < channels; channel++) {
      for (let look = 0; look < looks; look++) {
        for (let at = 0; at < area; at++) result[(channel * area + at) * looks + look] = values[from++];
      }
    }
    return result;
  };
}

/** The error function: Taylor's series near 0, else the continued fraction of its complement. */
function erf(x) {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  const square = x * x;
  if (size < 2.5) {
    let [term, sum] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-12; n++) {
      term *= -square / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = size;
  for (let n = 30; n > 0; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-square) / (fraction * Math.sqrt(Math.PI)));
}
