// The table of compatibility: routers by scenarios, for one remedy and one setting at a time.

const MARKS = { works: "✓", fails: "✗", varies: "◐", invalid: "!", unknown: "?", impossible: "–" };
const WORDS = { works: "works", fails: "fails", varies: "varies", invalid: "invalid", unknown: "nobody knows", impossible: "not possible" };
const cellId = (key) => [key.subject, key.scenario, key.remedy, key.topology, key.phone, key.server].join("|");
const settingName = ([topology, phone, server]) => [topology, phone && `phone ${phone}`, server && `server ${server}`].filter(Boolean).join(", ");
let cellsById = null, cellsBefore = null;

function lookUp(table) {
  cellsById ??= new Map(table.cells.map((each) => [cellId(each.key), each]));
  cellsBefore ??= new Map((book.before ? book.before.cells : []).map((each) => [cellId(each.key), each]));
}

function keyOf(table, subject, scenario, remedy) {
  const [topology, phone, server] = table.settings[state.set] || table.settings[0];
  return { subject, scenario, remedy, topology, phone, server };
}

const said = (cell) => cell.status === "fails" || cell.status === "varies" ? cell.check : WORDS[cell.status];
const percent = (share) => Math.round(100 * share);
const interval = (cell) => cell.low == null ? "" : ` (${percent(cell.low)}..${percent(cell.high)} %)`; // Wilson's, of 95 %
const counted = (cell) => cell.trials > 1 ? ` ${cell.working}/${cell.trials}${interval(cell)}` : "";
const differs = (cell) => {
  if (!book.before) return false;
  const old = cellsBefore.get(cellId(cell.key));
  return !old || old.status !== cell.status || old.check !== cell.check || old.working !== cell.working;
};
const cures = (table, cell) => cell.status === "fails" || cell.status === "varies"
  ? table.remedies.filter((remedy) => remedy && remedy !== cell.key.remedy && cellsById.get(cellId({ ...cell.key, remedy }))?.status === "works") : [];

function shownSubjects(table) {
  const wanted = state.q.trim().toLowerCase(), remedy = table.remedies[state.remedy] ?? "";
  return table.subjects.filter((each) => (each.known || !state.hide) && (!wanted || `${each.id} ${each.name} ${each.kind} ${each.evidence}`.toLowerCase().includes(wanted)) &&
    (!state.only || table.scenarios.some((scenario) => { const cell = cellsById.get(cellId(keyOf(table, each.id, scenario, remedy))); return cell && (book.before ? differs(cell) : cell.status === "fails" || cell.status === "varies"); })));
}

function matrixCell(table, subject, scenario, remedy) {
  const key = keyOf(table, subject.id, scenario, remedy), cell = cellsById.get(cellId(key));
  if (!cell) return el("td", { class: "cell impossible" }, "–");
  const cured = cures(table, cell);
  return el("td", { class: `cell ${cell.status}${differs(cell) ? " differs" : ""}` },
    el("button", { "aria-pressed": String(state.cell === cellId(key)), "data-cell": cellId(key), onclick: () => go({ cell: cellId(key) }) },
      `${MARKS[cell.status]} ${visible(said(cell))}${counted(cell)}`, cured.length ? el("span", { class: "cured" }, `cured by ${cured.length === 1 ? cured[0] : `${cured.length} remedies`}`) : null));
}

function cellDetail(table) {
  const cell = cellsById.get(state.cell);
  if (!cell) return el("p", { class: "quiet" }, "Choose a cell to see what a user notices, and what cures it.");
  const subject = table.subjects.find((each) => each.id === cell.key.subject), old = cellsBefore.get(state.cell), cured = cures(table, cell);
  return el("div", {},
    el("h2", {}, visible(`${subject.name}: ${cell.key.scenario}`)), el("p", {}, el("span", { class: `verdict ${{ works: "pass", fails: "fail" }[cell.status] || "unsure"}` }, `${MARKS[cell.status]} ${WORDS[cell.status]}${counted(cell)}`)),
    cell.symptom ? el("p", { class: "why" }, el("strong", {}, visible(`${cell.check}: `)), visible(cell.symptom)) : null, cell.why ? el("p", { class: "quiet" }, visible(cell.why)) : null,
    old && differs(cell) ? el("p", { class: "rule" }, `Before: ${WORDS[old.status]}${old.check ? ` (${visible(old.check)})` : ""}${counted(old)}`) : null,
    el("dl", { class: "facts" }, el("dt", {}, "router"), el("dd", {}, visible(subject.about)), el("dt", {}, "evidence"), el("dd", {}, visible(subject.evidence || "none")),
      el("dt", {}, "remedy"), el("dd", {}, cell.key.remedy || "none"), el("dt", {}, "setting"), el("dd", {}, settingName([cell.key.topology, cell.key.phone, cell.key.server])),
      cell.trials ? [el("dt", {}, "packets changed"), el("dd", {}, String(cell.changed))] : null),
    cured.length ? el("div", {}, el("h3", {}, "Cured by"), el("ul", { class: "remedies" }, cured.map((remedy) => el("li", {}, el("button", { onclick: () => go({ remedy: table.remedies.indexOf(remedy), cell: cellId({ ...cell.key, remedy }) }) }, remedy))))) : null,
    cell.doc ? el("p", {}, el("button", { onclick: () => openDoc(cell.doc) }, "Open its report")) : null,
    cell.command ? el("div", {}, el("h3", {}, "The command that shows it"), el("code", { class: "command", tabindex: "0" }, cell.command)) : null);
}

