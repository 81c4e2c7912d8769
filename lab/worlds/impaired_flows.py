"""Media over impaired networks, in worlds with a virtual clock: a stretch of packets without carrying each.

The rules of this file:

- The *way* of a carried packet is noted: who sent it to whom, at which node an impaired network decided its
  fate, who passed it on, and where it arrived. A packet that gets lost has no way.
- A stretch begins when, for each flow, two packets in a row came by the same way, and nothing but media has
  happened since the first of them was sent. Then the packets of all flows up to the *horizon* (defined in
  ``flows.py``) go by these ways. What an impaired network does to each packet is drawn from the same
  generator, in the order in which the packets would have left. So a trial's result is the same as if each
  packet had been carried.
- The packets at the end of a stretch are carried: those that would still be under way at the horizon, and for
  each flow one that arrives before it, so that gateways remember what they would have remembered.
- A flow that crosses impaired networks at two places, or is copied, has each packet carried.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Final, NamedTuple

from siplab.lab.sip.base import Agent, Arrivals, Flow, Train
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.flows import FlowKeeper
from siplab.lab.worlds.forwarding import Arrival, Delivery
from siplab.lab.worlds.impairments import Fate, Impairments
from siplab.lab.worlds.trace import SkippedPackets

_SLACK: Final = 1e-6  # seconds: tolerance for times that are sums
_WORTH: Final = 0.3  # seconds: to plan a shorter stretch costs as much as to carry its packets


class Link(NamedTuple):
    """An agent sends the packet, or passes it on."""

    host: str
    local: Endpoint
    remote: Endpoint


class Impaired(NamedTuple):
    """An impaired network decides the packet's fate where the packet leaves a node."""

    node: str
    network: str


class Arrived(NamedTuple):
    """The packet reaches an agent's port."""

    local: Endpoint
    source: Endpoint


Way = tuple[Link | Impaired | Arrived, ...]


class Course:
    """One packet of a flow under way, or a copy of it. ``event``: the world's event number at its sending."""

    __slots__ = ("event", "flow", "is_over", "is_plain", "steps")

    def __init__(self, flow: Flow, event: int, steps: Way = ()) -> None:
        self.flow = flow
        self.event = event
        self.steps: list[Link | Impaired | Arrived] = list(steps)
        self.is_plain = True  # it was not copied, and at most one impaired network decided its fate
        self.is_over = False

    def launched(self, node: str, fate: Fate) -> list[Course]:
        """Impaired networks have decided the fate; returns the course of each copy that goes on."""
        plain = self.is_plain and not self.is_over and len(fate.networks) == 1
        plain = plain and not any(isinstance(each, Impaired) for each in self.steps)
        self.is_over = True
        copies = [
            Course(self.flow, self.event, (*self.steps, Impaired(node, fate.networks[0])))
            for _ in fate.delays
        ]
        for each in copies:
            each.is_plain = plain
        return copies


class PlayingFlow(NamedTuple):
    """A flow that has a packet to send, and whose it is."""

    host: str
    agent: Agent
    flow: Flow


class Stretch(NamedTuple):
    """Packets of one flow that go by ``way`` without being carried.

    ``copies``: for each packet, after how many seconds each of its copies arrives. ``arrivals``: the same in
    the order of arrival. Both are ``None`` where no impaired network is on the way.
    """

    playing: PlayingFlow
    way: Way
    train: Train
    copies: list[tuple[float, ...]] | None
    arrivals: Arrivals | None

    def records(self) -> Iterator[SkippedPackets]:
        """The stretch's records in a trace: one for each agent that sends the packets or passes them on."""
        train, came = self.train, None
        until = train.begin + (train.packets - 1) * train.interval
        content = "" if train.encrypted else train.content
        for step, following in pairwise((*self.way, None)):
            if isinstance(step, Impaired):
                came = self.arrivals
            elif isinstance(step, Link):
                record = SkippedPackets(train.begin, *step, train.packets, until, content, train.first)
                if isinstance(following, Impaired) and self.copies is not None:
                    record = record.with_fates(following.node, following.network, self.copies)
                elif came is not None:
                    record = record._replace(packets=len(came.times), as_arrived=True)
                    if came.times:
                        record = record._replace(now=came.times[0], until=came.times[-1])
                yield record

    def parts(self, singly_until: float, singly_from: float) -> Iterator[Train]:
        """The train in parts: arrivals between the two times (seconds) in one part, all others one by one."""
        came = self.arrivals
        assert came is not None
        first = bisect_left(came.times, singly_until)
        end = max(first, bisect_left(came.times, singly_from))
        cuts = [*range(first + 1), *range(end, len(came.times) + 1)]
        for begin, behind in pairwise(sorted(set(cuts))):
            yield self.train._replace(arrivals=came.part(begin, behind))


