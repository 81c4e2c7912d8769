"""The agenda gives the same next agent as asking every agent each time would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from siplab.lab.sip.base import Action, Agent, Flow
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.agenda import Agenda

SOMEWHERE = Endpoint("192.0.2.1", 1)


@dataclass
class _Paced:
    next_due: float | None
    remote: Endpoint | None = SOMEWHERE


class _Idle(Agent):
    """An agent for which only its times matter."""

    def __init__(self) -> None:
        super().__init__()
        self.timer: float | None = None
        self.paced: list[_Paced] = []
        self.is_silent = False

    def start(self, now: float) -> list[Action]:
        return []

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        return []

    def next_timer(self) -> float | None:
        return self.timer

    def next_active_timer(self) -> float | None:
        return None if self.is_silent else self.timer

    @property
    def flows(self) -> Sequence[Flow]:
        return cast(Sequence[Flow], self.paced)


times = st.one_of(st.none(), st.integers(0, 5).map(float))
changes = st.tuples(st.integers(0, 3), times, st.lists(times, max_size=3))


@given(st.lists(st.one_of(changes, st.integers(0, 5)), max_size=40), st.sampled_from([None, 1, 3]))
def test_it_is_what_asking_all_of_them_would_give(
    steps: list[tuple[int, float | None, list[float | None]] | int], gone: int | None
) -> None:
    agents = [_Idle() for _ in range(4)]
    agenda = Agenda()
    for number, agent in enumerate(agents):
        agenda.add(f"host {number}", agent)
    present = list(agents)
    for at, step in enumerate(steps):
        if at == 20 and gone is not None:
            agenda.remove(agents[gone])
            present.remove(agents[gone])
        if isinstance(step, int):
            due = agenda.due(float(step))
            assert due == [each for each in present if each.timer is not None and each.timer <= step]
            for each in agents:
                each.timer = None if each in due else each.timer
        else:
            number, timer, paced = step
            agents[number].timer, agents[number].paced = timer, [_Paced(each) for each in paced]
            agents[number].is_silent = len(paced) == 1
            agenda.touched.add(agents[number])
        timers = [each.timer for each in present if each.timer is not None]
        assert agenda.next_timer() == min(timers, default=None)
        if at % 2:  # worlds ask for these less often
            active = [each.timer for each in present if each.timer is not None and not each.is_silent]
            assert agenda.next_active_timer() == min(active, default=None)
        flows = [
            (flow.next_due, order, flow)
            for order, agent in enumerate(present)
            for flow in agent.paced
            if flow.next_due is not None
        ]
        found = agenda.next_flow()
        if found is None:
            assert not flows
        else:
            due_at, order, flow = min(flows, key=lambda row: row[:2])
            assert (found.due, found.agent) == (due_at, present[order])
            assert id(found.flow) == id(flow)