function saved(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function viewAsCsv(table) {
  const remedy = table.remedies[state.remedy] ?? "", quoted = (text) => `"${String(text).replace(/"/g, '""')}"`;
  const rows = shownSubjects(table).map((each) => [each.id, each.evidence, ...table.scenarios.map((scenario) => { const cell = cellsById.get(cellId(keyOf(table, each.id, scenario, remedy))); return cell ? said(cell) + counted(cell) : ""; })]);
  return [["router", "evidence", ...table.scenarios], ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

function viewAsSvg(table) {
  const remedy = table.remedies[state.remedy] ?? "", rows = shownSubjects(table), wide = 92, left = 190, top = 110, high = 22;
  const colours = { works: "#dcf3e2", fails: "#fde7e5", varies: "#fff0d4", invalid: "#fff0d4", unknown: "#eceff3", impossible: "#ffffff" };
  const picture = svg("svg", { xmlns: SVG, width: left + wide * table.scenarios.length + 10, height: top + high * rows.length + 10, "font-family": "sans-serif", "font-size": 11 });
  table.scenarios.forEach((each, at) => picture.append(svg("text", { x: 0, y: 0, transform: `translate(${left + wide * at + 12},${top - 8}) rotate(-35)` }, each)));
  rows.forEach((each, row) => {
    picture.append(svg("text", { x: 4, y: top + high * row + 15 }, each.id));
    table.scenarios.forEach((scenario, at) => {
      const cell = cellsById.get(cellId(keyOf(table, each.id, scenario, remedy)));
      if (!cell) return;
      const text = `${MARKS[cell.status]} ${said(cell)}${counted(cell)}`;
      picture.append(svg("rect", { x: left + wide * at, y: top + high * row, width: wide - 2, height: high - 2, fill: colours[cell.status] }), svg("text", { x: left + wide * at + 4, y: top + high * row + 14 }, text.length > 15 ? text.slice(0, 14) + "…" : text));
    });
  });
  return new XMLSerializer().serializeToString(picture);
}

function matrixView() {
  const table = book.matrix;
  lookUp(table);
  const remedy = table.remedies[state.remedy] ?? "", search = el("input", { type: "search", placeholder: "filter routers", "aria-label": "Filter routers", value: state.q });
  const body = el("tbody"), fill = () => body.replaceChildren(...shownSubjects(table).map((each) =>
    el("tr", {}, el("th", { scope: "row" }, visible(each.id), el("span", { class: "cured" }, each.kind === "vendor" ? `${visible(each.name)}; ${each.evidence}` : each.evidence)),
      table.scenarios.map((scenario) => matrixCell(table, each, scenario, remedy)))));
  search.addEventListener("input", () => { state.q = search.value; writeHash(); fill(); });
  fill();
  const choice = (title, name, options) => options.length > 1 ? el("label", {}, `${title} `, el("select", { "aria-label": title, onchange: (event) => go({ [name]: Number(event.target.value) }) }, options.map((each, at) => el("option", { value: at, selected: state[name] === at }, each)))) : null;
  return [
    el("section", { id: "matrix", "aria-label": "Compatibility", tabindex: "0" },
      el("div", { class: "bar controls" }, search, choice("remedy", "remedy", table.remedies.map((each) => each || "none")), choice("setting", "set", table.settings.map(settingName)),
        box("hide", "hide what nobody knows"), box("only", book.before ? "differences only" : "failing only"),
        el("button", { onclick: () => saved("compatibility.csv", "text/csv", viewAsCsv(table)) }, "CSV"), el("button", { onclick: () => saved("compatibility.svg", "image/svg+xml", viewAsSvg(table)) }, "SVG")),
      el("table", { class: "matrix" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "router"), table.scenarios.map((each) => el("th", { scope: "col" }, each)))), body)),
    el("aside", { id: "dock", "aria-label": "Details" }, cellDetail(table)),
  ];
}
