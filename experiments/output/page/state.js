// What is shown: kept in the URL's hash, so that a link shows the same.

const START = { doc: "", v: 0, b: -1, m: 0, side: 0, tab: "outcome", q: "", node: "", fold: 1, media: 1, only: 0, theme: "", remedy: 0, set: 0, hide: 0, cell: "" };
const state = { ...START };

function readHash() {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const [name, start] of Object.entries(START)) {
    const value = found.get(name);
    state[name] = value === null ? start : typeof start === "number" ? Number(value) || 0 : value;
  }
  return found;
}

function writeHash() {
  const found = new URLSearchParams();
  for (const [name, start] of Object.entries(START)) if (state[name] !== start) found.set(name, state[name]);
  history.replaceState(null, "", `#${found}`);
}

function go(changes) {
  Object.assign(state, changes);
  writeHash();
  draw();
}
