// The network: a bar for each of its networks, a box for each host and router; a box leads to its messages.

const fitting = (text, most) => visible(text.length > most ? `${text.slice(0, most - 1)}…` : text);

function networkView(doc) {
  const { network } = doc, width = 460, high = 78, gap = 34, margin = 8;
  const addresses = (box) => box.lines.slice(1).filter((each) => /^\S+ [\da-f.:]+$/i.test(each));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${network.bars.length * (high + 2 * gap)}`, role: "group", "aria-label": `The network ${network.title}` });
  const top = (bar) => 26 + bar * (high + 2 * gap); // of a bar's line
  network.bars.forEach((bar, at) => picture.append(
    svg("line", { class: bar.impaired ? "wire impaired" : "wire", x1: 0, x2: width, y1: top(at), y2: top(at) })));
  const placed = network.bars.flatMap((_, at) => {
    const row = network.boxes.filter((box) => Math.min(...box.bars) === at);
    const each = (width + margin) / Math.max(row.length, 1);
    return row.map((box, number) => ({ box, x: number * each, y: top(at) + gap, wide: Math.min(each - margin, 220) }));
  });
  for (const { box, x, y, wide } of placed) for (const bar of box.bars)
    picture.append(svg("line", { class: "riser", x1: x + Math.min(wide / 2, 40), x2: x + Math.min(wide / 2, 40), y1: top(bar), y2: top(bar) < y ? y : y + high }));
  network.bars.forEach((bar, at) => picture.append(svg("text", { class: "minor", x: 2, y: top(at) - 8 }, visible(bar.label))));
  for (const { box, x, y, wide } of placed) {
    const pick = () => go({ node: state.node === box.name ? "" : box.name });
    const lines = [...addresses(box), ...(box.gateway ? box.lines.filter((each) => /^(NAT|ALG)/.test(each)) : [])].slice(0, 4);
    picture.append(svg("g", {
      class: ["box", box.gateway && "gateway", state.node === box.name && "picked"].filter(Boolean).join(" "), role: "button", tabindex: "0", "data-node": box.name,
      "aria-pressed": String(state.node === box.name),
      onclick: pick, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); } },
    }, svg("title", {}, visible(`Messages of ${[box.name, ...box.lines.slice(1)].join("\n")}`)),
    svg("rect", { x, y, width: wide, height: high, rx: 8 }),
    svg("text", { class: "name", x: x + 9, y: y + 19 }, fitting(box.lines[0], (wide - 14) / 7.6)),
    lines.map((each, number) => svg("text", { x: x + 9, y: y + 35 + 13 * number }, fitting(each, (wide - 14) / 6.7)))));
  }
  return el("div", {}, el("p", {}, visible(network.title)), el("p", { class: "quiet small" }, "Choose a box to see its messages only; choose it again to see all."), el("div", { class: "wide" }, picture));
}
