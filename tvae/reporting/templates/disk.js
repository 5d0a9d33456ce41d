// The disk: tvae.reporting.figures.disk.Disk.to_json drawn on a canvas, moved by Möbius maps.
//
// A map of the disk onto itself is w = (a z + b) / (conj(b) z + conj(a)), kept as [ar, ai, br, bi].

const STILL = [1, 0, 0, 0];

function apply([ar, ai, br, bi], x, y) {
  const nx = ar * x - ai * y + br, ny = ar * y + ai * x + bi;
  const dx = br * x + bi * y + ar, dy = br * y - bi * x - ai;
  const size = dx * dx + dy * dy;
  return [(nx * dx + ny * dy) / size, (ny * dx - nx * dy) / size];
}

// First "second", then "first".
function compose([ar, ai, br, bi], [cr, ci, dr, di]) {
  const made = [
    ar * cr - ai * ci + br * dr + bi * di, ar * ci + ai * cr + bi * dr - br * di,
    ar * dr - ai * di + br * cr + bi * ci, ar * di + ai * dr + bi * cr - br * ci,
  ];
  const scale = Math.sqrt(made[0] ** 2 + made[1] ** 2 - made[2] ** 2 - made[3] ** 2);
  return made.map((part) => part / scale);
}

// The translation that brings a share of the way from a point to the centre.
function translation(x, y, share = 1) {
  const length = Math.min(Math.hypot(x, y), 1 - 1e-9);
  if (length < 1e-12) return STILL;
  const part = Math.tanh(share * Math.atanh(length)) / length;
  const scale = 1 / Math.sqrt(1 - (part * length) ** 2);
  return [scale, 0, -x * part * scale, -y * part * scale];
}

// Points of the geodesic from one point of the disk to another.
function geodesic([ax, ay], [bx, by], steps) {
  const there = translation(ax, ay), back = translation(-ax, -ay);
  const [x, y] = apply(there, bx, by), length = Math.hypot(x, y);
  return Array.from({ length: steps + 1 }, (_, k) => {
    const part = length < 1e-9 ? 0 : Math.tanh((k / steps) * Math.atanh(Math.min(length, 1 - 1e-9))) / length;
    return apply(back, x * part, y * part);
  });
}

// The circle through three points: Möbius maps take circles to circles.
function circleThrough([ax, ay], [bx, by], [cx, cy]) {
  const ux = bx - ax, uy = by - ay, vx = cx - ax, vy = cy - ay;
  const u = ux * ux + uy * uy, v = vx * vx + vy * vy, twice = 2 * (ux * vy - uy * vx) || 1e-30;
  const x = (vy * u - uy * v) / twice, y = (ux * v - vx * u) / twice;
  return { x: ax + x, y: ay + y, r: Math.hypot(x, y) };
}

