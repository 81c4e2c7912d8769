// Python, in a worker: the page never freezes, and what runs too long can be ended. Before pyodide.js in one file.
// First message: { asm, wasm, standard, site, info }; then { id, request, files }, each answered by { id, answer, seconds }.

const NOWHERE = "http://siplab.invalid/"; // Pyodide asks for its files below an address: here they are at hand
let python = null, answer = null;

// Pyodide tries this one out to learn where it is. The page's policy forbids it, so it fails here without a complaint.
globalThis.importScripts = () => { throw new Error("nothing is imported here"); };

async function start({ asm, wasm, standard, site, info }) {
  const files = { "pyodide.asm.wasm": [wasm, "application/wasm"], "python_stdlib.zip": [standard, "application/zip"] };
  globalThis.fetch = async (asked) => {
    const [data, type] = files[String(asked?.url || asked).split("/").at(-1)] || [];
    if (!data) throw new Error(`nothing is fetched here: ${asked?.url || asked}`);
    return new Response(data, { headers: { "content-type": type } });
  };
  const module = await import(URL.createObjectURL(new Blob([asm], { type: "text/javascript" })));
  python = await loadPyodide({ indexURL: NOWHERE, createPyodideModule: module.default, lockFileContents: JSON.stringify({ info, packages: {} }) });
  postMessage({ state: "Unpacking the laboratory…" });
  python.unpackArchive(site, "zip", { extractDir: "/siplab" });
  python.runPython("import sys; sys.path.insert(0, '/siplab')");
  python.pyimport("siplab.lab.plugins").import_at_once(); // there is no other process to try an import in
  answer = python.pyimport("siplab.experiments.sandbox.session").answer;
  postMessage({ state: "" });
}

onmessage = async ({ data }) => {
  try {
    if (!answer) return await start(data);
    const begin = performance.now();
    const files = await Promise.all((data.files || []).map(async (each) => new Uint8Array(await each.arrayBuffer())));
    const text = answer(data.request, python.toPy(files));
    postMessage({ id: data.id, answer: text, seconds: (performance.now() - begin) / 1000 });
  } catch (error) {
    const last = String(error.message || error).trim().split("\n").at(-1);
    if (data.id === undefined) postMessage({ failed: last });
    else postMessage({ id: data.id, answer: JSON.stringify({ error: last }), seconds: 0 });
  }
};
