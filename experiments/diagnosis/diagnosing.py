"""Makes a diagnosis of a router from one or two capture files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from siplab.experiments.captures.comparison import Comparison, Verdict, compare
from siplab.experiments.captures.reading import Capture, Captured, read
from siplab.experiments.diagnosis.in_the_lab import Harm, harms
from siplab.experiments.diagnosis.one_side import OneSided, has_inside, look
from siplab.experiments.learning.files import as_captures
from siplab.experiments.learning.learning import Learnt, learn
from siplab.experiments.learning.observations import from_captures
from siplab.experiments.probe_pack import pair_file
from siplab.lab.errors import UsageError
from siplab.lab.wire import ip
from siplab.lab.wire.ip import is_private
from siplab.lab.worlds.pair import Pair

_DEPTH = 2  # faults in one router, at most: a diagnosis should take seconds


@dataclass(frozen=True)
class Diagnosis:
    """Of the captures: either ``comparison`` (both sides) or ``one_sided``.

    ``learnt``: a model, if the router changes something. ``harms``: what fails in the lab because of it.
    ``obstacle``: why there is no model.
    """

    comparison: Comparison | None = None
    one_sided: OneSided | None = None
    learnt: Learnt | None = None
    harms: tuple[Harm, ...] = ()
    obstacle: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the captures decide. A capture of one side alone decides nothing."""
        return Verdict.UNDECIDED if self.comparison is None else self.comparison.verdict


def diagnose_files(paths: Sequence[Path]) -> tuple[Diagnosis, list[str]]:
    """Diagnose a router from one capture, two captures (one of each side), or one pair file.

    Also returns lines about what in the files could not be used. Raises ``UsageError`` for other files, and
    ``CapabilityError`` if scapy is missing.
    """
    if not 1 <= len(paths) <= 2:
        raise UsageError("one capture, or two: one from each side of the router")
    if any(map(pair_file.is_pair_file, paths)):
        if len(paths) > 1:
            raise UsageError("a pair file has both sides: give it alone")
        return diagnose_pair(pair_file.read(paths[0]), paths[0]), []
    found = [read(each) for each in paths]
    return diagnose(found), [line for each in found for line in each.lines()]


def diagnose(captures: Sequence[Capture]) -> Diagnosis:
    """Diagnose a router from one or two captures."""
    sides = _two_sides(captures)
    if sides is None:
        return Diagnosis(one_sided=look(captures[0]))
    comparison = compare(*sides)
    if comparison.verdict is not Verdict.ALG:
        return Diagnosis(comparison)
    try:
        pair = from_captures(*sides)
    except UsageError as error:
        return Diagnosis(comparison, obstacle=str(error))
    return _with_model(comparison, pair)


def diagnose_pair(pair: Pair, path: Path) -> Diagnosis:
    """Diagnose a router from a pair. ``path``: the pair's file."""
    comparison = compare(*as_captures(pair, path))
    return Diagnosis(comparison) if comparison.verdict is not Verdict.ALG else _with_model(comparison, pair)


def _with_model(comparison: Comparison, pair: Pair) -> Diagnosis:
    learnt = learn([pair], depth=_DEPTH, held_out=False)
    return Diagnosis(comparison, None, learnt, tuple(harms(learnt)))


def _two_sides(captures: Sequence[Capture]) -> tuple[Capture, Capture] | None:
    """The captures of the inside and of the outside; ``None`` if there is one side only.

    Two captures may come in either order. A single capture may hold both sides.
    """
    if len(captures) == 2:
        first, second = captures
        return (second, first) if has_inside(second) and not has_inside(first) else (first, second)
    (whole,) = captures
    inside = [_is_inside(each) for each in whole.packets]
    sides = tuple(
        replace(
            whole,
            packets=[each for each, near in zip(whole.packets, inside, strict=True) if near is wanted],
            messages=[
                each
                for each in whole.messages
                if (is_private(each.source.ip) or is_private(each.destination.ip)) is wanted
            ],
        )
        for wanted in (True, False)
    )
    if not all(each.messages for each in sides) or not compare(*sides).pairing.pairs:
        return None
    return sides[0], sides[1]


def _is_inside(captured: Captured) -> bool:
    packet = ip.parse(captured.packet)
    return is_private(packet.src) or is_private(packet.dst)
