// Charts as SVG: lines over epochs, violins, bars and gates, from the to_json of tvae.reporting.figures.

const SVG = "http://www.w3.org/2000/svg";
function draw(name, attributes, parent, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== "") made.textContent = text;
  parent.append(made);
  return made;
}

// Round positions that divide an axis into about n parts.
function linearTicks(low, high, n) {
  const rough = (high - low) / n, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) ticks.push(k * step);
  return ticks.map((tick) => Number(tick.toPrecision(10)));
}

function logTicks(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  if (last < first) return [low, high];
  const every = Math.ceil((last - first + 1) / 6);
  return Array.from({ length: last - first + 1 }, (_, k) => first + k).filter((_, k) => k % every === 0).map((k) => 10 ** k);
}

const isPower = (value) => value > 0 && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
function tickText(value, log) {
  if (log && isPower(value) && (value < 0.01 || value > 1000)) {
    const digits = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
    return `10${[...String(Math.round(Math.log10(value)))].map((sign) => digits[sign]).join("")}`;
  }
  return shortNumber(value).replace("-", "−");
}

// The frame of a chart: axes with ticks, and the functions from values to pixels.
function makeFrame(place, { width, height, x, y, left }) {
  const box = { left, right: width - 10, top: 16, bottom: height - 36 };
  const svg = draw("svg", { width, height, role: "img" }, place);
  const scale = ({ low, high, log }, start, end) => {
    const f = log ? Math.log10 : (value) => value;
    return (value) => start + ((f(value) - f(low)) / (f(high) - f(low) || 1)) * (end - start);
  };
  const frame = { svg, box, x: scale(x, box.left, box.right), y: scale(y, box.bottom, box.top) };
  for (const tick of y.ticks) {
    const at = frame.y(tick);
    draw("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }, svg);
    draw("text", { class: "tick", x: box.left - 6, y: at + 4, "text-anchor": "end" }, svg, tickText(tick, y.log));
  }
  for (const { at, text } of x.ticks) {
    draw("text", { class: "tick", x: frame.x(at), y: box.bottom + 15, "text-anchor": "middle" }, svg, text);
  }
  draw("text", { class: "axis", x: (box.left + box.right) / 2, y: height - 4, "text-anchor": "middle" }, svg, x.title);
  if (y.title) draw("text", { class: "axis", x: box.left, y: 10 }, svg, y.title);
  return frame;
}

const widest = (ticks, log) => 14 + 6.6 * Math.max(...ticks.map((tick) => tickText(tick, log).length));

function readLine(line) {
  const y = decode(line.y);
  return { ...line, y, x: line.x ? decode(line.x) : Float32Array.from(y, (_, k) => line.x0 + k) };
}

function linesChart(place, spec, width, hidden) {
  const lines = spec.lines.map(readLine), log = spec.log;
  const shown = lines.filter((_, k) => !hidden.has(k));
  const values = shown.flatMap((line) => [...line.y]).filter((value) => Number.isFinite(value) && (!log || value > 0));
  const marks = spec.levels.map((mark) => mark.at);
  let low = spec.low ?? Math.min(...values, ...marks), high = spec.high ?? Math.max(...values, ...marks);
  if (!Number.isFinite(low)) { low = log ? 0.1 : 0; high = 1; }
  const pad = log ? 1 : 0.04 * (high - low || Math.abs(high) || 1);
  if (spec.low === null) { low = log ? low / 1.15 : low - pad; high = log ? high * 1.15 : high + pad; }
  const ticks = log ? logTicks(low, high) : linearTicks(low, high, 5);
  const end = spec.epochs * 1.02;
  const frame = makeFrame(place, {
    width, height: 250, left: widest(ticks, log),
    x: { low: 0, high: end, title: "epoch", ticks: linearTicks(0, end, width < 400 ? 4 : 7).map((at) => ({ at, text: tickText(at) })) },
    y: { low, high, log, ticks },
  });
  const { svg, box } = frame;
  for (const mark of spec.levels) {
    const at = frame.y(mark.at);
    draw("line", { class: "mark", x1: box.left, x2: box.right, y1: at, y2: at, stroke: mark.colour, "stroke-dasharray": "6 4" }, svg);
    draw("text", { class: "tick", x: box.right, y: at - 4, "text-anchor": "end" }, svg, mark.text);
  }
  for (const mark of spec.events) {
    const at = frame.x(mark.at), side = at > box.right - 60 ? "end" : "middle";
    draw("line", { class: "mark", x1: at, x2: at, y1: box.top, y2: box.bottom, stroke: mark.colour, "stroke-dasharray": "2 3" }, svg);
    draw("text", { class: "tick", x: at, y: 11, "text-anchor": side }, svg, mark.text);
  }
  for (const line of shown) {
    let path = "", last = null;
    line.x.forEach((epoch, k) => {
      const value = line.y[k];
      if (!Number.isFinite(value) || (log && value <= 0)) { last = null; return; }
      const x = frame.x(epoch).toFixed(1), y = frame.y(value).toFixed(1);
      path += last === null ? `M${x} ${y}` : line.steps ? `H${x}V${y}` : `L${x} ${y}`;
      last = y;
      if (line.markers) draw("circle", { cx: x, cy: y, r: 2.6, fill: line.colour }, svg);
    });
    draw("path", { d: path, fill: "none", stroke: line.colour, "stroke-width": 1.8, "stroke-linejoin": "round" }, svg);
  }
  const guide = draw("line", { class: "mark", y1: box.top, y2: box.bottom, stroke: "var(--soft)", visibility: "hidden" }, svg);
  const nearest = (line, epoch) => line.x.reduce((best, at, k) => (Math.abs(at - epoch) < Math.abs(line.x[best] - epoch) ? k : best), 0);
  svg.addEventListener("pointermove", (event) => {
    const pixel = event.clientX - svg.getBoundingClientRect().left;
    const epoch = ((pixel - box.left) / (box.right - box.left)) * end;
    const all = shown.map((line) => ({ line, k: nearest(line, epoch) }));
    if (!all.length) return;
    const at = all.map(({ line, k }) => line.x[k]).reduce((a, b) => (Math.abs(a - epoch) <= Math.abs(b - epoch) ? a : b));
    const rows = all.filter(({ line, k }) => line.x[k] === at);
    guide.setAttribute("x1", frame.x(at)); guide.setAttribute("x2", frame.x(at)); guide.setAttribute("visibility", "visible");
    showTip(event, [`epoch ${at}`, ...rows.map(({ line, k }) => ({ colour: line.colour, text: `${line.name} ${shortNumber(line.y[k])}` }))]);
  });
  svg.addEventListener("pointerleave", (event) => { guide.setAttribute("visibility", "hidden"); showTip(event, null); });
  if (lines.length < 2) return;
  const key = element("div", { class: "legend" }, place);
  lines.forEach((line, k) => {
    const button = element("button", { type: "button", "aria-pressed": !hidden.has(k), class: hidden.has(k) ? "off" : "" }, key);
    element("i", { style: `background:${line.colour}` }, button);
    button.append(line.name);
    button.addEventListener("click", () => { if (!hidden.delete(k)) hidden.add(k); place.redraw(); });
  });
}

// Columns, one for each label.
function columns(labels, title, width) {
  const every = Math.ceil((labels.length * Math.max(...labels.map((label) => label.length), 2) * 7) / (width - 60));
  const ticks = labels.map((text, at) => ({ at, text })).filter((_, k) => k % every === 0);
  return { low: -0.6, high: labels.length - 0.4, title, ticks };
}

function violinsChart(place, spec, width) {
  const high = 1.04 * Math.max(...spec.classes.map((each) => each.high));
  const ticks = linearTicks(0, high, 5);
  const frame = makeFrame(place, { width, height: 320, left: widest(ticks), x: columns(spec.labels, spec.x_title, width), y: { low: 0, high, ticks, title: spec.y_title } });
  spec.classes.forEach((each, at) => {
    const middle = frame.x(at), half = 0.42 * (frame.x(1) - frame.x(0)), group = draw("g", {}, frame.svg);
    if (each.values) each.values.forEach((value) => draw("circle", { cx: middle, cy: frame.y(value), r: 3, fill: each.colour }, group));
    else {
      const side = (sign) => each.width.map((w, k) => `${(middle + sign * half * w).toFixed(1)} ${frame.y(each.low + (k / (each.width.length - 1)) * (each.high - each.low)).toFixed(1)}`);
      draw("path", { d: `M${[...side(1), ...side(-1).reverse()].join("L")}Z`, fill: each.colour, "fill-opacity": 0.4, stroke: each.colour }, group);
      draw("line", { x1: middle - half / 2, x2: middle + half / 2, y1: frame.y(each.middle), y2: frame.y(each.middle), stroke: each.colour, "stroke-width": 2 }, group);
    }
    hover(group, [`${spec.x_title} ${spec.labels[at]}`, `median ${shortNumber(each.middle)}`, `${shortNumber(each.low)} to ${shortNumber(each.high)}`]);
  });
}

function hover(group, lines) {
  group.addEventListener("pointermove", (event) => showTip(event, lines));
  group.addEventListener("pointerleave", (event) => showTip(event, null));
}

function sharesChart(place, spec, width) {
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const frame = makeFrame(place, { width, height: 260, left: widest(ticks), x: columns(spec.labels, spec.x_title, width), y: { low: 0, high: 1.06, ticks, title: spec.y_title } });
  spec.right.forEach((right, at) => {
    const share = right / spec.count[at], group = draw("g", {}, frame.svg), half = 0.4 * (frame.x(1) - frame.x(0));
    draw("rect", { x: frame.x(at) - half, width: 2 * half, y: frame.y(share), height: Math.max(frame.y(0) - frame.y(share), 1), fill: spec.colours[at] }, group);
    draw("text", { class: "tick", x: frame.x(at), y: frame.y(share) - 4, "text-anchor": "middle" }, group, `${Math.floor(1000 * share) / 10}%`);
    hover(group, [`${spec.x_title} ${spec.labels[at]}`, `${right.toLocaleString("en")} of ${spec.count[at].toLocaleString("en")}`]);
  });
}

function gatesChart(place, spec, width) {
  const left = Math.min(20 + 7 * Math.max(...spec.names.map((name) => name.length)), 0.4 * width);
  const end = spec.last, ticks = linearTicks(0, end, width < 400 ? 4 : 8).map((at) => ({ at, text: tickText(at) }));
  const frame = makeFrame(place, { width, height: 60 + 26 * spec.names.length, left, x: { low: 0, high: end, title: "epoch", ticks }, y: { low: 0, high: spec.names.length, ticks: [] } });
  spec.names.forEach((name, at) => {
    const y = frame.y(spec.names.length - at);
    draw("text", { class: "tick", x: left - 6, y: y + 16, "text-anchor": "end" }, frame.svg, name);
    for (const [from, to, open] of spec.spans[at]) {
      const bar = draw("rect", { x: frame.x(from), width: Math.max(frame.x(to) - frame.x(from), 1), y: y + 3, height: 18, fill: open ? "var(--good)" : "var(--closed)" }, frame.svg);
      hover(bar, [`${name}: ${open ? "trained" : "closed"}`, `epochs ${from + 1} to ${to}`]);
    }
  });
}

const CHARTS = { lines: linesChart, violins: violinsChart, shares: sharesChart, gates: gatesChart };

// Draw a chart into an element, again whenever its width changes.
function makeChart(place, spec) {
  const hidden = new Set();
  let width = 0;
  place.redraw = () => {
    place.replaceChildren();
    CHARTS[spec.kind](place, spec, width, hidden);
  };
  new ResizeObserver(() => {
    if (!place.clientWidth || place.clientWidth === width) return;
    width = place.clientWidth;
    place.redraw();
  }).observe(place);
}
