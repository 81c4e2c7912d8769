"""What networks do to packets on their way: loss, delay, jitter, reordering, duplication.

The rules of this file:

- The fate of a packet is decided where it leaves a host or a gateway, for all the networks up to the next
  gateway or the host that it is for. It then waits there until it is due, and crosses them in no time. So
  no kernel has to be told about impairments, and both worlds come to the same.
- Randomness follows from the trial's seed, for each network apart.
- The fragments of a datagram share its fate. ICMP errors of hosts and plain routers are spared.
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
    """What becomes of a packet: how many seconds each copy takes that arrives, and where others get lost.

    ``networks``: the impaired ones that had a say.
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
        self._held: list[tuple[float, int, Departure, int]] = []  # a heap: time, order, what, media since
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
        """How long a packet takes at most over one impaired network, in seconds."""
        spec = self._impaired[name][0]
        return max(0.0, spec.delay + spec.jitter)

    def draw(self, name: str, count: int) -> list[tuple[float, ...]]:
        """The fates of the next packets over one network: the delays in seconds of each one's copies."""
        drawn = self._drawn[name]
        found = [drawn.popleft() for _ in range(min(count, len(drawn)))]
        return found + _copies(*self._impaired[name], count - len(found))

    def put_back(self, name: str, fates: list[tuple[float, ...]]) -> None:
        """The latest of the fates that were drawn are for packets to come."""
        self._drawn[name].extendleft(reversed(fates))

    def _next(self, name: str) -> tuple[float, ...]:
        drawn = self._drawn[name]
        return drawn.popleft() if drawn else _copies(*self._impaired[name], 1)[0]

    def hold(self, until: float, departure: Departure, media_since: int = -1) -> None:
        """Have something happen at a time; what has the same time happens in this order.

        ``media_since``: of a flow's packets the event after which they were sent, see ``next_but``.
        """
        self._count += 1
        heapq.heappush(self._held, (until, self._count, departure, media_since))

    @property
    def next_due(self) -> float | None:
        """When the next packet goes on."""
        return self._held[0][0] if self._held else None

    def next_but(self, media_since: int) -> float | None:
        """The same, but for packets of flows that were sent since that event."""
        return min((each[0] for each in self._held if each[3] != media_since), default=None)

    def pop(self, now: float) -> Departure | None:
        """What is due, one at a time."""
        if not self._held or self._held[0][0] > now:
            return None
        return heapq.heappop(self._held)[2]


def _copies(spec: NetworkSpec, rng: random.Random, count: int) -> list[tuple[float, ...]]:
    """The delays of the copies that arrive over one network of ``count`` packets: none where one gets lost.

    Every decision takes its number whether it is needed or not, so that one setting does not change
    what another one decides.
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
