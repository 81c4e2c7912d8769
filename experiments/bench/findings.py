"""The results of a bench as files: captures of both sides, pairs, a model and a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from siplab.experiments.captures.comparison import Verdict, compare
from siplab.experiments.diagnosis.sentences import sentences
from siplab.experiments.learning import cards, writing
from siplab.experiments.learning.files import as_captures
from siplab.experiments.learning.learning import Learnt, learn
from siplab.experiments.output import files, pcapng
from siplab.experiments.output.pcapng import ETHERNET, INBOUND, OUTBOUND, CapturedPacket
from siplab.lab.worlds.emulated.ethernet_port import Frame
from siplab.lab.worlds.pair import Pair

_DEPTH = 2  # faults in one router, at most


@dataclass(frozen=True)
class Findings:
    """``verdict`` and ``sentences``: from the probe pack; ``learnt``: from the pack and the calls."""

    verdict: Verdict
    sentences: tuple[str, ...]
    learnt: Learnt


def write_frames(frames: Sequence[Frame], path: Path) -> None:
    """Write a capture of one cable. Raises ``OutputError``."""
    rows = [
        CapturedPacket(path.stem, each.now, each.data, OUTBOUND if each.outbound else INBOUND)
        for each in frames
    ]
    pcapng.write_packets(rows, path, ETHERNET)


def found_in(pack: Pair, calls: Sequence[Pair], path: Path, *, depth: int = _DEPTH) -> Findings:
    """What a router does, from what was sent through it. ``path``: the file with the pack's pair."""
    comparison = compare(*as_captures(pack, path))
    return Findings(comparison.verdict, tuple(sentences(comparison)), learn([pack, *calls], depth=depth))


def write(found: Findings, folder: Path, subject: cards.Subject) -> list[Path]:
    """Write the model and the card. Returns their paths. Raises ``OutputError``."""
    model, card = folder / "router.py", folder / "card.yaml"
    files.write_text(model, writing.as_module(found.learnt, subject.name))
    files.write_text(card, cards.draft(found.learnt, subject, found.sentences))
    return [model, card]
