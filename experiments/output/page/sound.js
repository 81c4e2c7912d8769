// What each side heard: each voice is here once, and played by the table of spans.

const RATE = 8000, FRAME = .02;
const voices = new Map(); // name -> samples from -1 to 1
let playing = null; // the one player that plays

function loadVoices(list) {
  for (const { name, mu_law } of list) {
    const codes = atob(mu_law), samples = new Float32Array(codes.length);
    for (let at = 0; at < codes.length; at++) {
      const code = ~codes.charCodeAt(at) & 255, size = (((code & 15) << 3) + 132) << ((code >> 4) & 7);
      samples[at] = (code & 128 ? 132 - size : size - 132) / 32768; // ITU-T G.711, mu-law
    }
    voices.set(name, samples);
  }
}

function lengthOf(trial, stream) {
  return Math.max(...stream.heard.map((each) => each.end), ...stream.silences.map((each) => each.at(-1)), trial.answered === null ? 0 : trial.duration - trial.answered, .1);
}

function loudness(stream, begin, end) {
  let peak = 0;
  for (const span of stream.heard) {
    const voice = voices.get(span.content);
    if (span.begin >= end || span.end <= begin) continue;
    if (!voice) { peak = Math.max(peak, .25); continue; }
    const from = Math.max(begin, span.begin), to = Math.min(end, span.end);
    const first = Math.floor((from - span.begin + span.frame * FRAME) * RATE), count = Math.max(1, Math.floor((to - from) * RATE));
    for (let at = first, step = Math.max(1, Math.floor(count / 60)); at < first + count; at += step) peak = Math.max(peak, Math.abs(voice[at % voice.length]));
  }
  return peak;
}

function paint(canvas, stream, length, position) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, look = getComputedStyle(document.documentElement);
  if (!width) return;
  canvas.width = width * scale; canvas.height = height * scale;
  const pen = canvas.getContext("2d"); pen.scale(scale, scale);
  const colour = (name) => look.getPropertyValue(name).trim();
  for (const [begin, end] of stream.silences) {
    pen.fillStyle = colour("--bad-back"); pen.fillRect(begin / length * width, 0, (end - begin) / length * width, height);
    pen.fillStyle = colour("--bad"); pen.fillRect(begin / length * width, height / 2 - 1.5, (end - begin) / length * width, 3);
  }
  canvas.peaks ??= Array.from({ length: Math.floor(width / 2) }, (_, at, n = Math.floor(width / 2)) => loudness(stream, at / n * length, (at + 1) / n * length));
  canvas.peaks.forEach((peak, at) => {
    if (peak <= 0) return;
    pen.fillStyle = colour(at * 2 / width < position / length ? "--pick" : "--good");
    pen.fillRect(at * 2, height / 2 - Math.max(1, peak * height * 1.4) / 2, 1.4, Math.max(1, peak * height * 1.4));
  });
  if (position > 0) { pen.fillStyle = colour("--pick"); pen.fillRect(position / length * width, 0, 2, height); }
}

function stopSound() {
  if (!playing) return;
  cancelAnimationFrame(playing.tick);
  playing.sources.forEach((each) => each.stop());
  playing.context.close();
  playing.ended();
  playing = null;
}

function playSound(stream, length, from, onTime, ended) {
  stopSound();
  const context = new AudioContext(), sources = [], start = context.currentTime + .05;
  for (const span of stream.heard) {
    const samples = voices.get(span.content), begin = Math.max(span.begin, from);
    if (!samples || span.end <= begin) continue;
    const buffer = context.createBuffer(1, samples.length, RATE), source = context.createBufferSource();
    buffer.copyToChannel(samples, 0);
    Object.assign(source, { buffer, loop: true });
    source.connect(context.destination);
    source.start(start + begin - from, (span.frame * FRAME + begin - span.begin) % (samples.length / RATE), span.end - begin);
    sources.push(source);
  }
  playing = { context, sources, ended, tick: 0 };
  const step = () => {
    if (!playing || playing.context !== context) return;
    const now = from + Math.max(0, context.currentTime - start);
    if (now >= length) return stopSound();
    onTime(now);
    playing.tick = requestAnimationFrame(step);
  };
  step();
}

function player(trial, stream, title) {
  const length = lengthOf(trial, stream), canvas = el("canvas", { role: "img", "aria-label": `Waveform of what ${stream.who} heard` });
  const clock = el("output", { class: "small quiet", "data-position": "0" }, `0.0 of ${length.toFixed(1)} s`);
  const button = el("button", { "aria-label": `Play what ${stream.who} heard, ${title}` }, "▶");
  let position = 0;
  const show = (now) => { position = now; paint(canvas, stream, length, now); clock.textContent = `${now.toFixed(1)} of ${length.toFixed(1)} s`; clock.dataset.position = now.toFixed(3); };
  const stopped = () => { button.textContent = "▶"; };
  const start = (from) => { button.textContent = "■"; playSound(stream, length, from, show, stopped); };
  button.addEventListener("click", () => { if (button.textContent === "■") stopSound(); else start(position >= length - .1 ? 0 : position); });
  canvas.addEventListener("click", (event) => { const to = event.offsetX / canvas.clientWidth * length; if (button.textContent === "■") start(to); else show(to); });
  requestAnimationFrame(() => paint(canvas, stream, length, 0));
  canvas.repaint = () => { canvas.peaks = undefined; paint(canvas, stream, length, position); };
  const silent = stream.silences.map(([begin, end]) => `${begin.toFixed(1)}–${end.toFixed(1)} s`);
  return el("div", { class: "player" },
    el("div", {}, el("strong", {}, `${stream.who} hears`), ` ${stream.received} packets` + (stream.lost ? `, ${stream.lost} lost on the way` : "") + (stream.heard.some((each) => !voices.has(each.content)) ? "; a mix of voices, which is drawn only" : "")),
    el("div", { class: "line" }, button, canvas),
    el("div", {}, clock, silent.length ? el("span", { class: "silent" }, `   silence: ${silent.slice(0, 6).join(", ")}${silent.length > 6 ? ` and ${silent.length - 6} more` : ""}`) : null));
}

function soundView(variants) {
  return el("div", {}, el("p", { class: "quiet small" }, "Seconds count from the answer. Red is silence: nothing came."), ...variants.flatMap(({ name, trial }) => {
    const streams = trial.streams.filter((each) => each.kind === "audio");
    return [el("h2", {}, visible(name), " ", verdict(trial.outcome)), ...(streams.length ? streams.map((each) => player(trial, each, name)) : [el("p", { class: "quiet" }, "No call was answered: there is nothing to hear.")])];
  }));
}
