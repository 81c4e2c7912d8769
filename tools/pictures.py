"""Draw docs/pictures/*.svg: the top-level packages, the packages of ``lab``, the way of a packet, of a trial.

python -m tools.pictures            say which are out of date (exit status 1)
python -m tools.pictures --write    draw them again

A room is a package. Arrows between rooms are the imports in the sources. The stations of a packet and of a
trial name the modules that do the work; a missing module is an error.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "pictures"


class Room(NamedTuple):
    """A box for a package: its floor, counted from the top, and the columns that it spans."""

    floor: int
    columns: tuple[int, int]
    text: str


HOUSE: Final = {
    "siplab": Room(0, (0, 1), "the surface: what others import"),
    "experiments": Room(1, (0, 1), "scenarios, detectors, mitigations; trials, scores; the command"),
    "alg_models": Room(2, (0, 0), "faults, reference implementations, vendors"),
    "topologies": Room(2, (1, 1), "networks as YAML"),
    "lab": Room(3, (0, 1), "the engine: packets, messages, agents, gateways, worlds"),
}
# Columns are chosen so that arrows can go straight down.
LAB: Final = {
    "worlds": Room(0, (0, 4), "who carries packets: memory, or a kernel"),
    "gateway": Room(1, (0, 0), "NAT, pinholes, ALG"),
    "phone": Room(1, (2, 2), "a SIP phone"),
    "server": Room(1, (3, 3), "registrar, proxy"),
    "probing": Room(1, (4, 4), "probes, reflector"),
    "media": Room(2, (2, 4), "SDP offers, RTP, ICE, SRTP"),
    "sip": Room(3, (1, 4), "transactions, dialogs, TCP"),
    "wire": Room(4, (0, 4), "bytes: IP, SIP, SDP, RTP"),
}


class Station(NamedTuple):
    """A step on a way: what happens, the module that does it, and how the way may end here."""

    text: str
    module: str
    exit: str = ""


PACKET: Final = (
    Station("a packet arrives, inside or outside", "lab/worlds/network.py"),
    Station("known UDP flow, not inspected: patch its header, done", "lab/gateway/flow.py", "sent on"),
    Station("read it; keep fragments until all are there", "lab/gateway/fragments.py", "malformed, kept"),
    Station("TTL ends here, or the router is meant: answer", "lab/gateway/icmp.py", "ICMP to the sender"),
    Station("find or make the binding; may the sender in?", "lab/gateway/nat.py", "no binding, filtered"),
    Station("cut messages from a TCP stream", "lab/gateway/tcp.py", "held until whole"),
    Station("if the ALG looks at it: each step edits it", "lab/gateway/inspection.py", "dropped, answered"),
    Station("write addresses, lengths, checksums", "lab/gateway/flow.py", "outgrew the MTU"),
    Station("the packet leaves on the other side", "lab/worlds/network.py"),
)
TRIAL: Final = (
    Station(
        "what to run: model, scenario or detector, seed",
        "experiments/trial/spec.py",
        "unknown name: refused",
    ),
    Station("which world, how many at a time", "experiments/trial/runner.py"),
    Station("the network; mitigations change settings or network", "experiments/trial/run.py"),
    Station("a world with a gateway for each router", "lab/worlds/base.py"),
    Station("a stage with phones and a server, as they are needed", "experiments/trial/stage.py"),
    Station(
        "the scenario plays; or the detector looks",
        "experiments/trial/registry.py",
        "it raised: error",
    ),
    Station("the trace: what was sent, received, changed, dropped", "lab/worlds/trace.py"),
    Station("was it in reach? replay without the ALG", "experiments/trial/reach.py"),
    Station("the result", "experiments/trial/result.py", "model raised: invalid"),
    Station("why checks failed: run it again, follow the trace", "experiments/explain/explanation.py"),
    Station("ladder, tables, captures, scores: views of both", "experiments/output/ladder.py"),
)


# -- imports ---------------------------------------------------------------------------------------


def _imports(nodes: Iterable[ast.stmt]) -> Iterator[str]:
    """The modules that a file imports when it is loaded; not those in functions or for type checkers."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _imports(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from _imports(node.body)


def arrows(folders: dict[str, Path]) -> set[tuple[str, str]]:
    """Which folder imports which, as pairs of the names in ``folders``."""
    found = set()
    packages = {
        "siplab." + str(path.relative_to(ROOT)).replace("/", ".") + ".": name
        for name, path in folders.items()
    }
    for name, path in folders.items():
        files = path.glob("*.py") if name == "siplab" else path.rglob("*.py")
        for file in files:
            for module in _imports(ast.parse(file.read_text(encoding="utf-8")).body):
                found |= {
                    (name, other) for prefix, other in packages.items() if f"{module}.".startswith(prefix)
                }
    return {(one, other) for one, other in found if one != other}


