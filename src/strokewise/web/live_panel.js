/** The arithmetic behind a value (see live_sums.js) → the panel that shows it, number by number. */

const SHOWN_PARTS = 3; // maps whose patch and filter stand as tables; all stand in the list

/** A number with a true minus sign. */
export function formatNumber(value, digits = 2) {
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** An element with attributes and children, texts or elements. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Where a place lies, in words. */
export function placeName(layer, { channel, row, column }) {
  const [, height, width] = layer.output_size;
  const where = height * width > 1 ? `map ${channel + 1}, row ${row}, column ${column}` : `number ${channel + 1}`;
  return layer.block === layer.kind ? `${layer.kind}, ${where}` : `${layer.block}, ${layer.kind}, ${where}`;
}

/** The elements that show the steps to a value. `inputName(channel)` names a map or number that goes into the sum. */
export function stepElements(steps, activation, inputName) {
  return steps.map((step) => {
    const item = element("li", { "data-kind": step.kind, "data-value": step.value });
    item.append(...(step.parts ? sumElements(step, inputName) : [sentence(step, activation)]));
    return item;
  });
}

function sumElements(step, inputName) {
  const { parts, bias, value, kind } = step;
  const ordered = [...parts].sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const isPatch = parts[0].side > 1;
  const grids = isPatch ? ordered.slice(0, SHOWN_PARTS).map((part) => partElement(part, inputName)) : [];
  const rest = parts.length > SHOWN_PARTS ? ` Of ${parts.length} maps, those that count most:` : "";
  const lead = isPatch ? `Patch × filter, added up over all maps.${rest}` : "Every number before it times its weight, added up.";
  const list = element("ul", { class: "products" });
  list.append(
    ...(isPatch ? parts : ordered).map((part) =>
      element("li", {}, `${inputName(part.channel)}: ${products(part)} = ${formatNumber(part.sum, 4)}`),
    ),
  );
  const count = parts.reduce((sum, part) => sum + part.inputs.length, 0);
  const total = `${formatNumber(value - bias, 4)} + bias ${brackets(bias, 4)} = ${formatNumber(value, 4)}`;
  return [
    element("p", {}, element("b", {}, kind), `: ${lead}`),
    element("div", { class: "grids" }, ...grids),
    element("details", {}, element("summary", {}, `all ${count} products, number by number`), list),
    element("p", { class: "total", "data-bias": bias }, total),
  ];
}

function partElement(part, inputName) {
  return element(
    "figure",
    {},
    element(
      "div",
      { class: "product" },
      gridElement(part.inputs, part.side),
      element("b", {}, "×"),
      gridElement(part.weights, part.side),
      element("b", {}, `= ${formatNumber(part.sum)}`),
    ),
    element("figcaption", {}, inputName(part.channel)),
  );
}

function gridElement(numbers, side) {
  const largest = Math.max(...numbers.map(Math.abs)) || 1;
  const table = element("table", { class: "square" });
  for (let row = 0; row < side; row++) {
    const cells = numbers.slice(row * side, (row + 1) * side).map((value) => {
      const cell = element("td", { class: value < 0 ? "below" : "above" }, formatNumber(value));
      cell.style.setProperty("--share", `${Math.round((45 * Math.abs(value)) / largest)}%`);
      return cell;
    });
    table.append(element("tr", {}, ...cells));
  }
  return table;
}

function products({ inputs, weights }) {
  return inputs.map((input, at) => `${formatNumber(input, 4)}·${brackets(weights[at], 4)}`).join(" + ");
}

function brackets(value, digits) {
  const text = formatNumber(value, digits);
  return text.startsWith("−") ? `(${text})` : text;
}

function sentence(step, activation) {
  const value = formatNumber(step.value, 4);
  const name = element("b", {}, step.kind);
  switch (step.kind) {
    case "pooling": {
      const inputs = step.inputs.map((input, at) => (at === step.kept && step.isMax ? `[${formatNumber(input, 4)}]` : formatNumber(input, 4)));
      const rule = step.isMax ? "the largest" : "the mean";
      return element("p", {}, name, `: ${rule} of ${inputs.join(", ")} is ${value}`);
    }
    case "normalisation": {
      const { input, mean, deviation, scale, shift } = step;
      const made = `(${formatNumber(input, 4)} − ${brackets(mean, 4)}) / ${formatNumber(deviation, 4)} · ${brackets(scale, 4)} + ${brackets(shift, 4)}`;
      return element("p", {}, name, `: ${made} = ${value}`);
    }
    case "activation": {
      const rule = activation === "relu" ? "ReLU keeps what is above zero" : `after ${activation}`;
      return element("p", {}, name, `: ${rule}: ${formatNumber(step.input, 4)} → ${value}`);
    }
    default:
      return element("p", {}, name, `: moved here as it is, ${value}`);
  }
}
