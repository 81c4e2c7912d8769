"""What an agent is: a sans-IO endpoint on one host.

An agent is told what happened (``receive``, ``on_timer``, ``on_unreachable``) and answers
with the actions to carry out. It opens no socket, reads no clock and has no randomness but
the generator that it was given. The same object runs in either world.
"""

from __future__ import annotations

import abc
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from siplab.lab.sip.events import NO_FACTS, Event, EventKind, Facts
from siplab.lab.wire.ip import DEFAULT_TTL, Endpoint
from siplab.lab.wire.rtp import RtpHeader

Transport = Literal["udp", "tcp"]
"""How packets are carried."""

SipTransport = Literal["udp", "tcp", "tls"]
"""How SIP is carried (RFC 3261 section 18); TLS goes over TCP."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Open the port ``local`` and deliver what arrives there to this agent: datagrams, or TCP segments."""

    local: Endpoint
    transport: Transport = "udp"


@dataclass(frozen=True, slots=True)
class Close:
    """Close the UDP port ``local``."""

    local: Endpoint


class Send(NamedTuple):
    """Send ``payload`` as one UDP datagram from ``local``, which is listening.

    ``ttl``: how many hops it may go (IPv6: its hop limit).
    """

    local: Endpoint
    remote: Endpoint
    payload: bytes
    ttl: int = DEFAULT_TTL


@dataclass(frozen=True, slots=True)
class SendSegment:
    """Put ``packet``, an IP packet with a TCP segment, on the wire.

    It goes from ``local``, which is listening for TCP, to ``remote``.
    """

    local: Endpoint
    remote: Endpoint
    packet: bytes


class PassOn(Send):
    """Send on a payload that came from somebody else, unchanged: see ``Agent.onward``."""

    __slots__ = ()


Action = Listen | Close | Send | SendSegment


class Flow(Protocol):
    """Packets at a steady pace, from one endpoint to another: media.

    The world takes each packet when it is due. While nothing happens that could change the way of
    packets, the world may carry only a few of a stretch; the others share the fate of those.
    ``next_due`` is in seconds of the trial, ``None`` while nothing is to be sent; ``interval`` in seconds.
    """

    @property
    def local(self) -> Endpoint: ...
    @property
    def remote(self) -> Endpoint | None: ...
    @property
    def next_due(self) -> float | None: ...
    @property
    def interval(self) -> float: ...

    @property
    def steady(self) -> bool:
        """Whether packets may be skipped, because their content follows from their number."""

    @property
    def left(self) -> int | None:
        """How many packets are still to come, ``None`` for no end."""

    def dues(self, count: int) -> list[float]:
        """When the next ``count`` packets are due, in seconds."""

    def take(self) -> bytes:
        """The packet that is due; ``next_due`` becomes the time of the next one."""

    def skip(self, count: int) -> Train:
        """Skip ``count`` packets, which need not be carried."""

    def frame(self, number: int) -> bytes:
        """The payload of the packet of that number."""

    @property
    def content(self) -> str:
        """The name of what its packets contain: a signal, or the kind of a stream that is not audio."""


class Arrivals(NamedTuple):
    """When the packets of a train arrived (``times``, in seconds), and which ones (``numbers``), in order.

    Packets are numbered from 0. A lost packet is not there, a duplicated one is there twice.
    """

    times: array[float]
    numbers: array[int]

    def part(self, first: int, end: int) -> Arrivals:
        """The arrivals at the places ``first`` to ``end``, without ``end``."""
        return Arrivals(self.times[first:end], self.numbers[first:end])


class Train(NamedTuple):
    """``packets`` of a flow from number ``first`` on, due at ``begin`` and each ``interval`` later.

    ``header`` is that of the first, ``content`` the flow's. ``encrypted``: the wire shows neither of them.
    ``arrivals``: those that came over an impaired network; ``None``: each packet came when it was due.
    """

    flow: Flow
    first: int
    packets: int
    begin: float
    interval: float
    header: RtpHeader
    content: str = ""
    encrypted: bool = False
    arrivals: Arrivals | None = None

    @property
    def arrived(self) -> int:
        """How many packets arrived; duplicated ones count twice."""
        return self.packets if self.arrivals is None else len(self.arrivals.times)


class Agent(abc.ABC):
    """Base of all endpoints. ``now`` is in seconds since the trial began."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def untie(self) -> None:
        """Drop all attributes at the end of a trial.

        The parts of an agent refer to each other. Untied, they are freed at once, without the garbage
        collector.
        """
        vars(self).clear()

    @abc.abstractmethod
    def start(self, now: float) -> list[Action]:
        """Called once, before anything else."""

    @abc.abstractmethod
    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        """A datagram arrived at ``local``."""

    def receive_segment(self, packet: bytes, now: float) -> list[Action]:
        """An IP packet with a TCP segment arrived at one of the ports that listen for TCP."""
        return []

    def next_timer(self) -> float | None:
        """When ``on_timer`` wants to be called; ``None`` for never."""
        return None

    def next_active_timer(self) -> float | None:
        """As ``next_timer``, without timers that send nothing, start no timer and change no media."""
        return self.next_timer()

    def on_timer(self, now: float) -> list[Action]:
        """Called when ``next_timer`` is due."""
        return []

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        """An ICMP error came back about a datagram sent from ``local`` to ``remote``."""
        return []

    @property
    def flows(self) -> Sequence[Flow]:
        """The media that this agent sends at a steady pace."""
        return ()

    def receive_train(self, train: Train, source: Endpoint, local: Endpoint) -> None:  # noqa: B027
        """A stretch of a flow arrived at ``local`` like the packet before it."""

    def onward(self, source: Endpoint, local: Endpoint) -> tuple[Endpoint, Endpoint] | None:
        """From where to where packets of a flow go on after arriving at ``local``; ``None``: they end here.

        If not ``None``, the agent passes each of them on at once, by one ``PassOn``, and does nothing else.
        """
        return None

    def on_quote(self, remote: Endpoint, local: Endpoint, quote: bytes, now: float) -> list[Action]:
        """As ``on_unreachable``, with the payload that the error quotes, which may be cut short or empty."""
        return self.on_unreachable(remote, local, now)

    def note(self, now: float, kind: EventKind, detail: str = "", facts: Facts = NO_FACTS) -> None:
        """Record an event."""
        self.events.append(Event(now, kind, detail, facts))
