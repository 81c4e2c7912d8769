"""What an agent is: a sans-IO endpoint on one host.

An agent is told what happened (``receive``, ``on_timer``, ``on_unreachable``) and answers
with the actions to carry out. It opens no socket, reads no clock and has no randomness but
the generator that it was given. The same object runs in either world.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass

from lab.wire.ip import Endpoint


@dataclass(frozen=True, slots=True)
class Listen:
    """Open the UDP port ``local`` and deliver what arrives there to this agent."""

    local: Endpoint


@dataclass(frozen=True, slots=True)
class Close:
    """Close the UDP port ``local``."""

    local: Endpoint


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``payload`` as one UDP datagram from ``local``, which is listening."""

    local: Endpoint
    remote: Endpoint
    payload: bytes


Action = Listen | Close | Send


@dataclass(frozen=True, slots=True)
class Event:
    """Something that an agent noticed, for checks and ladders: ``now`` in seconds, a kind, a sentence."""

    now: float
    kind: str
    detail: str = ""


class Agent(abc.ABC):
    """Base of all endpoints. ``now`` is in seconds since the trial began."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @abc.abstractmethod
    def start(self, now: float) -> list[Action]:
        """Called once, before anything else."""

    @abc.abstractmethod
    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        """A datagram arrived at ``local``."""

    def next_timer(self) -> float | None:
        """When ``on_timer`` wants to be called; ``None`` for never."""
        return None

    def on_timer(self, now: float) -> list[Action]:
        """Called when ``next_timer`` is due."""
        return []

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        """An ICMP error came back about a datagram sent from ``local`` to ``remote``."""
        return []

    def note(self, now: float, kind: str, detail: str = "") -> None:
        """Record an event."""
        self.events.append(Event(now, kind, detail))
