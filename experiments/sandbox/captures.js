// Captures, chosen or dropped: Python diagnoses them here. Names of files are shown, and are names of nothing else.

const megabytes = (size) => `${(size / 1e6).toFixed(size < 1e6 ? 3 : 1)} MB`;

function openCaptures() {
  running++;
  last = wanted();
  delete document.body.dataset.shown;
  drawBench();
  say("");
  document.body.dataset.done = "true";
}

function capturesView() {
  const field = (name, title) => el("label", {}, title, el("input", { type: "file", name, accept: ".pcap,.pcapng,.cap,.gz,.json" }));
  const form = el("form", { id: "captures", "aria-label": "Captures of a router" },
    field("one", "a capture, behind the router or in front of it"), field("other", "the one from its other side"),
    el("button", { class: "main" }, "Diagnose"), el("button", { type: "button", onclick: stopTrial }, "Stop"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    diagnose([...form.querySelectorAll("input")].flatMap((each) => [...each.files]));
  });
  return [form, el("p", { class: "quiet small" }, "Or drop one or two files (pcap, pcapng, also packed by gzip) anywhere on this page. They are read here: nothing leaves this machine."),
    el("div", { id: "diagnosis", role: "status" })];
}

async function diagnose(files) {
  const mine = ++running, fault = misused(files);
  byId("diagnosis").replaceChildren();
  if (fault) return say(fault, true);
  delete document.body.dataset.done;
  say("Diagnosing… With an ALG that can take a minute.");
  const found = await ask({ ask: "diagnose" }, files);
  if (mine !== running) return;
  document.body.dataset.done = "true";
  if (found.error) return say(found.error, true);
  say(`Diagnosed in ${python.seconds.toFixed(1)} s.`);
  byId("diagnosis").replaceChildren(el("p", {}, verdict(found.verdict)), ...found.sentences.map((each) => el("p", { class: "sentence" }, visible(each))),
    ...found.left_out.map((each) => el("p", { class: "left-out quiet" }, visible(each))),
    el("p", { class: "quiet small" }, files.map((each, at) => `capture-${at + 1}: ${visible(each.name)}, ${megabytes(each.size)}`).join(" · ")));
}

function misused(files) {
  if (!files.length) return "Choose a capture, or drop one or two on this page.";
  const large = files.findIndex((each) => each.size > choices.captures);
  return large < 0 ? "" : `capture-${large + 1} has ${megabytes(files[large].size)}, and this page reads ${megabytes(choices.captures)} at most: capture SIP alone, or use siplab diagnose.`;
}

// What is dropped is put into the form's fields. On a field itself a browser puts it there without us.
const fromFiles = (event) => choices?.captures && event.dataTransfer?.types.includes("Files") && event.target.type !== "file";

addEventListener("dragover", (event) => { if (fromFiles(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  if (!fromFiles(event)) return;
  event.preventDefault(); // or the browser would open it in the place of this page
  const files = [...event.dataTransfer.files];
  if (!state.captures) enter({ captures: 1 });
  if (files.length > 2) return say("One capture, or two: one from each side of the router.", true);
  byId("captures").querySelectorAll("input").forEach((field, at) => {
    const list = new DataTransfer();
    if (files[at]) list.items.add(files[at]);
    field.files = list.files;
  });
  byId("captures").requestSubmit();
});
