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
from collections.abc import Callable
from typing import NamedTuple

from siplab.lab.worlds.forwarding import Arrival
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.topology import NetworkSpec

Departure = Callable[[], list[Arrival]]


class Fate(NamedTuple):
    """What becomes of a packet: how many seconds each copy takes that arrives, and where others get lost."""

    delays: tuple[float, ...]
    lost_on: tuple[str, ...] = ()


class Impairments:
    """The impaired networks of one trial, and the packets that are held for them."""

    def __init__(self, network: Network, seed: object) -> None:
        self._network = network
        self._impaired = {
            name: (spec, random.Random(f"{seed}/link/{name}"))
            for name, spec in network.topology.networks.items()
            if spec.is_impaired
        }
        self._held: list[tuple[float, int, Departure]] = []  # a heap: time, order, what happens then
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
                copies = _copies(*self._impaired[name])
                arriving += [delay + each for each in copies]
                if not copies:
                    lost_on.append(name)
            delays = arriving
        return Fate(tuple(delays), tuple(lost_on))

    def hold(self, until: float, departure: Departure) -> None:
        """Have something happen at a time; what has the same time happens in this order."""
        self._count += 1
        heapq.heappush(self._held, (until, self._count, departure))

    @property
    def next_due(self) -> float | None:
        """When the next packet goes on."""
        return self._held[0][0] if self._held else None

    def pop(self, now: float) -> Departure | None:
        """What is due, one at a time."""
        if not self._held or self._held[0][0] > now:
            return None
        return heapq.heappop(self._held)[2]


def _copies(spec: NetworkSpec, rng: random.Random) -> list[float]:
    """The delays of the copies of one packet that arrive over one network: none when it gets lost.

    Every decision takes its number whether it is needed or not, so that one setting does not change
    what another one decides.
    """
    lost, doubled = rng.random() < spec.loss, rng.random() < spec.duplicate
    times = []
    for _ in range(2):
        overtakes = rng.random() < spec.reorder
        delay = spec.delay + spec.jitter * (2 * rng.random() - 1)
        times.append(0.0 if overtakes else delay)
    if lost:
        return []
    return times if doubled else times[:1]


def impairments_of(network: Network, seed: object) -> Impairments | None:
    """The impairments of a trial, ``None`` when no network has any."""
    if any(spec.is_impaired for spec in network.topology.networks.values()):
        return Impairments(network, seed)
    return None
