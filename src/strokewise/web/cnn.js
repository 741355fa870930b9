/**
 * The CNN, built from the description of its layers that Python's `model/layers.py` gives.
 *
 *     line filters → blocks of convolution, pooling, normalisation, activation → flatten → fully connected
 *
 * A layer's output is a Float32Array (channels, N, height·width) for N looks: all looks of a channel lie together, so
 * that a convolution of all of them is one product of matrices.
 */

export const NORM_EPSILON = 1e-5; // of torch's normalisations
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
      return activate(ACTIVATIONS[activation]);
    case "flatten":
      return flatten(layer);
    default:
      return convolution(layer, part("weight"), part("bias")); // fully connected: its maps are 1×1
  }
}

/**
 * Slide filters over maps. Four places at a time: the patches under the filter there become a matrix of four columns,
 * which the filters' matrix multiplies.
 */
function convolution(layer, weight, bias) {
  const [channels, height, width] = layer.output_size;
  const length = weight.length / channels;
  const filters = toTiles(weight, channels, length);
  const biases = bias ?? new Float32Array(channels);
  const patches = new Float64Array(TILE * length);
  return (values, looks) => {
    const padded = pad(layer, values, looks);
    const offsets = patchOffsets(layer, looks, length);
    const places = looks * height * width;
    const result = new Float32Array(channels * places);
    for (let place = 0; place < places; place += TILE) {
      for (let column = 0; column < TILE; column++) {
        gatherPatch(padded, offsets, patchStart(layer, Math.min(place + column, places - 1)), patches, column);
      }
      multiply(filters, patches, biases, result, place, places);
    }
    return result;
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

/** Where in the padded maps the values of a patch lie, from its first. */
function patchOffsets({ kernel_size: kernel, input_size: [, height, width], padding }, looks, length) {
  const stride = width + 2 * padding;
  const offsets = new Int32Array(length);
  for (let at = 0; at < length; at++) {
    const column = at % kernel;
    const row = ((at - column) / kernel) % kernel;
    const channel = Math.floor(at / (kernel * kernel));
    offsets[at] = channel * looks * (height + 2 * padding) * stride + row * stride + column;
  }
  return offsets;
}

/** Where in the padded maps the patch of a place begins; places are numbered look by look, row by row. */
function patchStart({ input_size: [, inHeight, inWidth], output_size: [, height, width], padding, stride }, place) {
  const x = place % width;
  const y = ((place - x) / width) % height;
  const look = Math.floor(place / (width * height));
  return (look * (inHeight + 2 * padding) + y * stride) * (inWidth + 2 * padding) + x * stride;
}

/** Copy a patch into a column of a tile of four. */
function gatherPatch(padded, offsets, start, patches, column) {
  for (let at = 0, to = column; at < offsets.length; at++, to += TILE) patches[to] = padded[start + offsets[at]];
}

/**
 * Multiply tiles of four rows with a tile of four columns, add a bias to each row, and write what becomes of them into
 * `result`, (rows, places), from `place` on.
 *
 * The products of four rows with four columns are written out: so each number is fetched once for four uses.
 */
function multiply(rows, columns, bias, result, place, places) {
  const count = Math.min(TILE, places - place);
  for (let row = 0, at = 0; row < bias.length; row += TILE) {
    let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
    for (let to = 0; to < columns.length; to += TILE, at += TILE) {
      const b0 = columns[to];
      const b1 = columns[to + 1];
      const b2 = columns[to + 2];
      const b3 = columns[to + 3];
      let a = rows[at];
      s00 += a * b0, s01 += a * b1, s02 += a * b2, s03 += a * b3;
      a = rows[at + 1];
      s10 += a * b0, s11 += a * b1, s12 += a * b2, s13 += a * b3;
      a = rows[at + 2];
      s20 += a * b0, s21 += a * b1, s22 += a * b2, s23 += a * b3;
      a = rows[at + 3];
      s30 += a * b0, s31 += a * b1, s32 += a * b2, s33 += a * b3;
    }
    const sums = [s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33];
    for (let i = 0; i < TILE && row + i < bias.length; i++) {
      const to = (row + i) * places + place;
      for (let j = 0; j < count; j++) result[to + j] = sums[TILE * i + j] + bias[row + i];
    }
  }
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

function activate(activation) {
  return (values) => {
    const result = new Float32Array(values.length);
    for (let at = 0; at < result.length; at++) result[at] = activation(values[at]);
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
