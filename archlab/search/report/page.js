"use strict";
// The explorer: a plot of all candidates, redrawn for every choice of axes, and the panel of the selected one.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const columns = new Map(data.columns.map((column) => [column.key, column]));
  const points = new Map(data.points.map((point) => [point.id, point]));
  const shown = new Set(data.kinds.filter((kind) => kind.on).map((kind) => kind.key));
  const NEAR = 28; // pixels between a pointer and the point that it selects
  const state = { x: data.x, y: data.y, chosen: data.chosen, kept: false, width: 0 };
  let places = []; // {point, x, y} of the drawn points

  // Building elements

  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "path", "line", "circle", "text", "title"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const MARKS = {
    front: "M0-6.5A6.5 6.5 0 1 1 0 6.5A6.5 6.5 0 1 1 0-6.5Z",
    complete: "M0-4.5A4.5 4.5 0 1 1 0 4.5A4.5 4.5 0 1 1 0-4.5Z",
    reference: "M0-8L8 0L0 8L-8 0Z",
    stopped: ["M-4.5-3.5H4.5L0 4.5Z", "M-4-4H4V4H-4Z", "M-4.5 3.5H4.5L0-4.5Z", "M-5 0H5M0-5V5"],
    failed: "M-4-4L4 4M-4 4L4-4",
  };
  const markOf = (kind, rung) => (kind === "stopped" ? MARKS.stopped[rung % MARKS.stopped.length] : MARKS[kind]);

  // Numbers

  function text(column, value) {
    const number = value / column.scale;
    if (column.digits !== null) {
      return number.toLocaleString("en", { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits });
    }
    return String(Number(number.toPrecision(4)));
  }

  function ticks(low, high, log, most) {
    if (log) {
      for (const steps of [[1, 2, 5], [1, 3], [1]]) {
        const found = [];
        for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
          for (const step of steps) found.push(step * 10 ** power);
        }
        const within = found.filter((tick) => tick >= low * 0.9999 && tick <= high * 1.0001);
        if (within.length <= most + 2 && within.length > 1) return within;
      }
    }
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
    const found = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(Number(tick.toPrecision(12)));
    return found;
  }

  function scaleOf(key, from, to, held) {
    const values = held.flatMap((point) => [point.values[key], ...(point.errors[key] || [])]).map((v) => v / columns.get(key).scale);
    let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    const log = low > 0 && high > 12 * low;
    const bend = log ? Math.log10 : (value) => value;
    const room = (bend(high) - bend(low)) * 0.06 || Math.abs(bend(high)) * 0.05 || 1;
    const ends = [bend(low) - room, bend(high) + room];
    [low, high] = log ? ends.map((end) => 10 ** end) : ends;
    const at = (value) => from + ((bend(value) - ends[0]) / (ends[1] - ends[0])) * (to - from);
    return { low, high, log, at, of: (point) => at(point.values[key] / columns.get(key).scale) };
  }

  // The plot

  const visible = () =>
    data.points.filter((point) => shown.has(point.group) && [state.x, state.y].every((key) => key in point.values));

  function draw() {
    const box = byId("plot");
    const width = Math.max(280, box.clientWidth);
    const height = Math.round(Math.min(540, Math.max(320, width * 0.64)));
    const edge = { left: 58, right: 14, top: 12, bottom: 46 };
    const held = visible();
    const x = scaleOf(state.x, edge.left, width - edge.right, held);
    const y = scaleOf(state.y, height - edge.bottom, edge.top, held);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-describedby": "hint",
      "aria-label": `${columns.get(state.y).title} against ${columns.get(state.x).title}, ${held.length} candidates` });
    drawAxes(svg, x, y, width, height, edge);
    drawStaircase(svg, x, y, held, width - edge.right);
    svg.append(make("g", { id: "cross" }));
    const order = ["stopped", "complete", "front", "reference"];
    places = held.map((point) => ({ point, x: x.of(point), y: y.of(point) }));
    for (const place of [...places].sort((a, b) => order.indexOf(a.point.kind) - order.indexOf(b.point.kind))) {
      svg.append(drawPoint(place, x, y));
    }
    drawNames(svg, width - edge.right);
    svg.addEventListener("pointermove", (event) => event.pointerType !== "touch" && !state.kept && hover(event));
    svg.addEventListener("click", (event) => hover(event, true));
    svg.addEventListener("keydown", onKey);
    const focused = document.activeElement && document.activeElement.closest("#plot .point");
    box.replaceChildren(svg);
    mark();
    if (focused) focus(focused.dataset.id);
  }

  function drawAxes(svg, x, y, width, height, edge) {
    const [bottom, right] = [height - edge.bottom, width - edge.right];
    for (const tick of ticks(x.low, x.high, x.log, Math.max(3, Math.floor(width / 90)))) {
      const at = x.at(tick);
      svg.append(make("line", { class: "grid", x1: at, x2: at, y1: edge.top, y2: bottom }));
      svg.append(make("text", { x: at, y: bottom + 18, "text-anchor": "middle" }, tick.toLocaleString("en")));
    }
    for (const tick of ticks(y.low, y.high, y.log, 6)) {
      const at = y.at(tick);
      svg.append(make("line", { class: "grid", x1: edge.left, x2: right, y1: at, y2: at }));
      svg.append(make("text", { x: edge.left - 8, y: at + 4, "text-anchor": "end" }, tick.toLocaleString("en")));
    }
    svg.append(make("line", { class: "axis", x1: edge.left, x2: right, y1: bottom, y2: bottom }));
    svg.append(make("line", { class: "axis", x1: edge.left, x2: edge.left, y1: edge.top, y2: bottom }));
    const better = { "1": "more is better", "-1": "less is better" };
    const title = (key) => columns.get(key).title + (columns.get(key).better ? `, ${better[columns.get(key).better]}` : "");
    svg.append(make("text", { class: "axis-title", x: right, y: height - 8, "text-anchor": "end" }, title(state.x)));
    const turned = `rotate(-90 14 ${edge.top})`;
    svg.append(make("text", { class: "axis-title", x: 14, y: edge.top, "text-anchor": "end", transform: turned }, title(state.y)));
  }

  function drawStaircase(svg, x, y, held, right) {
    const [across, up] = [columns.get(state.x).better, columns.get(state.y).better];
    if (!across || !up || state.x === state.y) return;
    // At a rung, all candidates that reached it are compared; otherwise only complete ones.
    const atRung = columns.get(state.x).rung || columns.get(state.y).rung;
    const complete = held.filter((point) => point.kind === "front" || point.kind === "complete" || (atRung && point.kind === "stopped"));
    const gains = (point) => [across * point.values[state.x], up * point.values[state.y]];
    const best = complete.filter((point) => {
      const [a, b] = gains(point);
      return !complete.some((other) => { const [c, d] = gains(other); return c >= a && d >= b && (c > a || d > b); });
    }).sort((p, q) => p.values[state.x] - q.values[state.x]);
    if (!best.length) return;
    const steps = [`M${x.of(best[0])} ${y.of(best[0])}`];
    for (const point of best.slice(1)) steps.push(across < 0 ? `H${x.of(point)}V${y.of(point)}` : `V${y.of(point)}H${x.of(point)}`);
    if (across < 0) steps.push(`H${right}`);
    svg.append(make("path", { class: "staircase", d: steps.join("") }));
  }

  function drawPoint(place, x, y) {
    const { point } = place;
    const label = `${point.title}, ${point.state}: ${[state.y, state.x].map((key) => described(point, key)).join(", ")}`;
    const group = make("g", { class: `point ${point.kind}`, role: "button", tabindex: "-1", "data-id": point.id, "aria-label": label });
    const bar = (error, along) => {
      const [low, high] = error.map((value) => (along === "y" ? y : x).at(value / columns.get(along === "y" ? state.y : state.x).scale));
      const d = along === "y"
        ? `M${place.x} ${low}V${high}M${place.x - 3} ${low}h6M${place.x - 3} ${high}h6`
        : `M${low} ${place.y}H${high}M${low} ${place.y - 3}v6M${high} ${place.y - 3}v6`;
      group.append(make("path", { class: "bar", fill: "none", d }));
    };
    if (point.errors[state.y]) bar(point.errors[state.y], "y");
    if (point.errors[state.x]) bar(point.errors[state.x], "x");
    group.append(make("path", { class: "mark", d: markOf(point.kind, point.rung), transform: `translate(${place.x} ${place.y})` }));
    group.append(make("circle", { class: "ring", cx: place.x, cy: place.y, r: 11 }));
    group.addEventListener("focus", () => choose(point.id));
    return group;
  }

  function described(point, key) {
    const column = columns.get(key);
    const error = point.errors[key];
    const spread = error ? `, 95 % interval ${text(column, error[0])} to ${text(column, error[1])}` : "";
    return `${column.title} ${text(column, point.values[key])}${spread}`;
  }

  function drawNames(svg, right) {
    const taken = [];
    for (const place of places.filter((each) => each.point.kind === "reference")) {
      const width = place.point.title.length * 6.6;
      const tries = [[12, 4], [12, 20], [12, -12], [-12, 4], [-12, 20], [-12, -12]].map(([dx, dy]) => {
        const left = dx > 0 ? place.x + dx : place.x + dx - width;
        return { left, right: left + width, y: place.y + dy };
      });
      const cost = (box) =>
        (box.right > right || box.left < 60 ? 100 : 0) +
        places.filter((p) => p.x > box.left - 6 && p.x < box.right + 6 && Math.abs(p.y - box.y + 4) < 14).length +
        20 * taken.filter((other) => other.left < box.right && box.left < other.right && Math.abs(other.y - box.y) < 14).length;
      const best = tries.reduce((a, b) => (cost(b) < cost(a) ? b : a));
      taken.push(best);
      svg.append(make("text", { class: "name", x: best.left, y: best.y, "aria-hidden": "true" }, place.point.title));
    }
  }

  // Choosing a point

  function hover(event, keep = false) {
    const frame = byId("plot").firstElementChild.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    const near = places.map((place) => ({ place, far: Math.hypot(place.x - x, place.y - y) })).sort((a, b) => a.far - b.far)[0];
    if (near && near.far <= NEAR) {
      if (keep) state.kept = true;
      choose(near.place.point.id);
    } else if (keep) {
      state.kept = false;
      mark();
    }
  }

  function onKey(event) {
    const here = places.find((place) => place.point.id === state.chosen);
    const along = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1], Home: ["x", -2], End: ["x", 2] }[event.key];
    if (event.key === "Escape") state.kept = false;
    if (event.key === "Enter" || event.key === " ") state.kept = !state.kept;
    if (along || event.key === "Enter" || event.key === " ") event.preventDefault();
    if (!along) return mark();
    const [axis, step] = along;
    const other = axis === "x" ? "y" : "x";
    const row = [...places].sort((a, b) => a[axis] - b[axis] || a[other] - b[other]);
    const to = Math.abs(step) === 2 ? (step < 0 ? 0 : row.length - 1) : Math.min(row.length - 1, Math.max(0, row.indexOf(here) + step));
    if (row[to]) focus(row[to].point.id);
  }

  function focus(id) {
    const group = document.querySelector(`#plot [data-id="${CSS.escape(id)}"]`);
    if (group) group.focus({ preventScroll: true });
  }

  function mark() {
    const groups = [...document.querySelectorAll("#plot .point")];
    const chosen = groups.find((group) => group.dataset.id === state.chosen);
    for (const group of groups) {
      group.classList.toggle("chosen", group === chosen);
      group.setAttribute("aria-pressed", String(group === chosen && state.kept));
      group.setAttribute("tabindex", group === (chosen || groups[0]) ? "0" : "-1");
    }
    const place = places.find((each) => each.point.id === state.chosen);
    const svg = byId("plot").firstElementChild;
    const bottom = svg.viewBox.baseVal.height - 46;
    byId("cross").replaceChildren(...(place
      ? [make("line", { class: "cross", x1: 58, x2: place.x, y1: place.y, y2: place.y }),
         make("line", { class: "cross", x1: place.x, x2: place.x, y1: place.y, y2: bottom })]
      : []));
  }

  function choose(id) {
    const changed = state.chosen !== id;
    state.chosen = id;
    mark();
    if (changed) show();
  }

  // The panel

  function show() {
    const point = points.get(state.chosen);
    if (!point) return;
    byId("panel-title").textContent = point.title;
    byId("panel-kind").replaceChildren(`${point.state}. `, make("code", {}, point.hash));
    byId("panel-facts").replaceChildren(...point.facts.flatMap(([heading, rows]) => [
      make("h4", {}, heading),
      make("dl", {}, ...rows.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value)))),
    ]));
    byId("spec-body").textContent = point.spec;
    byId("spec-body").scrollTop = 0;
    byId("copy").textContent = "Copy";
    drawGraph(point);
  }

  async function drawGraph(point) {
    const body = byId("graph-body");
    const packed = data.graphs[point.graph];
    if (!packed) return body.replaceChildren(make("p", { class: "note" }, "This page has no drawing of it; archlab build --draw draws its spec."));
    if (!("DecompressionStream" in window)) {
      return body.replaceChildren(make("p", { class: "note" }, "This browser cannot decompress the drawing."));
    }
    const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const drawn = await new Response(stream).text();
    if (points.get(state.chosen) === point) body.innerHTML = drawn;
  }

  async function copy() {
    const body = byId("spec-body");
    try {
      await navigator.clipboard.writeText(body.textContent);
      byId("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(body);
      byId("copy").textContent = document.execCommand("copy") ? "Copied" : "Selected";
    }
  }

  // Controls

  function fill(select, key) {
    const groups = new Map();
    for (const column of data.columns) {
      if (!groups.has(column.group)) groups.set(column.group, make("optgroup", { label: column.group }));
      groups.get(column.group).append(make("option", { value: column.key }, column.title));
    }
    select.append(...groups.values());
    select.value = state[key];
    select.addEventListener("change", () => {
      state[key] = select.value;
      for (const kind of data.kinds) if (columns.get(select.value).rung) shown.add(kind.key);
      legend();
      draw();
    });
  }

  function legend() {
    byId("legend").replaceChildren(...data.kinds.map((kind) => {
      const icon = make("svg", { viewBox: "-9 -9 18 18", "aria-hidden": "true" },
        make("g", { class: kind.kind }, make("path", { class: "mark", d: markOf(kind.kind, kind.rung) })));
      const button = make("button", { type: "button", "aria-pressed": String(shown.has(kind.key)) }, icon, `${kind.label} (${kind.n})`);
      button.addEventListener("click", () => {
        if (!shown.delete(kind.key)) shown.add(kind.key);
        button.setAttribute("aria-pressed", String(shown.has(kind.key)));
        draw();
      });
      return button;
    }));
  }

  function start() {
    byId("explorer").hidden = false;
    fill(byId("x-axis"), "x");
    fill(byId("y-axis"), "y");
    legend();
    byId("copy").addEventListener("click", copy);
    for (const button of document.querySelectorAll("button[data-show]")) {
      button.addEventListener("click", () => {
        state.kept = true;
        choose(button.dataset.show);
        byId("explore").scrollIntoView();
        byId("panel-title").setAttribute("tabindex", "-1");
        byId("panel-title").focus({ preventScroll: true });
      });
    }
    new ResizeObserver(() => {
      if (byId("plot").clientWidth !== state.width) {
        state.width = byId("plot").clientWidth;
        draw();
      }
    }).observe(byId("plot"));
    state.width = byId("plot").clientWidth;
    draw();
    show();
  }

  if (data.points.length) start();
})();
