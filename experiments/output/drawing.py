"""Draws a topology: as text for a terminal, as SVG for a page. Both come from one layout.

The rules of this file:

- Each network is a bar, in the order of the file, from the inside to the outside. Each host or router is a
  box below the first of its networks, with a line to each of them. A dot marks a connection; a line that
  crosses a bar without a dot is not connected to it.
- Positions are in characters, so that both drawings are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from html import escape
from typing import Any, Final, NamedTuple

from siplab.experiments.output.console import folded
from siplab.lab.gateway.nat_config import Dependence, NatConfig
from siplab.lab.worlds.topology import TRIAL, NetworkSpec, RouterSpec, Topology

_MARGIN, _GAP = 2, 3  # characters before the first box, and between two boxes
_RISER: Final = 3  # position in a box where its line begins
_LABEL: Final = _MARGIN + _RISER + 2  # position of a bar's label, to the right of the first line
_CELL: Final = (8.4, 17.0)  # the size of a character in the SVG
_SHORT: Final = {
    "tcp_timeout": "TCP bindings",
    "tcp_transitory_timeout": "TCP bindings, opening or closing,",
    "icmp_timeout": "ICMP bindings",
}
# RFC 3489 section 5, in RFC 4787's terms.
_EIM, _ADF = Dependence.ENDPOINT_INDEPENDENT, Dependence.ADDRESS_DEPENDENT
_APD: Final = Dependence.ADDRESS_AND_PORT_DEPENDENT
_CLASSIC: Final = {
    (_EIM, _EIM): "full cone",
    (_EIM, _ADF): "restricted cone",
    (_EIM, _APD): "port restricted cone",
    (_APD, _APD): "symmetric",
}


class Box(NamedTuple):
    """A host or router: its position, its text, and the bars to which it has a line."""

    x: int
    y: int
    width: int
    lines: tuple[str, ...]
    bars: tuple[int, ...]
    is_router: bool

    @property
    def height(self) -> int:
        return len(self.lines) + 2


class Bar(NamedTuple):
    """A network; its label is in the row above."""

    y: int
    label: str
    is_impaired: bool


class Layout(NamedTuple):
    """Everything with its position, in characters."""

    width: int
    height: int
    bars: tuple[Bar, ...]
    boxes: tuple[Box, ...]


def layout(topology: Topology) -> Layout:
    """The positions of everything."""
    order = {name: number for number, name in enumerate(topology.networks)}
    lines = {
        **{name: (name, *_router_lines(router)) for name, router in topology.routers.items()},
        **{
            name: (
                f"{name} ({host.role})" if host.role else name,
                *_addresses(host.all_interfaces),
                *([f"image {host.image.name}"] if host.image is not None else []),
            )
            for name, host in topology.hosts.items()
        },
    }
    spans = {
        name: sorted(order[network] for node, network, _ in topology.attachments() if node == name)
        for name in lines
    }
    columns: dict[str, int] = {}
    taken: set[tuple[int, int]] = set()  # column, gap below a bar
    for name in sorted(lines, key=lambda each: spans[each][0]):  # routers come first in each gap
        gaps = range(spans[name][0], max(spans[name][-1], spans[name][0] + 1))
        column = next(n for n in range(len(lines)) if not any((n, gap) in taken for gap in gaps))
        taken |= {(column, gap) for gap in gaps}
        columns[name] = column
    widths = [0] * (max(columns.values(), default=0) + 1)
    for name, column in columns.items():
        widths[column] = max(widths[column], *(len(line) + 4 for line in lines[name]))
    starts = [_MARGIN + sum(widths[:number]) + _GAP * number for number in range(len(widths))]
    tops, y = [], 1
    for gap in range(len(order)):
        tops.append(y)
        inside = [len(lines[name]) + 2 for name in lines if spans[name][0] == gap]
        y += max(inside, default=0) + 4
    bars = tuple(
        Bar(tops[number], network_label(name, topology.networks[name]), topology.networks[name].is_impaired)
        for name, number in order.items()
    )
    boxes = tuple(
        Box(
            starts[columns[name]],
            tops[spans[name][0]] + 2,
            max(len(line) for line in lines[name]) + 4,
            lines[name],
            tuple(spans[name]),
            name in topology.routers,
        )
        for name in lines
    )
    right = max((box.x + box.width for box in boxes), default=0)
    width = max([right + _MARGIN, *(len(bar.label) + _LABEL + 2 for bar in bars)])
    height = max([*(box.y + box.height for box in boxes), *(bar.y + 1 for bar in bars)], default=0)
    return Layout(width, height, bars, boxes)


def network_label(name: str, spec: NetworkSpec) -> str:
    """A network in one line, with what it does to packets."""
    words = [f"{name} {spec.subnet}"]
    if spec.mtu != 1500:
        words.append(f"MTU {spec.mtu}")
    if spec.delay:
        spread = f" ± {spec.jitter * 1000:g}" if spec.jitter else ""
        words.append(f"delay {spec.delay * 1000:g}{spread} ms")
    if spec.bandwidth:
        words.append(f"{spec.bandwidth:g} Mbit/s")
    for what in ("loss", "reorder", "duplicate"):
        if share := getattr(spec, what):
            words.append(f"{what} {share * 100:g} %")
    return ", ".join(words)


def _addresses(interfaces: dict[str, str]) -> list[str]:
    return [f"{network} {address}" for network, address in interfaces.items()]


def _router_lines(router: RouterSpec) -> Iterator[str]:
    yield from _addresses(router.all_interfaces)
    if not router.is_gateway:
        return
    if router.image is not None:
        yield f"image {router.image.name}"
        return
    nat = router.nat
    if any(":" not in address for address in router.outside.values()):
        kind = _CLASSIC.get((nat.mapping, nat.filtering))
        yield f"NAT: {kind}" if kind else "NAT"
        yield f"  mapping {nat.mapping.value}"
        yield f"  filtering {nat.filtering.value}"
        yield f"  ports {nat.port_allocation.value}, UDP bindings {nat.udp_timeout:g} s"
        yield from (f"  {line}" for line in _peculiarities(nat))
    if any(":" in address for address in router.outside.values()):
        kind = nat.ipv6_filtering.value if nat.ipv6_filtering else "none"
        yield f"IPv6 filter: {kind}"
    yield "ALG: the trial's model" if router.alg == TRIAL else f"ALG: {router.alg}"


def _peculiarities(nat: NatConfig) -> Iterator[str]:
    """The NAT's settings that are not the usual ones."""
    usual: dict[str, Any] = {each.name: each.default for each in fields(NatConfig)}
    if not nat.hairpinning:
        yield "no hairpinning"
    if nat.refresh != usual["refresh"]:
        yield f"refreshed by {nat.refresh.value} traffic"
    for name, words in _SHORT.items():
        if getattr(nat, name) != usual[name]:
            yield f"{words} {getattr(nat, name):g} s"
    for each in nat.static_mappings:
        yield f"{each.protocol} {each.port} is {each.inside}:{each.inside_port or each.port}"
    if nat.dmz_host:
        yield f"DMZ host {nat.dmz_host}"