function makeDisk(place, { items: given, disks }) {
  const labels = given.labels.split("\n");
  const items = { ...given, labels, index: decode(given.index), tree: given.tree && { ...given.tree, node_of: decode(given.tree.node_of) } };
  const level = Uint16Array.from(items.sizes.flatMap((size, at) => Array(size).fill(at)));
  const { tree } = items, levels = items.sizes.length;
  const chosen = { disk: 0, picture: 0, colour: tree ? "branch" : "level", selected: -1, only: null };
  let map = STILL, plane = null, screen = null, frame = 0;

  const bar = element("div", { class: "bar" }, place);
  if (disks.length > 1) makeChoice(bar, disks.map((disk) => disk.title), (k) => { chosen.disk = k; show(); });
  const names = element("span", {}, bar);
  if (tree) makeChoice(bar, ["by branch", `by ${items.level_name}`], (k) => { chosen.colour = k ? "level" : "branch"; chosen.only = null; legend(); paint(); });
  const canvas = element("canvas", { role: "img" }, place);
  const tools = element("div", { class: "bar" }, place);
  const form = element("form", { class: "search" }, tools);
  const field = element("input", { type: "search", placeholder: `index or ${items.label_name}`, "aria-label": `find by index or ${items.label_name}` }, form);
  element("button", { type: "submit" }, form, "Find");
  const reset = element("button", { type: "button", class: "plain" }, tools, "Reset");
  const answer = element("p", { class: "soft answer", role: "status" }, place);
  const key = element("div", { class: "legend" }, place);
  const note = element("p", { class: "soft caption" }, place);
  const hint = "Click a point to bring it to the centre, drag to move.";

  const current = () => disks[chosen.disk];
  const picture = () => current().pictures[chosen.picture];
  const isBall = () => current().curvature !== null;
  const inDisk = (rho) => Math.tanh(Math.sqrt(current().curvature) * rho / 2);

  // Positions of items and nodes in the unit disk, before they are moved.
  function read() {
    const { angle, length, nodes } = picture(), disk = current();
    const turn = dequantise(angle), far = dequantise(length || disk.radius);
    const most = isBall() ? 1 : Math.max(...far) || 1;
    const x = new Float64Array(turn.length), y = new Float64Array(turn.length);
    turn.forEach((t, k) => {
      const r = isBall() ? inDisk(far[k]) : far[k] / most;
      x[k] = r * Math.cos(t); y[k] = r * Math.sin(t);
    });
    plane = { x, y, nodes, radius: dequantise(disk.radius), rings: isBall() && length === null };
  }

  // A point of the disk as it is seen: moved by a Möbius map, or shifted where there is no ball.
  const moved = (x, y) => isBall() ? apply(map, x, y) : [x + map[2], y + map[3]];

  function resize() {
    const side = Math.min(place.clientWidth, 620);
    if (!side) return;
    const dense = window.devicePixelRatio || 1;
    canvas.style.width = canvas.style.height = `${side}px`;
    canvas.width = canvas.height = Math.round(side * dense);
    screen = { side, dense, half: side / 2, scale: side / 2 - 8, x: new Float32Array(labels.length), y: new Float32Array(labels.length) };
    paint();
  }

  const toScreen = ([x, y]) => [screen.half + screen.scale * x, screen.half - screen.scale * y];
  const nodeAt = (k) => moved(plane.nodes[2 * k], plane.nodes[2 * k + 1]);
  const colourOf = (k) => chosen.colour === "branch" ? tree.colour[tree.node_of[k]] : items.colours[level[k]];
  const isFaded = (k) => chosen.only !== null && (chosen.colour === "level" ? level[k] !== chosen.only : !isBelow(tree.node_of[k], chosen.only));
  function isBelow(node, above) {
    while (node > above) node = tree.parent[node];
    return node === above;
  }

  function paint() {
    if (!screen || !plane) return;
    const pen = canvas.getContext("2d");
    pen.setTransform(screen.dense, 0, 0, screen.dense, 0, 0);
    pen.clearRect(0, 0, screen.side, screen.side);
    paintRings(pen);
    if (tree) paintEdges(pen);
    paintItems(pen);
    if (chosen.selected >= 0) {
      pen.beginPath();
      pen.arc(screen.x[chosen.selected], screen.y[chosen.selected], 8, 0, 7);
      pen.strokeStyle = css("--ink"); pen.lineWidth = 2; pen.stroke();
    }
  }

  function trace(pen, points) {
    pen.beginPath();
    points.forEach((point, k) => { const [x, y] = toScreen(point); if (k) pen.lineTo(x, y); else pen.moveTo(x, y); });
    pen.stroke();
  }

  function paintRings(pen) {
    if (!isBall()) return;
    pen.strokeStyle = css("--soft"); pen.lineWidth = 1.2;
    pen.beginPath(); pen.arc(screen.half, screen.half, screen.scale, 0, 7); pen.stroke();
    if (!plane.rings) return;
    pen.font = "10px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle";
    let last = 2;
    current().rings.forEach((rho, at) => {
      const r = inDisk(rho);
      const on = (turn) => moved(r * Math.cos(turn), r * Math.sin(turn));
      const { x: cx, y: cy, r: size } = circleThrough(on(0), on(2.1), on(4.2));
      pen.strokeStyle = chosen.colour === "level" ? items.colours[at] + "88" : css("--rule");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.arc(...toScreen([cx, cy]), screen.scale * size, 0, 7);
      pen.stroke();
      if (!tree || Math.abs(last - r) * screen.scale < 11) return;
      last = r;
      const [x, y] = toScreen(on(1.95));
      pen.fillStyle = css("--card"); pen.fillRect(x - 5, y - 6, 10, 12);
      pen.fillStyle = css("--soft"); pen.fillText(String(at), x, y);
    });
  }

  function paintEdges(pen) {
    for (let k = 1; k < tree.parent.length; k += 1) {
      const from = nodeAt(tree.parent[k]), to = nodeAt(k);
      pen.strokeStyle = chosen.colour === "branch" ? tree.colour[k] : css("--soft");
      pen.lineWidth = Math.max(3.2 * 0.68 ** (tree.depth[k] - 1), 0.4);
      const faded = chosen.only !== null && (chosen.colour === "level" || !isBelow(k, chosen.only));
      pen.globalAlpha = faded ? 0.12 : 0.75;
      trace(pen, isBall() ? geodesic(from, to, tree.depth[k] > 4 ? 6 : 20) : [from, to]);
    }
    pen.globalAlpha = 1;
    pen.font = "bold 12px ui-monospace, Menlo, Consolas, monospace"; pen.textAlign = "left";
    const mark = (k, text, colour) => {
      const [x, y] = toScreen(nodeAt(k));
      pen.fillStyle = colour;
      pen.beginPath(); pen.arc(x, y, 3.5, 0, 7); pen.fill();
      pen.lineWidth = 3; pen.strokeStyle = css("--card");
      pen.strokeText(text, x + 7, y - 8); pen.fillText(text, x + 7, y - 8);
    };
    if (chosen.colour === "branch" && tree.branches[0] > 0) tree.branches.slice(0, 7).forEach((k) => mark(k, tree.label[k], tree.colour[k]));
    mark(0, "root", css("--ink"));
  }

  function paintItems(pen) {
    const { side } = screen;
    for (let k = 0; k < labels.length; k += 1) {
      const [x, y] = toScreen(moved(plane.x[k], plane.y[k]));
      screen.x[k] = x; screen.y[k] = y;
      if (x < 0 || y < 0 || x > side || y > side) continue;
      const r = (side / 620) * (1.1 + 3.9 * (level[k] / Math.max(levels - 1, 1)) ** 1.3);
      pen.globalAlpha = isFaded(k) ? 0.06 : 0.9;
      pen.fillStyle = colourOf(k);
      if (r < 1.6) { pen.fillRect(x - r, y - r, 2 * r, 2 * r); continue; }
      pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.fill();
    }
    pen.globalAlpha = 1;
  }

  // The item or node under the pointer: {item} or {node}, or null.
  function find(event) {
    const box = canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    let best = 12 ** 2, found = null;
    for (let k = labels.length - 1; k >= 0; k -= 1) {
      const d = (screen.x[k] - px) ** 2 + (screen.y[k] - py) ** 2;
      if (d < best && !isFaded(k)) { best = d; found = { item: k }; }
    }
    for (let k = 0; tree && k < tree.parent.length; k += 1) {
      const [x, y] = toScreen(nodeAt(k)), d = (x - px) ** 2 + (y - py) ** 2;
      if (d < Math.min(best, 64) && tree.size[k] > 1) { best = d; found = { node: k }; }
    }
    return found;
  }

  function describe(found) {
    if (found.node !== undefined) {
      const k = found.node, whole = k === 0 ? "the whole tree" : `subtree ${tree.label[k]}`;
      return [whole, `${tree.size[k].toLocaleString("en")} ${items.name}`];
    }
    const k = found.item;
    const lines = [`index ${items.index[k]}`];
    if (labels[k] !== String(items.index[k])) lines.push(`${items.label_name} ${labels[k]}`);
    if (tree) lines.push(`${items.level_name} ${level[k]}`);
    lines.push(`${isBall() ? "radius" : "norm"} ${plane.radius[k].toFixed(3)}`);
    return lines;
  }

  function centre([x, y]) {
    const before = map;
    const at = (share) => {
      if (isBall()) map = compose(translation(x, y, share), before);
      else map = [1, 0, before[2] - share * x, before[3] - share * y];
      paint();
    };
    cancelAnimationFrame(frame);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { at(1); return; }
    const start = performance.now();
    const next = (now) => {
      const t = Math.min((now - start) / 400, 1);
      at(t * t * (3 - 2 * t));
      if (t < 1) frame = requestAnimationFrame(next);
    };
    frame = requestAnimationFrame(next);
  }

  function select(k) {
    chosen.selected = k;
    answer.textContent = `${describe({ item: k }).join(" · ")} — at the centre; distances around it are seen from there.`;
    centre(moved(plane.x[k], plane.y[k]));
  }

  function legend() {
    const entries = !tree ? []
      : chosen.colour === "branch" ? tree.branches.map((k) => [tree.colour[k], tree.label[k], k])
        : items.colours.map((colour, k) => [colour, String(k), k]);
    key.replaceChildren();
    if (!entries.length) return;
    element("span", { class: "soft" }, key, chosen.colour === "branch" ? `${items.label_name}:` : `${items.level_name}:`);
    entries.forEach(([colour, text, value]) => {
      const button = element("button", { type: "button", "aria-pressed": chosen.only === value }, key);
      element("i", { style: `background:${colour}` }, button);
      button.append(text);
      button.addEventListener("click", () => { chosen.only = chosen.only === value ? null : value; legend(); paint(); });
    });
  }

  function show() {
    const disk = current();
    chosen.picture = Math.min(chosen.picture, disk.pictures.length - 1);
    names.replaceChildren();
    makeChoice(names, disk.pictures.map((each) => each.name), (k) => { chosen.picture = k; start(); });
    names.querySelectorAll("button").forEach((button, k) => button.setAttribute("aria-pressed", k === chosen.picture));
    start();
  }

  function start() {
    map = STILL; chosen.selected = -1; answer.textContent = hint;
    read(); legend(); resize();
    note.textContent = picture().caption;
    canvas.setAttribute("aria-label", picture().caption);
  }

  let held = null;
  canvas.addEventListener("pointerdown", (event) => { held = { x: event.clientX, y: event.clientY, moved: false, mouse: event.pointerType === "mouse" }; });
  canvas.addEventListener("pointermove", (event) => {
    const found = held ? null : find(event);
    showTip(event, found && describe(found));
    canvas.style.cursor = found ? "pointer" : "grab";
    if (!held || !held.mouse) return;
    const dx = (event.clientX - held.x) / screen.scale, dy = (held.y - event.clientY) / screen.scale;
    if (!held.moved && Math.hypot(dx, dy) * screen.scale < 4) return;
    cancelAnimationFrame(frame);
    map = isBall() ? compose(translation(-0.7 * dx, -0.7 * dy), map) : [1, 0, map[2] + dx, map[3] + dy];
    held = { x: event.clientX, y: event.clientY, moved: true, mouse: true };
    paint();
  });
  canvas.addEventListener("pointerleave", (event) => { held = null; showTip(event, null); });
  canvas.addEventListener("pointerup", (event) => {
    const click = held && !held.moved;
    held = null;
    const found = click && find(event);
    if (!found) return;
    showTip(event, null);
    if (found.item !== undefined) select(found.item);
    else { chosen.selected = -1; answer.textContent = `${describe(found).join(": ")} — at the centre.`; centre(nodeAt(found.node)); }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = field.value.trim();
    if (!wanted) return;
    let k = labels.indexOf(wanted);
    if (k < 0 && /^\d+$/.test(wanted)) k = items.index.indexOf(Number(wanted));
    if (k < 0) answer.textContent = `There is no ${items.label_name} or index ${wanted} here.`;
    else select(k);
  });
  reset.addEventListener("click", () => { chosen.only = null; start(); });
  new ResizeObserver(resize).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  show();
  // For tests: where an item is seen, in pixels of the window.
  place.seen = (index) => {
    const k = items.index.indexOf(index), box = canvas.getBoundingClientRect();
    return [box.left + screen.x[k], box.top + screen.y[k], level[k]];
  };
}
