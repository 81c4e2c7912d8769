// Elements, made so that text is only ever text: nothing here or elsewhere on this page reads text as markup.

const SVG = "http://www.w3.org/2000/svg";

function made(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

const el = (tag, attributes, ...children) => made(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => made(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);
const seconds = (time) => time.toFixed(time < 1000 ? 3 : 1);

// Text of the wire for the eye: what can't be printed, and what turns the direction of text, is escaped.
function visible(text) {
  return text.replace(/\r\n/g, "\n").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (each) => "\\x" + each.codePointAt(0).toString(16).padStart(2, "0"));
}

// Sentences of explanations have what is of the wire between backticks.
const prose = (text) => visible(text).split("`").map((part, number) => number % 2 ? el("code", {}, part) : part);

function verdict(outcome) {
  const [kind, word] = {
    pass: ["pass", "✓ works"], fail: ["fail", "✗ fails"], error: ["unsure", "invalid"],
    alg: ["unsure", "ALG found"], clean: ["pass", "no ALG found"], undecided: ["unsure", "undecided"],
  }[outcome] || ["unsure", outcome || "not possible"];
  return el("span", { class: `verdict ${kind}` }, word);
}