# -- text ------------------------------------------------------------------------------------------


def as_text(topology: Topology) -> str:
    """The drawing for a terminal, with the topology's summary above it."""
    plan = layout(topology)
    cells = [[" "] * plan.width for _ in range(plan.height)]

    def write(x: int, y: int, text: str) -> None:
        cells[y][x : x + len(text)] = text

    for bar in plan.bars:
        write(0, bar.y, "═" * plan.width)
    for box in plan.boxes:
        at = box.x + _RISER
        ends = [plan.bars[number].y for number in box.bars]
        for y in range(min(ends), max(box.y, *ends) + 1):
            on_bar = any(bar.y == y for bar in plan.bars)
            if y not in ends and on_bar:
                write(at - 1, y, " │ ")
            else:
                write(at, y, "●" if on_bar else "│")
        inner = box.width - 2
        write(box.x, box.y, "┌" + "─" * inner + "┐")
        for number, line in enumerate(box.lines):
            write(box.x, box.y + 1 + number, f"│ {line.ljust(inner - 2)} │")
        write(box.x, box.y + box.height - 1, "└" + "─" * inner + "┘")
        write(at, box.y, "┴")
        if max(ends) > box.y:
            write(at, box.y + box.height - 1, "┬")
    for bar in plan.bars:
        write(_LABEL, bar.y - 1, bar.label)
    rows = ["".join(row).rstrip() for row in cells]
    return "\n".join([f"{topology.id}: {topology.summary}", "", *rows, ""])


