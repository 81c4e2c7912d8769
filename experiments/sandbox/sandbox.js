// The bench above the views: what is chosen, and what comes of it. The views are the report page's.

const TRIAL = { model: "", scenario: "register", topology: "home", phone: "", server: "", mitigation: "", seed: 1, exercise: "", captures: 0 };
Object.assign(START, TRIAL); // so they stand in the address, too
Object.assign(state, TRIAL);

let choices = null; // what Python says there is
let running = 0; // the number of the trial that is asked for: answers to others come too late
let last = ""; // what was asked for last

const say = (text, bad = false) => { byId("progress").textContent = text; byId("progress").classList.toggle("bad", bad); };

function present(document_, fresh) {
  book.entries = [{ title: document_.title, doc: "trial", outcome: "", failed: "", why: "" }];
  opened.set("trial", document_);
  loadVoices(document_.voices);
  document.body.dataset.shown = "true";
  state.doc = "trial";
  if (!fresh) return draw();
  const control = document_.variants.findIndex((each) => each.kind === "control");
  return go({ v: 0, b: innerWidth > 1250 && control > 0 ? control : -1, m: 0, side: 0, tab: "outcome", node: "" });
}

const trialAsked = () => ({
  model: state.model, scenario: state.scenario, topology: state.topology, phone: state.phone, server: state.server,
  mitigations: state.mitigation ? [state.mitigation] : [], seed: state.seed,
});

const wanted = () => JSON.stringify(state.captures ? ["captures"] : state.exercise ? [state.exercise, state.seed] : trialAsked());

async function runTrial(fresh = true) {
  const mine = ++running, source = state.model === "own" ? byId("source").value : "";
  const request = { ask: "run", asked: trialAsked(), source };
  last = wanted();
  delete document.body.dataset.done;
  say("Running…");
  const found = await ask(request);
  if (mine !== running) return;
  if (found.error) { document.body.dataset.done = "true"; return say(found.error, true); }
  const took = python.seconds;
  present(found.document, fresh);
  if (found.document.variants[0].trial.outcome === "fail") {
    say(`Ran in ${took.toFixed(2)} s. Trying remedies…`);
    const whole = await ask({ ...request, whole: true });
    if (mine !== running) return;
    if (!whole.error) present(whole.document, false);
  }
  say(`Ran in ${took.toFixed(2)} s.`);
  document.body.dataset.done = "true";
}

function options(name, none) {
  const made = (each) => el("option", { value: each.id, disabled: Boolean(each.lacking), title: each.lacking || each.summary, selected: state[name] === each.id }, each.lacking ? `${each.id} (${each.lacking})` : each.id);
  const known = choices[name], groups = [...new Set(known.map((each) => each.group))];
  return [
    none === undefined ? null : el("option", { value: "" }, none),
    name === "model" ? el("option", { value: "own", selected: state.model === "own" }, "a model of your own…") : null,
    known.length && known.some((each) => each.id === state[name]) || !state[name] || state[name] === "own" ? null : el("option", { value: state[name], selected: true }, state[name]),
    ...(groups[0] === undefined ? known.map(made) : groups.map((group) => el("optgroup", { label: group }, known.filter((each) => each.group === group).map(made)))),
  ];
}

const wholeNumber = (text) => Math.trunc(Number(text)) || 0;
const seedField = (onchange) => el("label", {}, "seed", el("input", { type: "number", name: "seed", min: "0", step: "1", value: state.seed, onchange }));

function chooser(name, title, none) {
  return el("label", {}, title, el("select", { name, onchange: (event) => { if (name === "model") byId("own").hidden = event.target.value !== "own"; } }, options(name, none)));
}

function bench() {
  const { defaults } = choices;
  const stop = el("button", { type: "button", onclick: stopTrial }, "Stop");
  const form = el("form", { id: "trial", "aria-label": "A trial" },
    chooser("model", "router"), chooser("scenario", "what happens"), chooser("phone", "phone", `default (${defaults.phone})`),
    chooser("server", "server", `default (${defaults.server})`), chooser("topology", "network"), chooser("mitigation", "remedy", "none"),
    seedField(),
    el("button", { class: "main" }, "Run"), stop);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    Object.assign(state, given, { seed: wholeNumber(given.seed) });
    writeHash();
    runTrial();
  });
  return [form, el("div", { id: "own", hidden: state.model !== "own" },
    el("label", { for: "source" }, "The model, in Python"),
    el("textarea", { id: "source", spellcheck: "false" }, choices.own))];
}

async function stopTrial() {
  running++;
  last = "";
  stopPython();
  await startPython(say);
  say("Stopped.");
  document.body.dataset.done = "true";
}

function drawBench() {
  const mode = (title, pressed, chosen) => el("button", { "aria-pressed": String(pressed), onclick: () => enter(chosen) }, title);
  byId("bench").replaceChildren(el("div", { class: "title" }, el("h1", {}, "siplab sandbox"),
    el("div", { class: "bar", role: "group", "aria-label": "What to do", style: "margin:0" },
      mode("Routers", !state.exercise && !state.captures, {}), mode("Exercises", Boolean(state.exercise), { exercise: choices.exercises[0].id }),
      ...(choices.captures ? [mode("Captures", Boolean(state.captures), { captures: 1 })] : []))),
  ...(state.captures ? capturesView() : state.exercise ? exerciseView() : bench()));
}

// From one to the other nothing is left of what was chosen: no name of a router stands beside an exercise.
function enter(chosen) {
  Object.assign(state, TRIAL, { seed: state.seed }, chosen);
  delete document.body.dataset.shown;
  return begin();
}

function begin(fresh = true) {
  if (!choices.captures) state.captures = 0; // a link to another build
  if (!state.exercise && !state.captures) {
    state.model ||= choices.defaults.model;
    drawBench();
  }
  writeHash();
  return state.captures ? openCaptures() : state.exercise ? openExercise(fresh) : runTrial(fresh);
}

addEventListener("hashchange", () => { if (choices && wanted() !== last) begin(); });

(async () => {
  await startPython(say);
  const found = await ask({ ask: "choices" });
  if (found.error) throw new Error(found.error);
  choices = { ...found, ...await ask({ ask: "exercises" }) };
  readHash();
  await begin(!state.v && !state.m);
})().catch((error) => {
  say("DecompressionStream" in window ? `Python does not start here: ${error.message}` : "This browser is too old for this page: any of the years since 2023 will do.", true);
  document.body.dataset.failed = "true";
});

globalThis.siplab = { ask }; // for other pages and tests: ask({ ask: "run", asked: { model: "correct", scenario: "register" } })
