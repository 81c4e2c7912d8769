// The docked view of one message: what the router did to it, and which rule that breaks.

function markedLine(side, which, line) {
  const text = el("pre", { class: side, "data-which": which });
  let at = 0;
  for (const [start, end] of line.marks) {
    text.append(visible(line.text.slice(at, start)), el("mark", {}, visible(line.text.slice(start, end))));
    at = end;
  }
  text.append(visible(line.text.slice(at)));
  return text;
}

function alteration(trial, each) {
  const change = trial.changes[each.change - 1];
  const others = change.messages.length - 1;
  return [
    el("h3", {}, `What the ALG of ${each.gateway} did`),
    el("p", { class: "quiet" }, `Change ${each.change}: ${change.parts.join(", ") || "a piece of a message, which can't be compared"}` + (others ? `; likewise in ${others} more` : "")),
    el("div", { class: "diff" }, each.lines.flatMap((pair) => [
      pair.before && markedLine("before", pair.after ? "before" : "removed", pair.before),
      pair.after && markedLine("after", pair.before ? "after" : "added", pair.after),
    ])),
    ...change.broken.map((rule) => el("p", { class: "rule" }, el("strong", {}, `Breaks ${rule.reference}: `), visible(rule.sentence), el("br"),
      el("span", { class: "small" }, `${rule.about} (${rule.rule})${rule.tolerated ? " Receivers should put up with it." : ""}`))),
    change.broken.length ? null : el("p", { class: "quiet small" }, `Breaks no ${change.broken_before ? "further " : ""}rule of syntax: what it does to the call is another matter.`),
  ];
}

function whole(title, text, open) {
  return el("details", { open }, el("summary", {}, title), el("pre", { class: "whole", tabindex: "0" }, visible(text)));
}

function messageView(trial, number) {
  const each = trial.messages[number - 1];
  if (!each) return el("p", { class: "quiet" }, "Choose a message in the ladder: click it, or use the arrow keys. The key n leads to the next change.");
  const blamed = trial.checks.filter((check) => check.cause?.message === number);
  const translated = each.seen_source !== each.source || each.seen_destination !== each.destination;
  const next = trial.messages.filter((other) => other.altered.length && other.number > number)[0];
  const before = trial.messages.filter((other) => other.altered.length && other.number < number).at(-1);
  return el("div", {},
    el("h2", { id: "message-title" }, `${number}. `, visible(each.label)),
    el("p", { class: "bar" },
      el("button", { class: "plain", disabled: !before, onclick: () => choose(state.side, before.number) }, "◀ change before"),
      el("button", { class: "plain", disabled: !next, onclick: () => choose(state.side, next.number) }, "next change ▶")),
    ...each.altered.flatMap((one) => alteration(trial, one)),
    ...blamed.map((check) => el("div", { class: "why" }, el("strong", {}, `This is why “${visible(check.name)}” fails. `), prose(check.cause.text), el("br"), el("em", {}, visible(check.symptom)), check.cause.undone.filter((action) => action.instead && action.label === each.label).map((action) =>
      el("div", { class: "diff" }, el("pre", { class: "before", "data-which": "router" }, visible(action.after)), el("pre", { class: "after", "data-which": "instead" }, visible(action.instead)))))),
    el("dl", { class: "facts" },
      el("dt", {}, "when"), el("dd", {}, `${seconds(each.time)} s` + (each.packets > 1 ? ` until ${seconds(each.until)} s, ${each.packets} packets` : "") + (each.repeated ? " (sent again)" : "")),
      each.path.length ? [el("dt", {}, "way"), el("dd", {}, each.path.join(" → "))] : null,
      each.source ? [el("dt", {}, "sent"), el("dd", {}, el("code", {}, `${each.source} → ${each.destination}`))] : null,
      translated ? [el("dt", {}, "seen as"), el("dd", {}, el("code", {}, `${each.seen_source} → ${each.seen_destination}`))] : null,
      each.notes.length ? [el("dt", {}, "fate"), el("dd", { class: each.failed ? "silent" : null }, each.notes.map((note) => el("div", {}, visible(note.replace(/^X /, "✗ ")))))] : null,
      each.noticed.length ? [el("dt", {}, "receiver"), el("dd", {}, each.noticed.map((one) => el("div", {}, visible(`${one.host}: ${one.kind}${one.detail ? `: ${one.detail}` : ""}`))))] : null),
    each.text ? whole("The whole message, as it was sent", each.text, !each.altered.length) : null,
    each.seen ? whole("The whole message, as it arrived", each.seen, false) : null);
}
