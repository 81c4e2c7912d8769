"""What networks do to packets on their way: loss, delay, jitter, reordering, duplication.

The rules of this file:

- The fate of a packet is decided where it leaves a host or a gateway, for all networks up to the next gateway
  or the destination. The packet waits there until its time comes, and then crosses the networks in no time.
  So no kernel needs to impair traffic, and both worlds give the same results.
- The randomness follows from the trial's seed, for each network separately.
- The fragments of a datagram share its fate. ICMP errors of hosts and plain routers are not impaired.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from siplab.lab.worlds.forwarding import Arrival
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.topology import NetworkSpec

Departure = Callable[[], list[Arrival]]


class Fate(NamedTuple):
    """What becomes of a packet.

    ``delays``: for each copy that arrives, how many seconds it takes. ``lost_on``: the networks on which
    copies get lost. ``networks``: all impaired networks that had a part in it.
    """

    delays: tuple[float, ...]
    lost_on: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


class Impairments:
    """The impaired networks of one trial, and the packets that are held for them."""

    def __init__(self, network: Network, seed: object) -> None:
        self._network = network
        self._impaired = {
            name: (spec, random.Random(f"{seed}/link/{name}"))
            for name, spec in network.topology.networks.items()
            if spec.is_impaired
        }
        self._drawn: dict[str, deque[tuple[float, ...]]] = {name: deque() for name in self._impaired}
        self._held: list[tuple[float, int, Departure, int]] = []  # heap: time, order, departure, media since
        self._count = 0

    def fate(self, node: str, destination: str) -> Fate | None:
        """The fate of a packet that leaves ``node`` now; ``None`` when no network on its way is impaired."""
        networks = [name for name in self._network.crossed(node, destination) if name in self._impaired]
        if not networks:
            return None
        delays, lost_on = [0.0], []
        for name in networks:
            arriving = []
            for delay in delays:
                copies = self._next(name)
                arriving += [delay + each for each in copies]
                if not copies:
                    lost_on.append(name)
            delays = arriving
        return Fate(tuple(delays), tuple(lost_on), tuple(networks))

    def longest(self, name: str) -> float:
        """The longest time that a packet can take over one impaired network, in seconds."""
        spec = self._impaired[name][0]
        return max(0.0, spec.delay + spec.jitter)

    def draw(self, name: str, count: int) -> list[tuple[float, ...]]:
        """The fates of the next packets over one network: the delays (seconds) of each packet's copies."""
        drawn = self._drawn[name]
        found = [drawn.popleft() for _ in range(min(count, len(drawn)))]
        return found + _copies(*self._impaired[name], count - len(found))

    def put_back(self, name: str, fates: list[tuple[float, ...]]) -> None:
        """Return the last fates that were drawn: packets to come get them."""
        self._drawn[name].extendleft(reversed(fates))

    def _next(self, name: str) -> tuple[float, ...]:
        drawn = self._drawn[name]
        return drawn.popleft() if drawn else _copies(*self._impaired[name], 1)[0]

    def hold(self, until: float, departure: Departure, media_since: int = -1) -> None:
        """Have something happen at ``until`` (seconds); at the same time, in the order of these calls.

        ``media_since``: for a flow's packet, the number of the event after which it was sent; see
        ``next_but``.
        """
        self._count += 1
        heapq.heappush(self._held, (until, self._count, departure, media_since))

    @property
    def next_due(self) -> float | None:
        """When the next held packet goes on, in seconds."""
        return self._held[0][0] if self._held else None

    def next_but(self, media_since: int) -> float | None:
        """The same, without packets of flows that were sent since that event."""
        return min((each[0] for each in self._held if each[3] != media_since), default=None)

    def pop(self, now: float) -> Departure | None:
        """The first departure that is due, removed; ``None`` when none is."""
        if not self._held or self._held[0][0] > now:
            return None
        return heapq.heappop(self._held)[2]


def _copies(spec: NetworkSpec, rng: random.Random, count: int) -> list[tuple[float, ...]]:
    """For ``count`` packets over one network, the delays (seconds) of the copies that arrive; () if lost.

    Every decision draws its number even when it is not needed. So changing one setting does not change the
    decisions of another.
    """
    draw, loss, duplicate, reorder = rng.random, spec.loss, spec.duplicate, spec.reorder
    usual, jitter = spec.delay, spec.jitter
    found: list[tuple[float, ...]] = []
    for _ in range(count):
        lost, doubled = draw() < loss, draw() < duplicate
        overtakes, delay = draw() < reorder, usual + jitter * (2 * draw() - 1)
        other_overtakes, other = draw() < reorder, usual + jitter * (2 * draw() - 1)
        if lost:
            found.append(())
        elif doubled:
            found.append((0.0 if overtakes else delay, 0.0 if other_overtakes else other))
        else:
            found.append((0.0 if overtakes else delay,))
    return found


def impairments_of(network: Network, seed: object) -> Impairments | None:
    """The impairments of a trial, ``None`` when no network has any."""
    if any(spec.is_impaired for spec in network.topology.networks.values()):
        return Impairments(network, seed)
    return None
