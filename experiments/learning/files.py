"""Files that show what routers did: pair files, and captures of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from siplab.experiments import captures
from siplab.experiments.captures.reading import Capture, Captured, from_packets
from siplab.experiments.learning.observations import from_captures
from siplab.experiments.probe_pack import pair_file
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Side
from siplab.lab.worlds.pair import Pair


def read(paths: Sequence[Path]) -> tuple[list[Pair], list[str]]:
    """The pairs that the files show, and a list of what was left out, in words.

    Captures come in twos: the inside one, then the outside one. Raises ``UsageError`` if the files show no
    pair or are of several routers, ``CaptureError`` if a file can't be read.
    """
    pairs: list[Pair] = []
    left_out: list[str] = []
    waiting: Capture | None = None
    for path in paths:
        if pair_file.is_pair_file(path):
            pairs.append(pair_file.read(path))
            continue
        capture = captures.read(path)
        left_out += capture.lines()
        if waiting is None:
            waiting = capture
            continue
        pairs.append(from_captures(waiting, capture))
        waiting = None
    if waiting is not None:
        raise UsageError(
            f"{waiting.path}: captures come in pairs, IN OUT: one from each side of the router; "
            "the other one is missing"
        )
    if len({each.public for each in pairs}) > 1:
        raise UsageError("the files are of routers with different public addresses: learn one at a time")
    return pairs, left_out


def as_captures(pair: Pair, path: Path) -> tuple[Capture, Capture]:
    """What captures of the inside and of the outside would hold of a pair."""
    rows: dict[Side, list[Captured]] = {side: [] for side in Side}
    for each in pair.crossings:
        for side, packet in ((each.side, each.packet), *each.left):
            rows[side].append(Captured(each.at, "", packet))
    return from_packets(path, rows[Side.INSIDE]), from_packets(path, rows[Side.OUTSIDE])