class Plan(NamedTuple):
    """Stretches that begin now.

    In seconds: packets due from ``end`` on are carried, and no packet takes longer than ``longest``.
    """

    stretches: list[Stretch]
    end: float
    longest: float


class _Known:
    """The way of the latest packet that arrived; ``twice``: the packet before it had the same way."""

    __slots__ = ("event", "flow", "next_due", "twice", "way")

    def __init__(self, flow: Flow) -> None:
        self.flow = flow  # kept, so that no other object gets the same id
        self.way: Way | None = None
        self.twice = False
        self.event = -1
        self.next_due: float | None = None


class ImpairedFlows:
    """What is known of the flows of one world that has impaired networks."""

    def __init__(self, impairments: Impairments, keeper: FlowKeeper) -> None:
        self._impairments = impairments
        self._keeper = keeper  # knows the latest event number
        self._known: dict[int, _Known] = {}
        self._under_way: dict[int, Course] = {}  # by the id of a delivery that is yet to reach its agent

    # -- packets that are carried ------------------------------------------------------------------

    def begun(self, flow: Flow) -> Course:
        """A packet of the flow is about to be sent."""
        return Course(flow, self._keeper.event)

    def sent(self, flow: Flow) -> None:
        """The packet was sent, and the flow has gone on to the next."""
        self._of(flow).next_due = flow.next_due

    def came(self, course: Course, arrivals: Sequence[Arrival]) -> None:
        """What became of a packet on a part of its way; no network holds it at the end of that part."""
        if course.is_over:
            course.is_plain = course.is_plain and not arrivals
            return
        if len(arrivals) == 1 and isinstance(arrivals[0], Delivery):
            course.steps.append(Arrived(arrivals[0].local, arrivals[0].source))
            self._under_way[id(arrivals[0])] = course
        else:
            course.is_plain = course.is_plain and not arrivals
            self._end(course)

    def reached(self, arrival: Arrival) -> Course | None:
        """The course of the packet that an agent is about to get."""
        return self._under_way.pop(id(arrival), None)

    def heard(self, course: Course, arrival: Delivery) -> None:
        """The agent has got the packet, and has passed it on or not."""
        if course.steps[-1] == Arrived(arrival.local, arrival.source):
            self._end(course)

    def _end(self, course: Course) -> None:
        course.is_over = True
        known, way = self._of(course.flow), tuple(course.steps)
        event = self._keeper.event
        known.twice = course.is_plain and course.event == event == known.event and known.way == way
        known.way, known.event = (way if course.is_plain else None), course.event

    def _of(self, flow: Flow) -> _Known:
        known = self._known.get(id(flow))
        if known is None:
            known = self._known[id(flow)] = _Known(flow)
        return known

    # -- packets that are not ----------------------------------------------------------------------

    def is_known(self, flow: Flow) -> bool:
        """Whether the flow's next packets will go the way of the latest, as far as is known."""
        known = self._known.get(id(flow))
        return (
            known is not None
            and known.twice
            and known.way is not None
            and known.event == self._keeper.event
            and known.next_due == flow.next_due  # else there was a pause
            and flow.steady
            and isinstance(known.way[0], Link)
            and known.way[0].remote == flow.remote
        )

    def plan(
        self,
        now: float,
        horizon: float,
        playing: Iterable[PlayingFlow],
        onward: Callable[[Delivery], tuple[Endpoint, Endpoint] | None],
    ) -> Plan | None:
        """Which packets of all flows need not be carried, from ``now`` to the horizon (seconds).

        ``playing``: the flows; those that are due at the same time send in this order. ``onward``: as
        ``Agent.onward``. Returns ``None`` when the next packet must be carried.
        """
        if horizon - now < _WORTH:
            return None
        players = [each for each in playing if (each.flow.next_due or 0.0) < horizon]
        ways: list[Way] = []
        for each in players:
            if not self.is_known(each.flow):
                return None
            way = self._known[id(each.flow)].way
            assert way is not None
            if not _holds(way, onward):
                return None
            ways.append(way)
        networks = [next((each.network for each in way if isinstance(each, Impaired)), "") for way in ways]
        longest = max([0.0, *(self._impairments.longest(name) for name in set(networks) if name)])
        if horizon - longest - now < _WORTH:
            return None
        dues = [_dues(each.flow, horizon) for each in players]
        fates = self._draw(networks, dues)
        end = min(
            horizon - longest,
            *(_last_before(horizon, *row) for row in zip(dues, fates, strict=True)),
        )
        counts = [bisect_left(each, end - _SLACK) for each in dues]
        self._put_back(networks, dues, fates, counts)
        if max(counts) * players[0].flow.interval < _WORTH:
            return None
        rows = zip(players, ways, dues, fates, counts, strict=True)
        return Plan([self._stretch(*row) for row in rows if row[-1]], end, longest)

    def _stretch(
        self,
        playing: PlayingFlow,
        way: Way,
        dues: list[float],
        copies: list[tuple[float, ...]] | None,
        count: int,
    ) -> Stretch:
        flow = playing.flow
        train = flow.skip(count)
        self._known[id(flow)].next_due = flow.next_due
        if copies is None:
            return Stretch(playing, way, train, None, None)
        del copies[count:]
        times = [due + delay for due, some in zip(dues, copies, strict=False) for delay in some]
        numbers = [number for number, some in enumerate(copies) for _ in some]
        order = sorted(range(len(times)), key=times.__getitem__)
        came = Arrivals(
            array("d", map(times.__getitem__, order)), array("l", map(numbers.__getitem__, order))
        )
        return Stretch(playing, way, train, copies, came)

    def _draw(self, networks: list[str], dues: list[list[float]]) -> list[list[tuple[float, ...]] | None]:
        """The fates of packets, by flow; for each network drawn in the order in which packets leave."""
        fates: list[list[tuple[float, ...]] | None] = [[] if name else None for name in networks]
        for name in dict.fromkeys(filter(None, networks)):
            members = [at for at, each in enumerate(networks) if each == name]
            owners = _in_order(members, dues)
            into = {at: found.append for at in members if (found := fates[at]) is not None}
            for owner, copies in zip(owners, self._impairments.draw(name, len(owners)), strict=True):
                into[owner](copies)
        return fates

    def _put_back(
        self,
        networks: list[str],
        dues: list[list[float]],
        fates: list[list[tuple[float, ...]] | None],
        counts: list[int],
    ) -> None:
        """Put back the fates that were drawn for packets that will be carried; they take them later."""
        for name in dict.fromkeys(filter(None, networks)):
            members = [at for at, each in enumerate(networks) if each == name]
            rest = {at: dues[at][counts[at] :] for at in members}
            left = {at: iter((fates[at] or [])[counts[at] :]) for at in members}
            self._impairments.put_back(name, [next(left[at]) for at in _in_order(members, rest)])


