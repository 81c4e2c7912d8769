// What came of the trial: checks with their reasons, remedies, and the command that shows it again.

const BASES = { undone: "Proven: the trial was run again without it.", "not-the-alg": "Proven: nothing that an ALG did matters.", mechanism: "Told by the trace." };

function checkView(side, check) {
  const { cause } = check;
  return el("div", { class: `check ${check.passed ? "passed" : "failed"}` },
    el("span", { class: "mark", "aria-label": check.passed ? "passed" : "failed" }, check.passed ? "✓" : "✗"),
    el("div", {}, el("strong", {}, visible(check.name)), check.detail ? el("span", { class: "quiet" }, ` (${visible(check.detail)})`) : null,
      check.passed ? null : el("div", { class: "symptom" }, visible(check.symptom)),
      cause ? el("div", { class: "why" }, prose(cause.text), el("div", { class: "small quiet" }, `${BASES[cause.basis] || ""}${cause.rule ? ` Rule: ${visible(cause.rule)}` : ""}`),
        cause.message ? el("p", {}, el("button", { class: "show", onclick: () => choose(side, cause.message, true) }, `Show it: message ${cause.message}`)) : null) : null));
}

function trialOutcome(side, { name, about, trial }) {
  const { finding } = trial;
  return [
    el("h2", {}, visible(name), " ", verdict(trial.outcome)), about ? el("p", { class: "quiet small" }, visible(about)) : null,
    ...trial.errors.map((each) => el("p", { class: "silent" }, `Invalid: ${visible(each)}`)),
    finding ? el("p", {}, el("strong", {}, `The detector says ${finding.verdict}`), finding.changed.length ? `: ${finding.changed.join(", ")} changed` : "", finding.detail ? ` (${visible(finding.detail)})` : "", ...finding.evidence.map((each) => el("div", { class: "small quiet" }, visible(each)))) : null,
    ...[...trial.checks].sort((a, b) => a.passed - b.passed).map((each) => checkView(side, each)),
    ...trial.notes.map((each) => el("p", { class: "small quiet" }, visible(each))),
    el("details", {}, el("summary", {}, "The command that shows this trial"), el("code", { class: "command", tabindex: "0" }, trial.command)),
  ];
}

function remedyView(doc) {
  if (!doc.remedies.length) return null;
  const groups = [["pass", "Helps"], ["fail", "Does not help"], ["error", "Invalid"], ["", "Not possible here"]];
  return el("div", {}, el("h2", {}, "Remedies that were tried"), ...groups.map(([outcome, title]) => {
    const some = doc.remedies.filter((each) => each.outcome === outcome);
    return some.length ? el("div", {}, el("h3", {}, title), el("ul", { class: "remedies" }, some.map((each) => {
      const at = doc.variants.findIndex((variant) => variant.kind === "remedy" && variant.name === each.id);
      const what = visible(each.why || each.summary);
      return el("li", {}, at > 0 ? el("button", { title: what, onclick: () => go({ b: at, tab: "outcome" }) }, `${each.id}: show`) : el("span", { class: `verdict ${outcome || "quiet"}`, title: what }, each.id));
    }))) : null;
  }));
}

function outcomeView(doc, variants) {
  return el("div", {}, ...variants.flatMap((each, side) => trialOutcome(side, each)), remedyView(doc),
    doc.left_out.length ? el("p", { class: "quiet" }, `Left out: ${doc.left_out.join("; ")}`) : null,
    el("p", { class: "quiet small" }, `Made by siplab ${doc.siplab}. Everything on this page is in this file; it asks for nothing from any network.`));
}
