// Puts the page together, and follows keyboard, mouse and hash.

let book = null; // entries of the index, voices, and a loader for each trial
const opened = new Map();

async function unpacked(id) {
  const packed = Uint8Array.from(atob(byId(id).textContent.trim()), (each) => each.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const current = () => opened.get(state.doc) || null;
const shownVariants = (doc) => [doc.variants[state.v], ...(state.b >= 0 && state.b !== state.v && doc.variants[state.b] ? [doc.variants[state.b]] : [])];

function choose(side, message, focus) {
  go({ side, m: message, tab: "message" });
  const row = document.querySelector(".row.picked");
  if (row) { row.scrollIntoView({ block: "nearest" }); if (focus) row.focus({ preventScroll: true }); }
  if (focus && matchMedia("(max-width: 900px)").matches) byId("message-title")?.scrollIntoView({ block: "start" });
}

const nameOf = (element) => element && (element.getAttribute("aria-label") || element.dataset?.cell || element.dataset?.node || (/^(BUTTON|INPUT)$/.test(element.tagName) ? element.closest("label, button").textContent : ""));
const box = (name, title) => el("label", {}, el("input", { type: "checkbox", checked: Boolean(state[name]), onchange: (event) => go({ [name]: Number(event.target.checked) }) }), ` ${title}`);

function header(doc) {
  const asked = doc.variants[0].trial;
  const failed = asked.checks.filter((each) => !each.passed).length;
  const search = el("input", { type: "search", placeholder: "filter messages", "aria-label": "Filter messages", value: state.q });
  search.addEventListener("input", () => { state.q = search.value; writeHash(); drawLadders(doc); });
  return [
    el("div", { class: "title" }, book.entries.length > 1 || book.matrix ? el("button", { class: "plain", onclick: () => go({ ...START, theme: state.theme, remedy: state.remedy, set: state.set, cell: state.cell }) }, "◀ all trials") : null,
      el("h1", {}, visible(`${doc.played || "A trial"} through ${doc.model}`)), verdict(asked.outcome),
      failed ? el("span", { class: "quiet" }, `${failed} of ${asked.checks.length} checks failed`) : null, el("span", { class: "rest" }),
      el("button", { class: "plain", "aria-label": "Light or dark", onclick: () => go({ theme: dark() ? "light" : "dark" }) }, dark() ? "☀" : "☾")),
    el("p", { class: "quiet small" }, visible([doc.model_about, doc.played_about].filter(Boolean).join(" · "))),
    el("div", { class: "bar controls" },
      el("div", { class: "bar", role: "group", "aria-label": "Trial", style: "margin:0" }, doc.variants.map((each, at) =>
        el("button", { "aria-pressed": String(state.v === at), onclick: () => go({ v: at, b: state.b === at ? state.v : state.b, m: 0, tab: state.tab === "message" ? "outcome" : state.tab }) }, visible(each.name), verdict(each.trial.outcome)))),
      doc.variants.length > 1 ? el("label", {}, "beside ", el("select", { "aria-label": "Beside it", onchange: (event) => go({ b: Number(event.target.value) }) },
        el("option", { value: "-1" }, "nothing"), doc.variants.map((each, at) => at === state.v ? null : el("option", { value: at, selected: state.b === at }, visible(each.name))))) : null,
      search, box("only", "changed or lost only"), box("media", "media"), box("fold", "fold repetitions"),
      state.node ? el("button", { onclick: () => go({ node: "" }) }, `only ${visible(state.node)} ✕`) : null),
  ];
}

function dock(doc) {
  const variants = shownVariants(doc), tabs = [["outcome", "Outcome"], ["message", "Message"], ["sound", "Sound"], ["network", "Network"]];
  const content = {
    outcome: () => outcomeView(doc, variants), message: () => messageView((variants[state.side] || variants[0]).trial, state.m),
    sound: () => soundView(variants), network: () => networkView(doc),
  }[state.tab] || (() => outcomeView(doc, variants));
  return [
    el("div", { class: "tabs", role: "tablist", "aria-label": "Details" }, tabs.map(([id, title]) =>
      el("button", { role: "tab", id: `tab-${id}`, "aria-selected": String(state.tab === id), "aria-controls": "panel", onclick: () => { go({ tab: id }); byId(`tab-${id}`).focus(); } }, title))),
    el("div", { role: "tabpanel", id: "panel", "aria-labelledby": `tab-${state.tab}` }, content()),
  ];
}

function indexView() {
  return [el("div", { class: "title" }, el("h1", {}, visible(book.title)), el("span", { class: "rest" }),
    el("button", { class: "plain", "aria-label": "Light or dark", onclick: () => go({ theme: dark() ? "light" : "dark" }) }, dark() ? "☀" : "☾")),
  el("p", { class: "quiet" }, visible(book.about))];
}

function indexTable() {
  const search = el("input", { type: "search", placeholder: "filter trials", "aria-label": "Filter trials", value: state.q });
  const rows = el("tbody");
  const fill = () => rows.replaceChildren(...book.entries.filter((each) => !state.q.trim() || `${each.title} ${each.outcome} ${each.failed}`.toLowerCase().includes(state.q.trim().toLowerCase())).map((each) =>
    el("tr", {}, el("td", {}, each.doc ? el("button", { onclick: () => openDoc(each.doc) }, visible(each.title)) : visible(each.title)), el("td", {}, verdict(each.outcome)), el("td", {}, visible(each.failed)), el("td", { class: "quiet small" }, visible(each.why)))));
  search.addEventListener("input", () => { state.q = search.value; writeHash(); fill(); });
  fill();
  return el("section", { class: "index", "aria-label": "All trials", }, el("div", { class: "bar" }, search), ...book.left_out.map((each) => el("p", { class: "quiet" }, visible(each))),
    el("table", {}, el("thead", {}, el("tr", {}, ["trial", "outcome", "what failed first", ""].map((each) => el("th", { scope: "col" }, each)))), rows));
}

const dark = () => state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

function draw() {
  const doc = current(), main = byId("main"), focused = nameOf(document.activeElement);
  stopSound();
  document.documentElement.dataset.theme = state.theme;
  byId("status").textContent = "";
  if (!doc) {
    byId("head").replaceChildren(...indexView());
    if (!book.matrix) return main.replaceChildren(indexTable());
    const table = byId("matrix"), place = table ? [table.scrollLeft, table.scrollTop] : [0, 0];
    main.replaceChildren(...matrixView());
    document.documentElement.style.setProperty("--room", `${Math.max(360, innerHeight - byId("head").offsetHeight)}px`);
    [byId("matrix").scrollLeft, byId("matrix").scrollTop] = place;
    return refocus(focused);
  }
  if (!byId("ladders")) main.replaceChildren(el("section", { id: "ladders", "aria-label": "Messages" }), el("aside", { id: "dock", "aria-label": "Details" }));
  if (!doc.variants[state.v]) state.v = 0;
  byId("head").replaceChildren(...header(doc).filter(Boolean));
  document.documentElement.style.setProperty("--room", `${Math.max(360, innerHeight - byId("head").offsetHeight)}px`);
  drawLadders(doc);
  byId("dock").replaceChildren(...dock(doc));
  refocus(focused);
}

function refocus(focused) {
  if (focused) [...document.querySelectorAll("button, select, input, .box")].find((each) => nameOf(each) === focused)?.focus({ preventScroll: true });
}

// A page of one trial has no index.
const only = () => book.entries.length === 1 && !book.matrix ? book.entries[0].doc : "";

// What the hash names may be anything.
async function load() {
  if (!book.entries.some((each) => each.doc && each.doc === state.doc)) state.doc = only();
  if (state.doc && !opened.has(state.doc)) opened.set(state.doc, await unpacked(state.doc));
}

async function openDoc(id) {
  state.doc = id;
  await load();
  const doc = opened.get(id), control = doc.variants.findIndex((each) => each.kind === "control");
  go({ ...START, theme: state.theme, remedy: state.remedy, set: state.set, cell: state.cell, doc: id, b: innerWidth > 1250 && control > 0 ? control : -1 });
  scrollTo(0, 0);
}

addEventListener("keydown", (event) => {
  if (!current() || event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const rows = allRows(state.side), at = rows.findIndex((each) => each.classList.contains("picked"));
  const onRow = event.target.closest?.(".row"), from = at >= 0 ? at : onRow ? rows.indexOf(onRow) - 1 : -1;
  let to = null;
  if (event.target.getAttribute?.("role") === "tab" && /^Arrow(Left|Right)$/.test(event.key)) {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    tabs[(tabs.indexOf(event.target) + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length].click();
    return;
  }
  if (event.key === "ArrowDown") to = rows[from + 1];
  else if (event.key === "ArrowUp") to = rows[from - 1];
  else if (event.key === "Home") to = rows[0];
  else if (event.key === "End") to = rows.at(-1);
  else if (event.key === "n") to = rows.slice(from + 1).find((each) => each.classList.contains("changed"));
  else if (event.key === "p") to = rows.slice(0, Math.max(from, 0)).reverse().find((each) => each.classList.contains("changed"));
  else if (event.key === "Escape") { go({ m: 0, tab: "outcome" }); return; }
  else if ((event.key === "Enter" || event.key === " ") && onRow) to = onRow;
  else if (/^Arrow(Left|Right)$/.test(event.key) && onRow) {
    const side = event.key === "ArrowRight" ? 1 : 0, other = allRows(side);
    to = other[Math.min(from, other.length - 1)];
  }
  if (to) { event.preventDefault(); choose(Number(to.dataset.side), Number(to.dataset.message), true); }
});

addEventListener("hashchange", async () => {
  readHash();
  await load();
  draw();
});
let resized = 0;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => { if (!playing) draw(); }, 100); });
addEventListener("beforeprint", () => draw());

(async () => {
  book = await unpacked("book");
  loadVoices(book.voices);
  const known = readHash();
  if (known.size === 0 && only()) await openDoc(only());
  else {
    await load();
    draw();
  }
  document.body.dataset.ready = "true";
})().catch((error) => {
  byId("status").textContent = "DecompressionStream" in window ? `This page is damaged: ${error.message}` : "This browser is too old for this page: any of the years since 2023 will do.";
});
