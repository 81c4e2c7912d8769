"""What a test can ask of a lab or a trial: messages at each tap, what the routers changed, and files."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any

from siplab.experiments.output import pcapng
from siplab.experiments.output.changes import Change, change_of
from siplab.experiments.score import plan
from siplab.experiments.trial import reach
from siplab.experiments.trial.entries import Entries
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.run import models as known_models
from siplab.experiments.trial.run import network as network_of
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.outputs import write_text
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Passage, Sighting, Trace


class Observed(abc.ABC):
    """Something that has a trace. ``seed``: that of its world."""

    result: TrialResult
    seed: object

    @property
    @abc.abstractmethod
    def trace(self) -> Trace:
        """All that was seen so far."""

    @property
    def name(self) -> str:
        """A name for people."""
        return self.result.spec.name.replace("__", ", ")

    @property
    def network(self) -> Network:
        return network_of(self.result.spec.topology)

    # -- what was seen -----------------------------------------------------------------------------

    def messages(self, tap: str | None = None, *, leaving: bool | None = None) -> list[Sighting]:
        """The SIP messages seen at a tap, or at all taps, in order.

        ``tap``: ``router/inside``, ``router/outside``; ``phone`` for an agent of the lab's own. ``leaving``:
        true for messages that left the router or agent there, false for those that came in, ``None`` for
        both.
        """
        return [
            each for each in self.trace.sip() if tap in (None, each.tap) and leaving in (None, each.leaving)
        ]

    def packets(self, tap: str | None = None) -> list[Any]:
        """The IP packets seen at a tap, or at all taps, as scapy's; ``time`` is in seconds of the trial.

        Taps are those of ``messages``; ``lost``: packets that reached nobody. Raises ``CapabilityError``
        without scapy.
        """
        try:
            from scapy.layers.inet import IP
            from scapy.layers.inet6 import IPv6
        except ImportError:
            raise CapabilityError("packets() needs scapy: pip install 'siplab[captures]'") from None
        found = []
        for row in pcapng.packets_of(self.trace):
            if tap in (None, row.tap):
                packet = (IP if row.packet[0] >> 4 == 4 else IPv6)(row.packet)
                packet.time, packet.sniffed_on = row.now, row.tap
                found.append(packet)
        return found

    @property
    def passages(self) -> list[Passage]:
        """Every packet that entered a router, and what the router did with it."""
        return self.trace.passages

    @property
    def changes(self) -> list[Change]:
        """The messages that ALGs changed, before and after, with the rules that the changes broke."""
        entries = Entries()
        found: list[Change] = []
        for passage in self.passages:
            entered = entries.whole(passage)
            changed = (change_of(entered, emission) for emission in passage.emissions)
            found += [each for each in changed if each is not None]
        return found

    @property
    def changed_fields(self) -> tuple[str, ...]:
        """The parts of messages that ALGs changed, without repetitions: ``Via``, ``SDP c=``."""
        return tuple(dict.fromkeys(part for each in self.changes for part in each.parts))

    @property
    def expected(self) -> str:
        """The right verdict of a detector on this exchange: ``alg``, ``clean``, or ``either``.

        ``clean`` if a router without an ALG would have emitted the same packets (docs/scoreboard.md). Raises
        ``UsageError`` if the kernel is a gateway, which can't be compared with the lab's.
        """
        spec = self.result.spec
        if spec.gateway == "kernel":
            raise UsageError("nobody knows what is expected of a kernel's gateway: look at what it changed")
        known = known_models(spec.model_paths)
        judged = {plan.expected_of(known.get(each)) for each in self.models.values()}
        if "alg" in judged:
            touched = reach.measure(self.trace, self.network, self.seed).touched
            return "alg" if touched else "clean"
        return "either" if "either" in judged else "clean"

    @property
    @abc.abstractmethod
    def models(self) -> dict[str, str]:
        """The model spec of each gateway."""

    # -- files -------------------------------------------------------------------------------------

    def ladder(self, width: int = 100) -> str:
        """Who sent what to whom, and what the router changed, as text."""
        from siplab.experiments.output import ladder

        return ladder.as_text(self.result, self.trace, self.network, width)

    def pcap(self, path: Path | str) -> Path:
        """Write what all taps saw to a pcapng file. Returns its path."""
        pcapng.write(self.trace, Path(path))
        return Path(path)

    def write_trace(self, path: Path | str) -> Path:
        """Write the trace, one JSON object per line. Returns its path."""
        write_text(Path(path), self.trace.to_json_lines())
        return Path(path)