def as_list(topology: Topology, width: int) -> Iterator[str]:
    """For a terminal that is too narrow for the drawing: which host is in which network, line by line."""
    yield from folded(f"{topology.id}: {topology.summary}", width)
    for network, spec in topology.networks.items():
        yield from ("", *folded(network_label(network, spec), width, hanging="  "))
        for name, where, address in topology.attachments():
            if where == network:
                host = topology.hosts.get(name)
                yield f"  {address:<15} {name}{f' ({host.role})' if host and host.role else ''}"
    for name, router in topology.gateways.items():
        places = _addresses(router.all_interfaces)
        yield from ("", name, *(f"  {each}" for each in _router_lines(router) if each not in places))


# -- SVG -------------------------------------------------------------------------------------------

_STYLE: Final = (
    "text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#1a1a1a;white-space:pre}"
    ".title{font-weight:bold}.name{font-weight:bold}"
    ".host{fill:#eef4fb;stroke:#38608f}.router{fill:#fdf3e3;stroke:#a4691a}"
    ".bar{stroke:#555;stroke-width:5}.impaired{stroke:#b3261e;stroke-dasharray:12 5}"
    ".line{stroke:#777;stroke-width:1.5}.dot{fill:#333}"
)


def as_svg(topology: Topology) -> str:
    """The drawing as a self-contained SVG file."""
    plan = layout(topology)
    cell, row = _CELL
    top = 3 * row  # below the title
    title = f"{topology.id}: {topology.summary}"
    width = (max(plan.width, len(title)) + 2) * cell
    height = top + (plan.height + 1) * row

    def at(x: float, y: float) -> tuple[float, float]:
        return round((x + 1) * cell, 1), round(top + y * row, 1)

    def text(x: float, y: float, words: str, style: str = "") -> str:
        left, base = at(x, y)
        return f'<text class="{style}" x="{left}" y="{base}">{escape(words)}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        text(0, -1.7, title, "title"),
    ]
    for bar in plan.bars:
        (left, y), (right, _) = at(0, bar.y), at(plan.width, bar.y)
        style = "bar impaired" if bar.is_impaired else "bar"
        parts.append(f'<line class="{style}" x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>')
    for box in plan.boxes:
        ends = [plan.bars[number].y for number in box.bars]
        x, first = at(box.x + _RISER, min(ends))
        _, last = at(0, max(box.y, *ends))
        parts.append(f'<line class="line" x1="{x}" y1="{first}" x2="{x}" y2="{last}"/>')
        parts += [f'<circle class="dot" cx="{x}" cy="{at(0, end)[1]}" r="4.5"/>' for end in ends]
    for box in plan.boxes:
        left, y = at(box.x, box.y)
        style = "router" if box.is_router else "host"
        size = f'width="{box.width * cell:.1f}" height="{(box.height - 1) * row:.1f}"'
        parts.append(f'<rect class="{style}" x="{left}" y="{y}" {size} rx="6"/>')
        parts += [
            text(box.x + 2, box.y + 1.2 + number, line, "" if number else "name")
            for number, line in enumerate(box.lines)
        ]
    # Drawn last, so that no line crosses the words.
    for bar in plan.bars:
        left, y = at(_LABEL, bar.y - 1.3)
        size = f'width="{len(bar.label) * cell:.1f}" height="{row}"'
        parts.append(f'<rect x="{left}" y="{y}" {size} fill="#fff"/>')
        parts.append(text(_LABEL, bar.y - 0.5, bar.label, "name"))
    return "\n".join([*parts, "</svg>", ""])
