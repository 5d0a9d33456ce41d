"use strict";
const page = JSON.parse(document.getElementById("figures").textContent);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

// What every figure shares; read from the style sheet, so that light and dark follow the reader.
function themed(layout) {
  const axis = (given) => ({
    gridcolor: css("--grid"), zeroline: false, automargin: true, ticks: "", ...given,
    title: { standoff: 8, font: { size: 12 }, ...(given || {}).title },
  });
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--soft") },
    margin: { l: 46, r: 12, t: 18, b: 40 },
    legend: { orientation: "h", y: -0.22, yanchor: "top", font: { size: 11 } },
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--rule"), font: { color: css("--ink"), size: 12 } },
    ...layout,
    xaxis: axis(layout.xaxis),
    yaxis: axis(layout.yaxis),
  };
}

// The array of tvae.reporting.figures.encoding.encode_array.
function decode({ dtype, bdata }) {
  const bytes = Uint8Array.from(atob(bdata), (letter) => letter.charCodeAt(0));
  return new ({ f4: Float32Array, u2: Uint16Array, u4: Uint32Array }[dtype])(bytes.buffer);
}

// The array of tvae.reporting.figures.encoding.quantise.
const dequantise = ({ low, step, ...packed }) => Float64Array.from(decode(packed), (k) => low + step * k);

// The range of each level in the arrays of the items, which are sorted by level.
function rangesOf(items) {
  let start = 0;
  return items.sizes.map((size) => ({ start, end: (start += size) }));
}

// Hyperbolic radius, or length in the tangent space, to the radius in the unit disk.
const inDisk = (c, rho) => Math.tanh(Math.sqrt(c) * rho / 2);

function diskFigure(disk, plane, mode) {
  const ball = disk.curvature !== null;
  const angle = dequantise(plane.angle), projected = dequantise(plane.length), radius = dequantise(disk.radius);
  const length = !ball ? projected : angle.map((_, k) =>
    inDisk(disk.curvature, mode === "radius" ? radius[k] : 2 * projected[k]));
  const along = ({ start, end }, wave) =>
    Array.from(angle.slice(start, end), (turn, k) => length[start + k] * wave(turn));
  const { labels, index, colours, label_name, level_name } = items;
  const height = Math.max(colours.length - 1, 1);
  const hover = ["index %{customdata[0]}", `${label_name} %{customdata[1]}`];
  if (level_name) hover.push(`${level_name} %{customdata[2]}`);
  hover.push(`${ball ? "radius" : "norm"} %{customdata[3]:.3f}<extra></extra>`);
  const data = items.ranges.map((range, level) => ({
    type: "scattergl",
    mode: "markers",
    name: String(level),
    x: along(range, Math.cos),
    y: along(range, Math.sin),
    customdata: Array.from(index.slice(range.start, range.end), (i, k) =>
      [i, labels[range.start + k], level, radius[range.start + k]]),
    marker: {
      color: colours[level],
      size: 3 + 9 * (level / height) ** 1.6,
      opacity: level === 0 ? 0.55 : 0.9,
      line: level > 3 ? { color: css("--card"), width: 0.8 } : { width: 0 },
    },
    hovertemplate: hover.join("<br>"),
  }));
  const circle = (r, colour, width) => ({
    type: "circle", x0: -r, x1: r, y0: -r, y1: r, line: { color: colour, width }, layer: "below",
  });
  const circles = !ball ? [] : [circle(1, css("--soft"), 1.2)];
  if (ball && mode === "radius") {
    disk.circles.forEach((rho, level) => circles.push(circle(inDisk(disk.curvature, rho), colours[level] + "99", 0.9)));
  }
  const bare = { visible: false, ...(ball ? { range: [-1.03, 1.03] } : {}) };
  const layout = {
    showlegend: Boolean(level_name),
    hovermode: "closest",
    dragmode: "pan",
    shapes: circles,
    margin: { l: 4, r: 4, t: 4, b: 4 },
    legend: { orientation: "h", y: 0, yanchor: "top", x: 0.5, xanchor: "center", itemsizing: "constant", entrywidthmode: "fraction", entrywidth: 0.095 },
    xaxis: { ...bare, constrain: "domain" },
    yaxis: { ...bare, scaleanchor: "x" },
  };
  return { data, layout: themed(layout) };
}

const chosen = { embedding: 0, plane: 0, mode: "radius" };
const items = page.items;
if (items) {
  Object.assign(items, { index: decode(items.index), labels: items.labels.split("\n"), ranges: rangesOf(items) });
}

function drawDisk() {
  const disk = page.disks[chosen.embedding];
  const plane = disk.planes[chosen.plane];
  const { data, layout } = diskFigure(disk, plane, chosen.mode);
  Plotly.react("disk", data, layout, { ...config, scrollZoom: true });
  document.getElementById("disk-caption").textContent = plane.caption;
  document.querySelectorAll("[data-set]").forEach((button) => {
    button.setAttribute("aria-pressed", String(chosen[button.dataset.set]) === button.dataset.to);
  });
}

function drawAll() {
  if (items) drawDisk();
  document.querySelectorAll("[data-plot]").forEach((place) => {
    const { data, layout } = page.plots[place.dataset.plot];
    if (layout.showlegend && data.length > 6) place.style.height = `${290 + 7 * data.length}px`;
    Plotly.react(place, data, themed(layout), config);
  });
}

document.querySelectorAll("[data-set]").forEach((button) => {
  button.addEventListener("click", () => {
    const { set, to } = button.dataset;
    chosen[set] = set === "mode" ? to : Number(to);
    drawDisk();
  });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
drawAll();
