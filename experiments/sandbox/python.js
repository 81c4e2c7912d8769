// Python in its worker, as the page sees it: ask() sends a request, and comes back with the answer.

const python = { worker: null, ready: null, waiting: new Map(), asked: 0, seconds: 0 };

const bytesOf = async (id) => (await fetch(`data:application/octet-stream;base64,${byId(id).textContent.trim()}`)).arrayBuffer();
const unpackedBytes = async (id) => new Response(new Blob([await bytesOf(id)]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

async function startPython(say) {
  say("Starting Python…");
  const code = await unpackedBytes("worker");
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  python.worker = worker;
  python.ready = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.failed) return reject(new Error(data.failed));
      if (data.state !== undefined) { say(data.state); if (!data.state) resolve(); return; }
      python.seconds = data.seconds;
      python.waiting.get(data.id)?.(JSON.parse(data.answer));
      python.waiting.delete(data.id);
    };
    worker.onerror = (event) => reject(new Error(event.message || "the worker did not start"));
  });
  const [asm, wasm, standard, site, info] = await Promise.all([unpackedBytes("asm"), unpackedBytes("wasm"), bytesOf("standard"), bytesOf("site"), unpacked("info")]);
  worker.postMessage({ asm, wasm, standard, site, info }, [asm, wasm, standard, site]);
  return python.ready;
}

// Never comes back once Python was stopped. `files`: Files or Blobs, whose bytes Python gets beside the request.
async function ask(request, files = []) {
  await python.ready;
  const id = ++python.asked;
  return new Promise((resolve) => {
    python.waiting.set(id, resolve);
    python.worker.postMessage({ id, request: JSON.stringify(request), files });
  });
}

function stopPython() {
  python.worker?.terminate();
  python.waiting.clear();
}