def _holds(way: Way, onward: Callable[[Delivery], tuple[Endpoint, Endpoint] | None]) -> bool:
    """Whether agents still pass packets on as the way says."""
    for step, following in pairwise((*way, None)):
        if isinstance(step, Arrived):
            link = onward(Delivery(step.local, step.source, b""))
            if link != ((following.local, following.remote) if isinstance(following, Link) else None):
                return False
    return True


def _dues(flow: Flow, horizon: float) -> list[float]:
    """When the flow's packets before the horizon are due."""
    assert flow.next_due is not None
    count = max(0, math.ceil((horizon - flow.next_due) / flow.interval) + 1)
    dues = flow.dues(count if flow.left is None else min(count, flow.left))
    return dues[: bisect_left(dues, horizon - _SLACK)]


def _last_before(horizon: float, dues: list[float], copies: list[tuple[float, ...]] | None) -> float:
    """When (seconds) the packet was due that arrives last before the horizon; minus infinity if none does."""
    if copies is None:
        return dues[-1] if dues else math.inf
    latest, found = -math.inf, -math.inf if dues else math.inf
    for due, some in zip(reversed(dues), reversed(copies), strict=True):
        if due < latest:
            break
        for delay in some:
            if latest < due + delay < horizon:
                latest, found = due + delay, due
    return found


def _in_order(members: list[int], dues: Sequence[list[float]] | dict[int, list[float]]) -> list[int]:
    """Whose packet leaves, one after the other. At the same time they leave in the order of the members."""
    if len(members) == 1:
        return members * len(dues[members[0]])
    times = list(chain.from_iterable(dues[at] for at in members))
    owners = list(chain.from_iterable([at] * len(dues[at]) for at in members))
    return [owners[each] for each in sorted(range(len(times)), key=times.__getitem__)]
