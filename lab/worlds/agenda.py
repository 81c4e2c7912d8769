"""Which agent acts next: the one whose timer, or whose flow's packet, is due first.

The agenda asks an agent for its times only after something has happened to that agent, so that a thousand
idle phones cost nothing. Agents that are due at the same time act in the order in which they were added.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from siplab.lab.sip.base import Agent, Flow


class DueFlow(NamedTuple):
    """A flow of an agent on a host, and when its next packet is due, in seconds."""

    host: str
    agent: Agent
    flow: Flow
    due: float


class _Times:
    """For each of some numbers a time, and the number whose time comes first."""

    __slots__ = ("_heap", "of")

    def __init__(self) -> None:
        self.of: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []  # may hold outdated entries, too

    def set(self, number: int, time: float | None) -> None:
        """Give a number another time, or with ``None`` no time."""
        if time is None:
            self.of.pop(number, None)
        else:
            self.of[number] = time
            heapq.heappush(self._heap, (time, number))

    def first(self) -> tuple[float, int] | None:
        """The earliest time, with the smallest number that has it."""
        heap, of = self._heap, self.of
        while heap:
            entry = heap[0]
            if of.get(entry[1]) == entry[0]:
                return entry
            heapq.heappop(heap)
        return None


class Agenda:
    """The timers and flows of the agents of one world."""

    def __init__(self) -> None:
        self._added = 0
        self._members: dict[int, tuple[str, Agent]] = {}  # host and agent, by the order in which they came
        self._numbers: dict[Agent, int] = {}
        self.touched: set[Agent] = set()
        """The agents to which something has happened since the agenda last asked for their times."""
        self._timers, self._active_timers, self._flows = _Times(), _Times(), _Times()
        self._unasked: set[Agent] = set()  # their active timers are asked for only where there are media
        self._flow_of: dict[int, Flow] = {}

    def add(self, host: str, agent: Agent) -> None:
        """An agent has come."""
        self._added += 1
        self._members[self._added] = host, agent
        self._numbers[agent] = self._added
        self.touched.add(agent)

    def remove(self, agent: Agent) -> None:
        """An agent is gone. An agent that was not there is ignored."""
        number = self._numbers.pop(agent, None)
        if number is not None:
            del self._members[number]
            self._timers.set(number, None)
            self._active_timers.set(number, None)
            self._flows.set(number, None)

    def touch_all(self) -> None:
        """Agents may have changed without the world's knowledge."""
        self.touched.update(self._numbers)

    def next_timer(self) -> float | None:
        """When the next timer is due, in seconds; ``None`` when none runs."""
        if self.touched:
            self._ask()
        first = self._timers.first()
        return None if first is None else first[0]

    def next_active_timer(self) -> float | None:
        """The same, for timers only that may make an agent send, or change its media."""
        if self.touched:
            self._ask()
        times = self._active_timers
        for agent in self._unasked:
            number = self._numbers.get(agent)
            if number is not None and (when := agent.next_active_timer()) != times.of.get(number):
                times.set(number, when)
        self._unasked.clear()
        first = times.first()
        return None if first is None else first[0]

    def due(self, now: float) -> list[Agent]:
        """The agents whose timers are due at ``now`` (seconds) or before; the caller fires their timers."""
        self._ask()
        numbers: list[int] = []
        while (first := self._timers.first()) is not None and first[0] <= now:
            numbers.append(first[1])
            self._timers.set(first[1], None)
        agents = [self._members[number][1] for number in sorted(numbers)]
        self.touched.update(agents)
        return agents

    def next_flow(self) -> DueFlow | None:
        """The flow whose packet is due first."""
        if self.touched:
            self._ask()
        first = self._flows.first()
        if first is None:
            return None
        due, number = first
        return DueFlow(*self._members[number], self._flow_of[number], due)

    def playing(self) -> Iterator[tuple[str, Agent, Flow]]:
        """Every flow that has a packet to send. Flows that are due at the same time send in this order."""
        if self.touched:
            self._ask()
        for number in sorted(self._flows.of):
            host, agent = self._members[number]
            for flow in agent.flows:
                if flow.next_due is not None and flow.remote is not None:
                    yield host, agent, flow

    def _ask(self) -> None:
        """Ask the agents to which something has happened when their timers and flows are due."""
        timers, flows = self._timers, self._flows
        for agent in self.touched:
            number = self._numbers.get(agent)
            if number is None:
                continue  # it is gone
            when = agent.next_timer()
            if when != timers.of.get(number):
                timers.set(number, when)
            earliest: float | None = None
            for flow in agent.flows:
                due = flow.next_due
                if due is not None and flow.remote is not None and (earliest is None or due < earliest):
                    earliest = due
                    self._flow_of[number] = flow
            if earliest != flows.of.get(number):
                flows.set(number, earliest)
        self._unasked |= self.touched
        self.touched.clear()
