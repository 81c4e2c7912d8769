"""What a trial is: a topology, a model, a scenario or a detector, mitigations and a seed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from siplab import topologies
from siplab.experiments.trial.pairs import Pair
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import Topology

PROGRAM: Final = "program:"


def is_program(kind: str) -> bool:
    """Whether a kind of phone or server is a real program, ``program:NAME``."""
    return kind.startswith(PROGRAM)


MOST_TRIALS: Final = 100_000
MOST_STORED: Final = 1_000_000
"""A run of more trials does not keep their results in memory."""
_LONGEST_STEM: Final = 180  # file systems allow 255 bytes, and suffixes follow


class ProgramInputs(Protocol):
    """What a program depends on: ``files``, and why there may be more (empty: there are no more)."""

    @property
    def files(self) -> tuple[Path, ...]: ...

    @property
    def unknowable(self) -> str: ...


class OutsideDetector(Protocol):
    """A detector made of programs. It needs the emulated world. Hashable and picklable."""

    @property
    def id(self) -> str: ...

    @property
    def needs_containers(self) -> bool:
        """Whether a part of it runs in a container."""

    @property
    def inputs(self) -> ProgramInputs:
        """What its verdict depends on besides its description."""

    @property
    def may_change_networks(self) -> bool:
        """Whether its programs may change the networks that they run on."""

    @property
    def longest(self) -> float:
        """Seconds that its programs may take."""

    def description(self) -> str:
        """Everything that decides what it does, as one text."""

    def check(self, topology: Topology) -> None:
        """Raises ``UsageError`` if the topology lacks something, or if a file does not exist."""

    def require(self) -> None:
        """Raises ``UsageError`` if this machine lacks a program."""

    def run(self, stage: Stage) -> Finding:
        """Run it in the stage's world. Raises ``UsageError`` outside the emulated one."""


@dataclass(frozen=True)
class TrialSpec:
    """What to run. Exactly one of ``scenario`` and ``detector`` is set; names are specs.

    A detector that is not part of the lab is an ``OutsideDetector``, which needs the emulated world.
    ``control`` names a clean control of the scoreboard, whose settings the trial then has. With ``reach`` the
    result says whether the router's fault was in reach of what happened, with ``changes`` which parts of
    messages routers changed. ``gateway``: ``queue`` is the lab's own; ``kernel`` leaves the work to the
    router's kernel. ``phone``, ``server`` and ``far_phone`` (the phones on the internet) name kinds of
    endpoints; empty: that of ``pairs.DEFAULT``; ``program:NAME``: a real program. ``longest``: wall-clock
    seconds that anything is waited for if real programs take part; 0: the usual time. ``vary``: the seed also
    decides in what real phones differ (``trial.variation``).
    """

    topology: str = "home"
    model: str = "none"
    scenario: str = ""
    detector: str | OutsideDetector = ""
    mitigations: tuple[str, ...] = ()
    seed: int = 1
    model_paths: tuple[str, ...] = ()
    detector_paths: tuple[str, ...] = ()
    scenario_paths: tuple[str, ...] = ()
    control: str = ""
    reach: bool = False
    changes: bool = False
    gateway: str = "queue"
    phone: str = ""
    server: str = ""
    far_phone: str = ""
    longest: float = 0.0
    vary: bool = False

    @property
    def played(self) -> str:
        """The scenario's spec, or the detector's, or the id of a detector that is a program."""
        return self.scenario or (self.detector if isinstance(self.detector, str) else self.detector.id)

    @property
    def program(self) -> OutsideDetector | None:
        """The detector, when it is a program."""
        return None if isinstance(self.detector, str) else self.detector

    def between(self, pair: Pair) -> TrialSpec:
        """The same trial with these endpoints."""
        return replace(self, phone=pair.phone, server=pair.server, far_phone=pair.far_phone)

    @property
    def real(self) -> bool:
        """Whether a real program plays a phone or the server, or a container is in the network."""
        return any(map(is_program, self.kinds.values())) or self.has_images

    @property
    def has_images(self) -> bool:
        """Whether hosts or routers of the topology are containers."""
        try:
            return bool(topologies.load(self.topology).images)
        except UsageError:  # a stored trial whose file no longer exists
            return False

    @property
    def by_wall_clock(self) -> bool:
        """Whether programs take part. These have clocks of their own."""
        return self.real or self.program is not None

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds of endpoints that the trial names."""
        named = {"phone": self.phone, "server": self.server, "far-phone": self.far_phone}
        return {kind: each for kind, each in named.items() if each}

    @property
    def name(self) -> str:
        """A name for people and files; the same trial has the same name."""
        parts = [self.model, self.played, *self.mitigations, f"seed{self.seed}"]
        parts += [f"{kind}-{each}" for kind, each in self.kinds.items()]
        if self.control:
            parts.insert(0, self.control)
        if self.topology != "home":
            parts.insert(0, topologies.short_name(self.topology))
        if self.gateway != "queue":
            parts.append(self.gateway)
        if self.longest:
            parts.append(f"longest{self.longest:g}")
        if self.vary:
            parts.append("vary")
        return "__".join(part.replace("/", "-").replace(" ", "") for part in parts if part)

    @property
    def stem(self) -> str:
        """How the names of a trial's files begin: its name, without characters that files can't have."""
        text = re.sub(r"[^A-Za-z0-9_.=,+-]", "_", self.name)
        if len(text) <= _LONGEST_STEM:
            return text
        digest = hashlib.sha256(self.name.encode("utf-8", "backslashreplace")).hexdigest()[:12]
        return f"{text[:_LONGEST_STEM]}_{digest}"


def check_count(count: int, what: str, most: int = MOST_TRIALS) -> None:
    """Raises ``UsageError`` before trials are made, if there are more than one run may have."""
    if count > most:
        raise UsageError(
            f"{what} has {count:,} trials, and a run at most {most:,}: "
            "name fewer of what is combined, or a smaller repeat"
        )


def needs_emulated(what: str) -> str:
    """The message that there is no kernel to run a program on; ``what`` names the program."""
    return (
        f"{what} is a program: it needs the emulated world (real sockets, a real kernel), "
        "the simulated one has neither; run 'siplab doctor' to see what this machine lacks for it"
    )


def seed_of(spec: TrialSpec) -> str:
    """The seed of the trial's world. It depends on everything but the model and the kinds of endpoints.

    So two models meet the same call, and two kinds of phones meet the same network.
    """
    # The seed is the same whoever does the router's work, so that traces can be compared.
    same = replace(spec, gateway="queue", model="", phone="", server="", far_phone="", longest=0.0)
    return f"{spec.seed}/{same.name}"
