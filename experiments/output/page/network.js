// The network, drawn where the laboratory's own drawings have everything; a box leads to its messages.

const CELL = [8.1, 17];

function networkView(doc) {
  const { network } = doc, [cell, line] = CELL;
  const x = (at) => (at + 1) * cell, y = (at) => (at + .5) * line;
  const picture = svg("svg", { viewBox: `0 0 ${(network.width + 2) * cell} ${(network.height + 1) * line}`, role: "group", "aria-label": `The network ${network.title}` });
  for (const bar of network.bars) picture.append(
    svg("line", { class: bar.impaired ? "wire impaired" : "wire", x1: x(0), x2: x(network.width), y1: y(bar.y), y2: y(bar.y) }),
    svg("text", { class: "minor", x: x(2), y: y(bar.y) - 6 }, bar.label));
  for (const box of network.boxes) {
    const ends = box.bars.map((each) => network.bars[each].y), riser = x(box.x + 3);
    picture.append(svg("line", { class: "riser", x1: riser, x2: riser, y1: y(Math.min(...ends)), y2: y(Math.max(box.y, ...ends)) }));
  }
  for (const box of network.boxes) {
    const pick = () => go({ node: state.node === box.name ? "" : box.name });
    const group = svg("g", {
      class: ["box", box.gateway && "gateway", state.node === box.name && "picked"].filter(Boolean).join(" "), role: "button", tabindex: "0", "data-node": box.name,
      "aria-pressed": String(state.node === box.name),
      onclick: pick, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); } },
    }, svg("title", {}, `Messages of ${box.name}`), svg("rect", { x: x(box.x), y: y(box.y), width: box.width * cell, height: (box.height - 1) * line, rx: 6 }));
    box.lines.forEach((each, number) => group.append(svg("text", { class: number ? "" : "name", x: x(box.x + 2), y: y(box.y + 1.2 + number) }, each)));
    picture.append(group);
  }
  return el("div", {}, el("p", {}, visible(network.title)), el("p", { class: "quiet small" }, "Choose a box to see its messages only; choose it again to see all."), el("div", { class: "wide" }, picture));
}