def _direct(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows without those that follow from others."""
    beyond: dict[str, set[str]] = {}

    def reached(name: str) -> set[str]:
        if name not in beyond:
            beyond[name] = set()
            for one, other in found:
                if one == name:
                    beyond[name] |= {other} | reached(other)
        return beyond[name]

    return {
        (one, other)
        for one, other in found
        if not any(other in reached(via) for start, via in found if start == one and via != other)
    }


# -- drawing ---------------------------------------------------------------------------------------

_STYLE: Final = (
    "text{font:14px sans-serif;fill:#1b1f24;text-anchor:middle}"
    ".small{font-size:12px;fill:#57606a}.name{font-weight:bold}"
    "rect{fill:#f6f8fa;stroke:#57606a;rx:6}.out{fill:#fff8e6}path{fill:none;stroke:#57606a;stroke-width:1.5}"
)


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    head = (
        '<marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L10 5L0 10z" style="fill:#57606a;stroke:none"/></marker>'
    )
    size = f'width="{width}" height="{height}"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}">',
        f"<style>{_STYLE}</style>",
        f"<defs>{head}</defs>",
        f'<rect {size} style="fill:#fff;stroke:none"/>',
        *parts,
        "</svg>\n",
    )
    return "\n".join(lines)


def _box(x: float, y: float, width: float, height: float, lines: tuple[str, str], kind: str = "") -> str:
    name, text = lines
    middle = x + width / 2
    words = f'<text x="{middle:g}" y="{y + 21:g}" class="name">{escape(name)}</text>'
    if text:
        words += f'<text x="{middle:g}" y="{y + 39:g}" class="small">{escape(text)}</text>'
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>{words}'


def _arrow(x: float, top: float, bottom: float) -> str:
    return f'<path marker-end="url(#tip)" d="M{x:g} {top:g}V{bottom:g}"/>'


def _plan(rooms: dict[str, Room], found: set[tuple[str, str]]) -> str:
    """The rooms, and the arrows between them. Raises ``SystemExit`` for an arrow that points up."""
    width, high, gap = 760, 52, 44
    column = width / (1 + max(room.columns[1] for room in rooms.values()))
    parts = []
    for one, other in sorted(found):
        above, below = rooms[one], rooms[other]
        if below.floor <= above.floor:
            raise SystemExit(f"{one} imports {other}, which is no lower room")
        x = (max(above.columns[0], below.columns[0]) + 0.5) * column
        parts.append(_arrow(x, 16 + above.floor * (high + gap) + high, 16 + below.floor * (high + gap)))
    for name, (floor, (first, last), text) in rooms.items():
        place = first * column + 8, 16 + floor * (high + gap), (last - first + 1) * column - 16
        parts.append(_box(*place, high, (name, text)))
    floors = 1 + max(room.floor for room in rooms.values())
    return _svg(width, 32 + floors * (high + gap) - gap, parts)


def house() -> str:
    """The picture of the top-level packages and their imports."""
    return _plan(HOUSE, _direct(arrows({name: ROOT / name for name in HOUSE})))


def lab() -> str:
    """The picture of the packages of ``lab``. Raises ``SystemExit`` if ``LAB`` lacks one."""
    there = {each.parent.name for each in (ROOT / "lab").glob("*/__init__.py")}
    if set(LAB) != there:
        raise SystemExit(f"lab's rooms: {sorted(set(LAB) ^ there)} are drawn or there, not both")
    return _plan(LAB, _direct(arrows({name: ROOT / "lab" / name for name in LAB})))


def way(stations: tuple[Station, ...]) -> str:
    """The picture of a way: stations from top to bottom, with exits beside them.

    Raises ``SystemExit`` for a missing module.
    """
    left, wide, high, gap = 20, 470, 48, 22
    parts = []
    for index, station in enumerate(stations):
        if not (ROOT / station.module).exists():
            raise SystemExit(f"{station.module} does not exist: '{station.text}'")
        top = 16 + index * (high + gap)
        if index + 1 < len(stations):
            parts.append(_arrow(left + wide / 2, top + high, top + high + gap))
        parts.append(_box(left, top, wide, high, (station.text, station.module)))
        if station.exit:
            middle = top + high / 2
            parts.append(f'<path marker-end="url(#tip)" d="M{left + wide} {middle:g}H{left + wide + 40}"/>')
            parts.append(_box(left + wide + 40, top + 7, 210, 34, (station.exit, ""), "out"))
    return _svg(left + wide + 270, 16 + len(stations) * (high + gap) - gap + 16, parts)


def pictures() -> dict[str, str]:
    """The text of each picture by its name."""
    return {"house.svg": house(), "lab.svg": lab(), "packet.svg": way(PACKET), "trial.svg": way(TRIAL)}


def out_of_date() -> list[str]:
    """The names of the pictures that are out of date."""
    return [
        name
        for name, text in pictures().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]


def main() -> None:
    """Entry point."""
    if sys.argv[1:] == ["--write"]:
        FOLDER.mkdir(exist_ok=True)
        for name, text in pictures().items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return
    old = out_of_date()
    print("\n".join(f"docs/pictures/{name} is out of date" for name in old) or "all pictures are up to date")
    sys.exit(bool(old))


if __name__ == "__main__":
    main()
