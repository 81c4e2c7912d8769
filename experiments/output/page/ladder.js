// The ladder: one row per message, from its sender to its receiver. Two ladders side by side have equal rows.

function rowsOf(trial) {
  const folded = state.fold
    ? trial.rows
    : trial.messages.map((each) => ({ messages: [each.number], times: each.packets, until: each.packets > 1 ? each.until : null, counted: !each.signalling }));
  const wanted = state.q.trim().toLowerCase();
  return folded.map((row) => ({ ...row, first: trial.messages[row.messages[0] - 1] })).filter(({ first, counted }) => {
    if (counted && !state.media) return false;
    if (state.only && !first.altered.length && !first.failed) return false;
    if (state.node && !first.path.includes(state.node) && first.aim !== state.node) return false;
    return !wanted || [first.label, ...first.path, ...first.notes, first.text].some((each) => each.toLowerCase().includes(wanted));
  });
}

const likeness = ({ first }) => [first.label, first.path[0], first.aim].join("\n");

// The longest common row of both ladders; what one of them lacks is a gap in it.
function aligned(one, other) {
  const a = one.map(likeness), b = other.map(likeness), n = a.length, m = b.length;
  if (n * m > 4e6) return [one, other];
  const best = Array.from({ length: n + 1 }, () => new Int32Array(m + 1));
  for (let i = n - 1; i >= 0; i--) for (let j = m - 1; j >= 0; j--)
    best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  const left = [], right = [];
  for (let i = 0, j = 0; i < n || j < m;) {
    if (i < n && j < m && a[i] === b[j]) { left.push(one[i++]); right.push(other[j++]); }
    else if (j >= m || (i < n && best[i + 1][j] >= best[i][j + 1])) { left.push(one[i++]); right.push(null); }
    else { left.push(null); right.push(other[j++]); }
  }
  return [left, right];
}

function shape(trial, width) {
  const narrow = width < 640, count = Math.max(trial.nodes.length, 1);
  const left = narrow ? 24 : 74, words = narrow ? 24 : Math.min(270, width * .36);
  const gap = (width - left - words - (narrow ? 0 : 40)) / Math.max(count - 1, 1);
  const at = new Map(trial.nodes.map((node, number) => [node.name, left + (narrow ? 16 : 20) + (gap - (narrow ? 32 / count : 0)) * number]));
  return { narrow, width, at, words: width - words, height: narrow ? 40 : 28, gap };
}

function heads(trial, s) {
  const high = trial.nodes.length > 4 && s.gap < 95;
  const picture = svg("svg", { width: s.width, height: high ? 52 : 38, "aria-hidden": "true" });
  trial.nodes.forEach((node, number) => {
    const y = high && number % 2 ? 28 : 13, x = s.at.get(node.name);
    const anchor = s.narrow && number === 0 ? "start" : s.narrow && number === trial.nodes.length - 1 ? "end" : "middle";
    const x2 = anchor === "start" ? 4 : anchor === "end" ? s.width - 4 : x;
    const below = node.kind === "gateway" ? (node.model === "none" ? "no ALG" : node.model || "no ALG") : node.addresses[0] || "";
    picture.append(
      svg("text", { class: "name", x: x2, y, "text-anchor": anchor }, node.name),
      svg("text", { class: "minor", x: x2, y: y + 14, "text-anchor": anchor, style: s.narrow ? "font-size:9.5px" : null }, below.length > 18 ? below.slice(0, 17) + "…" : below));
  });
  return picture;
}

