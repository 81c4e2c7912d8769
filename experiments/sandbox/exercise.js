// Exercises: the router's model stays with Python until the answer is right, or asked for.

let exercise = null; // what is asked, and what was said to it so far
const SOLVED = "siplab.solved"; // where a browser keeps which ones are done

function solvedOnes() {
  try { return new Set(JSON.parse(localStorage.getItem(SOLVED) || "[]")); } catch { return new Set(); } // a private window
}

function tick(id) {
  try { localStorage.setItem(SOLVED, JSON.stringify([...solvedOnes().add(id)])); } catch { /* it is not kept, then */ }
}

async function openExercise(fresh) {
  const mine = ++running;
  last = wanted();
  exercise = null;
  delete document.body.dataset.done;
  drawBench();
  say("Running…");
  const found = await ask({ ask: "exercise", name: state.exercise, seed: state.seed });
  if (mine !== running) return;
  document.body.dataset.done = "true";
  if (found.error) return say(found.error, true);
  say("");
  exercise = { ...found, said: [], answered: false };
  present(found.document, fresh);
  drawBench();
}

// `kind`: right, wrong, or nothing of both.
function tell(kind, ...text) {
  exercise.said.push(el("p", { class: `said ${kind}` }, ...text));
  const place = byId("said");
  place.replaceChildren(...exercise.said);
  place.lastChild.scrollIntoView({ block: "nearest" });
}

const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

async function checkAnswer(form) {
  const given = new FormData(form), mine = running;
  if (given.get("cause") === null) return tell("", "Choose what is wrong, first.");
  const found = await ask({ ask: "judge", name: state.exercise, cause: exercise.causes[Number(given.get("cause"))], remedies: given.getAll("remedy") });
  if (mine !== running) return;
  if (found.right) {
    tick(state.exercise);
    return showAnswer("Right.");
  }
  const missing = found.missed ? `${plural(found.missed, "remedy that helps is", "remedies that help are")} missing` : "";
  const useless = found.useless ? `${plural(found.useless, "of those chosen does", "of those chosen do")} not help` : "";
  tell("wrong", found.cause ? "That is what is wrong." : "Something else is wrong.", " ", missing || useless ? `Of the remedies, ${[missing, useless].filter(Boolean).join(", and ")}.` : "The remedies are right.");
}

async function nextHint() {
  exercise.hinted = exercise.hinted ?? 0;
  if (exercise.hinted >= exercise.hints) return tell("", "There is no further hint.");
  const found = await ask({ ask: "hint", name: state.exercise, number: exercise.hinted++ });
  tell("", `Hint ${exercise.hinted} of ${exercise.hints}: `, visible(found.hint));
}

async function showAnswer(word) {
  const mine = running;
  const found = await ask({ ask: "solve", name: state.exercise, seed: state.seed });
  if (mine !== running || found.error) return;
  exercise.answered = true;
  present(found.document, true);
  tell(word ? "right" : "", `${word} The router is ${found.document.model}. ${visible(found.cause)}`, el("br"), visible(found.solution), el("br"), found.cure.length ? `What helps: ${found.cure.join(", ")}.` : "Nothing of what is offered helps.");
  drawBench();
}

function exerciseView() {
  const done = solvedOnes(), listed = choices.exercises, levels = [...new Set(listed.map((each) => each.level))];
  const select = el("select", { name: "exercise", onchange: (event) => { state.exercise = event.target.value; begin(); } },
    listed.some((each) => each.id === state.exercise) ? null : el("option", { selected: true }, state.exercise),
    ...levels.map((level) => el("optgroup", { label: level }, listed.filter((each) => each.level === level).map((each) =>
      el("option", { value: each.id, selected: each.id === state.exercise }, `${done.has(each.id) ? "✓ " : ""}${each.title}`)))));
  const bar = el("form", { "aria-label": "Which exercise" }, el("label", {}, "exercise", select),
    seedField((event) => { state.seed = wholeNumber(event.target.value); begin(); }),
    el("span", { class: "quiet small" }, `${listed.filter((each) => done.has(each.id)).length} of ${listed.length} solved in this browser`));
  bar.addEventListener("submit", (event) => event.preventDefault());
  if (!exercise) return [bar];
  const kept = byId("answer") ? new FormData(byId("answer")) : null;
  const asked = el("form", { id: "answer", class: "exercise", "aria-label": "Your answer" },
    el("p", {}, visible(exercise.story)),
    el("fieldset", {}, el("legend", {}, "What is wrong here?"), exercise.causes.map((each, at) =>
      el("label", {}, el("input", { type: "radio", name: "cause", value: at, checked: kept?.get("cause") === String(at) }), visible(each)))),
    el("fieldset", {}, el("legend", {}, "Which remedies help? All of them; it may be none."), exercise.remedies.map(([id, summary]) =>
      el("label", {}, el("input", { type: "checkbox", name: "remedy", value: id, checked: kept?.getAll("remedy").includes(id) }), `${id}: ${summary}`))),
    el("div", { class: "bar" }, el("button", { class: "main" }, "Check my answer"), el("button", { type: "button", onclick: nextHint }, "A hint"),
      el("button", { type: "button", disabled: exercise.answered, onclick: () => showAnswer("") }, "Show the answer")));
  asked.addEventListener("submit", (event) => { event.preventDefault(); checkAnswer(asked); });
  return [bar, asked, el("div", { id: "said", class: "exercise", role: "status" }, ...exercise.said)];
}
