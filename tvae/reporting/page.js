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

// { low, step, bdata } -> numbers; see tvae.reporting.figures.encoding.quantised.
function unpack({ low, step, bdata }) {
  const bytes = Uint8Array.from(atob(bdata), (letter) => letter.charCodeAt(0));
  const words = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 2 }, (_, k) => low + step * words.getUint16(2 * k, true));
}

// The digits of an operation, least significant first, as the signs of their values.
function digits(index, n) {
  let text = "";
  for (let k = 0; k < n; k++) {
    text += "\u22120+"[index % 3];
    index = Math.floor(index / 3);
  }
  return text;
}

// Points come by valuation, then by index: the k-th of valuation v is 3^v times the k-th number
// that 3 does not divide.
function levelsOf(disk) {
  const radius = unpack(disk.radius);
  const levels = [];
  for (let level = 0, start = 0; level <= disk.digits; level++) {
    const size = level < disk.digits ? 2 * 3 ** (disk.digits - 1 - level) : 1;
    const about = Array.from({ length: size }, (_, k) => {
      const index = level < disk.digits ? 3 ** level * (k + Math.floor(k / 2) + 1) : 0;
      return [index, digits(index, disk.digits), level, radius[start + k]];
    });
    levels.push({ start, size, about });
    start += size;
  }
  return levels;
}

// Hyperbolic radius, or length in the tangent space, to the radius in the unit disk.
const inDisk = (c, rho) => Math.tanh(Math.sqrt(c) * rho / 2);

function diskFigure(disk, plane, mode) {
  const ball = disk.curvature !== null;
  const angle = unpack(plane.angle), projected = unpack(plane.length), radius = unpack(disk.radius);
  const length = !ball ? projected : angle.map((_, k) =>
    inDisk(disk.curvature, mode === "radius" ? radius[k] : 2 * projected[k]));
  const along = (points, wave) =>
    Array.from({ length: points.size }, (_, k) => length[points.start + k] * wave(angle[points.start + k]));
  const what = ball ? "radius" : "norm";
  const data = disk.levels.map((points, level) => ({
    type: "scattergl",
    mode: "markers",
    name: String(level),
    x: along(points, Math.cos),
    y: along(points, Math.sin),
    customdata: points.about,
    marker: {
      color: disk.colours[level],
      size: 3 + 9 * (level / disk.digits) ** 1.6,
      opacity: level === 0 ? 0.55 : 0.9,
      line: level > 3 ? { color: css("--card"), width: 0.8 } : { width: 0 },
    },
    hovertemplate: "index %{customdata[0]}<br>digits %{customdata[1]}<br>valuation %{customdata[2]}<br>" +
      what + " %{customdata[3]:.3f}<extra></extra>",
  }));
  const circle = (r, colour, width) => ({
    type: "circle", x0: -r, x1: r, y0: -r, y1: r, line: { color: colour, width }, layer: "below",
  });
  const circles = !ball ? [] : [circle(1, css("--soft"), 1.2)];
  if (ball && mode === "radius") {
    disk.circles.forEach((rho, level) => circles.push(circle(inDisk(disk.curvature, rho), disk.colours[level] + "99", 0.9)));
  }
  const bare = { visible: false, ...(ball ? { range: [-1.03, 1.03] } : {}) };
  const layout = {
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
page.disks.forEach((disk) => { disk.levels = levelsOf(disk); });

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
  drawDisk();
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