function words(row, s) {
  const { first } = row;
  let text = first.label + (row.times > 1 || row.counted ? ` ×${row.times}` : "") + (row.repeated ? " (sent again)" : "");
  const most = Math.floor((s.narrow ? s.width - 70 : s.width - s.words - 6) / 7.6);
  if (first.failed && first.notes.length && text.length + 8 < most) text += ` · ${first.notes[0].replace(/^X /, "")}`;
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

function drawnRow(trial, row, s, top, side, guilty) {
  const { first } = row, y = top + (s.narrow ? 27 : s.height / 2), picked = state.side === side && row.messages.includes(state.m);
  const changes = first.altered.map((each) => `changed by ${each.gateway}`).join(", ");
  const spoken = `${seconds(first.time)} seconds: ${first.label}${row.times > 1 ? `, ${row.times} times` : ""}` +
    (first.path.length ? `, ${first.path[0]} to ${first.path.at(-1)}` : "") + (changes ? `, ${changes}` : "") + (first.failed ? ", ended on the way" : "");
  const group = svg("g", {
    class: ["row", first.altered.length && "changed", first.failed && "bad", row.counted ? "media" : "signalling", picked && "picked"].filter(Boolean).join(" "),
    role: "option", "aria-selected": String(picked), tabindex: "-1", "data-side": side, "data-message": first.number,
    onclick: () => choose(side, first.number, true),
  }, svg("title", {}, visible([spoken, ...first.notes].join("\n"))),
  svg("rect", { class: "hit", x: 1, y: top + 1, width: s.width - 2, height: s.height - 2, rx: 5 }));
  const path = first.path.filter((node) => s.at.has(node));
  const label = visible(words(row, s)), time = seconds(first.time);
  if (s.narrow) { // above the arrow, and as far in its middle as there is room
    const ends = path.length ? [path[0], path.at(-1)].map((node) => s.at.get(node)) : [s.width / 2, s.width / 2];
    const half = label.length * 4.1, x = Math.min(Math.max((ends[0] + ends[1]) / 2, 50 + half), s.width - 6 - half);
    group.append(svg("text", { class: "time", x: 4, y: top + 14 }, time), svg("text", { class: "label", x, y: top + 15, "text-anchor": "middle" }, label));
  } else group.append(svg("text", { class: "time", x: 60, y: y + 4, "text-anchor": "end" }, time), svg("text", { class: "label", x: s.words + 6, y: y + 4 }, label));
  if (path.length) {
    const begin = s.at.get(path[0]), last = s.at.get(path.at(-1)), aim = s.at.get(first.aim) ?? last;
    const way = path.length > 1 ? Math.sign(last - begin) || 1 : Math.sign(aim - begin) || (begin > s.width / 2 ? -1 : 1);
    const end = first.fell_short ? last + way * Math.min(s.gap * .45, 60) : last;
    group.append(svg("line", { class: "arrow", x1: begin, x2: end - way * (first.failed ? 0 : 5), y1: y, y2: y }), svg("circle", { class: "tip", cx: begin, cy: y, r: 2.5 }));
    if (first.failed) group.append(svg("path", { class: "arrow cross", d: `M${end - 5} ${y - 5}l10 10m0 -10l-10 10` }));
    else if (end !== begin) group.append(svg("path", { class: "tip", d: `M${end} ${y}l${-9 * way} -5v10z` }));
    const altered = new Map(first.altered.map((each) => [each.gateway, each.change]));
    for (const node of path.slice(1)) {
      if (altered.has(node)) group.append(svg("circle", { class: "badge", cx: s.at.get(node), cy: y, r: 9 }), svg("text", { class: "badge-text", x: s.at.get(node), y: y + 4, "text-anchor": "middle" }, altered.get(node)));
      else if (node !== path.at(-1) && trial.nodes.find((each) => each.name === node).kind === "gateway") group.append(svg("circle", { class: "tip", cx: s.at.get(node), cy: y, r: 3 }));
    }
  }
  if (row.messages.some((each) => guilty.has(each))) {
    const x = s.narrow ? s.width - 14 : s.words - 8;
    group.append(svg("circle", { class: "guilty", cx: x, cy: y, r: 8 }), svg("path", { class: "guilty-mark", d: `M${x} ${y - 5}v6m0 2.5v2` }));
  }
  return group;
}

function pane(variant, rows, side, width) {
  const { trial } = variant, s = shape(trial, width), guilty = new Set(trial.checks.map((each) => each.cause?.message).filter(Boolean));
  const picture = svg("svg", { width: s.width, height: s.height * rows.length + 12, role: "listbox", tabindex: rows.length ? null : "-1", "aria-label": `Messages: ${variant.name}` });
  for (const x of s.at.values()) picture.append(svg("line", { class: "life", x1: x, x2: x, y1: 0, y2: s.height * rows.length + 8 }));
  rows.forEach((row, number) => picture.append(row
    ? drawnRow(trial, row, s, 4 + s.height * number, side, guilty)
    : svg("g", { class: "gap", role: "presentation" }, svg("rect", { class: "hit", x: 1, y: 5 + s.height * number, width: s.width - 2, height: s.height - 2 }), svg("text", { x: s.narrow ? 62 : s.words + 6, y: 4 + s.height * number + (s.narrow ? 26 : s.height / 2 + 4) }, "— nothing here —"))));
  const reachable = picture.querySelector(".row.picked") || picture.querySelector(".row");
  if (reachable) reachable.setAttribute("tabindex", "0");
  return el("div", { class: "pane", "data-side": side }, el("div", { class: "top" }, el("h2", {}, visible(variant.name), " ", verdict(trial.outcome)), heads(trial, s)),
    rows.some(Boolean) ? null : el("p", { class: "quiet" }, "No message is left: change the filter."), picture);
}

function drawLadders(doc) {
  const shown = [doc.variants[state.v], ...(state.b >= 0 && state.b !== state.v && doc.variants[state.b] ? [doc.variants[state.b]] : [])];
  const room = byId("ladders"), place = room.scrollTop;
  const width = Math.max(room.clientWidth / shown.length - 26, 330);
  const lists = shown.map((each) => rowsOf(each.trial));
  const equal = shown.length === 2 ? aligned(...lists) : lists;
  room.replaceChildren(...shown.map((each, side) => pane(each, equal[side], side, width)));
  room.scrollTop = place;
}

const allRows = (side) => [...document.querySelectorAll(`.pane[data-side="${side}"] .row`)];
