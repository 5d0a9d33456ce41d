"use strict";
// What the disk and the charts share: decoding of arrays, elements, colours, the label at the pointer.

// The array of tvae.reporting.figures.encoding.encode_array.
function decode({ dtype, bdata }) {
  const bytes = Uint8Array.from(atob(bdata), (letter) => letter.charCodeAt(0));
  return new ({ f4: Float32Array, u2: Uint16Array, u4: Uint32Array }[dtype])(bytes.buffer);
}

// The array of tvae.reporting.figures.encoding.quantise.
const dequantise = ({ low, step, ...packed }) => Float64Array.from(decode(packed), (k) => low + step * k);

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function element(name, attributes = {}, parent = null, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

// A row of buttons of which one is pressed; "choose" gets its position.
function makeChoice(parent, labels, choose) {
  const row = element("span", { class: "choice" }, parent);
  const press = (chosen) => [...row.children].forEach((button, k) => button.setAttribute("aria-pressed", k === chosen));
  labels.forEach((label, k) => {
    element("button", { type: "button" }, row, label).addEventListener("click", () => { press(k); choose(k); });
  });
  press(0);
}

// The label at the pointer: lines of text, the first of them bold.
const tip = element("div", { id: "tip", role: "status" });
document.body.append(tip);
function showTip(event, lines) {
  if (!lines) { tip.style.display = "none"; return; }
  tip.replaceChildren(...lines.map((line) => {
    const row = element("div");
    if (line.colour) element("i", { style: `background:${line.colour}` }, row);
    row.append(line.text ?? line);
    return row;
  }));
  tip.style.display = "block";
  const { clientWidth: room } = document.documentElement;
  const left = event.clientX + 14 + tip.offsetWidth > room ? event.clientX - tip.offsetWidth - 10 : event.clientX + 14;
  tip.style.left = `${Math.max(4, Math.min(left, room - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(4, event.clientY - tip.offsetHeight - 8)}px`;
}

// A number in at most five significant digits.
function shortNumber(value) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(5)));
}
