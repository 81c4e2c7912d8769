"""What every world is: agents under one clock. Scenarios and detectors run in it.

``siplab.lab.worlds.lab_world`` has the worlds whose network the lab makes, ``live_network`` the one whose
network exists already.
"""

from __future__ import annotations

import abc
import random
from collections.abc import Callable, Mapping
from functools import partial

from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.sip.base import Action, Agent
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.agenda import Agenda
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Noted, Remark, Trace, WorldEvent


class WorldError(Exception):
    """The world could not do what was asked, so the trial is invalid. The error's text says why."""


def make_gateways(network: Network, models: Mapping[str, Model], seed: object) -> dict[str, Gateway]:
    """A gateway for each NAT router of the topology, except for routers that are containers.

    Each model has a random generator of its own, so the NAT draws the same numbers with every model. Raises
    ``KeyError`` when a gateway has no model.
    """
    topology = network.topology
    gateways: dict[str, Gateway] = {}
    for name, router in topology.gateways.items():
        if router.image is not None:
            continue
        # Only IPv4 is translated; a gateway with IPv6 alone is a firewall.
        outside, public_ip = min(router.outside.items(), key=lambda row: ":" in row[1])
        gateways[name] = Gateway(
            models[name],
            public_ip=public_ip,
            inside_networks=[topology.networks[each].subnet for each in router.inside],
            inside_addresses=list(router.inside.values()),
            nat=router.nat,
            rng=random.Random(f"{seed}/{name}"),
            model_rng=partial(random.Random, f"{seed}/{name}/{models[name].id}"),
            mtu=topology.networks[outside].mtu,
            firewall=router.firewall,
            later=router.later.get(outside, ""),
        )
    return gateways


class World(abc.ABC):
    """Hosts with agents, under one clock. ``gateways``: by name, the routers that the lab itself computes."""

    kind: str

    def __init__(self) -> None:
        self.trace = Trace()
        self.gateways: dict[str, Gateway] = {}
        self._agents: list[tuple[str, Agent]] = []
        self._agenda = Agenda()
        self._told: dict[Agent, int] = {}  # how many of an agent's events are in the trace

    @property
    @abc.abstractmethod
    def now(self) -> float:
        """Seconds since the world began."""

    # -- who is there --------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """The name of the network in messages."""

    @abc.abstractmethod
    def host_of(self, role: str) -> tuple[str, str] | None:
        """Name and address of the host with that role, ``None`` when there is none."""

    @abc.abstractmethod
    def mtu_of(self, host: str) -> int:
        """The smallest MTU of a host's links, in bytes."""

    @property
    def agents(self) -> list[Agent]:
        """The agents, in the order in which they were added."""
        return [agent for _, agent in self._agents]

    def add(self, host: str, agent: Agent) -> None:
        """Put an agent on a host and start it. Raises ``WorldError`` when it can't have its ports."""
        self._agents.append((host, agent))
        self._agenda.add(host, agent)
        self.perform(agent, agent.start(self.now))

    def remove(self, agent: Agent) -> None:
        """Take an agent away at once, as when its power fails: it sends nothing any more."""
        self._agents = [(host, each) for host, each in self._agents if each is not agent]
        self._agenda.remove(agent)
        self._close_ports(agent)

    def reboot(self, gateway: str) -> None:
        """A router loses everything that it knows: bindings, pinholes, what its ALG remembers."""
        self.remark(gateway, WorldEvent.REBOOTED, "all bindings are lost")
        self.gateways[gateway].reboot()

    def renumber(self, gateway: str) -> None:
        """A router's line is renewed: it gets its later public address; without one the address stays."""
        later = self.gateways[gateway].later
        detail = f"the public address is {later} now" if later else "the public address is the same"
        self.remark(gateway, WorldEvent.RENUMBERED, detail)
        self.gateways[gateway].renumber()

    def mark(self, host: str, dscp: int) -> None:
        """Give this DSCP (RFC 2474) to UDP datagrams that a host's agents send from ports opened from now on.

        Raises ``UsageError`` where the lab does not make the packets itself.
        """
        raise UsageError(f"{self.place} has hosts of its own: the lab can't set the DSCP of their packets")

    # -- what happens --------------------------------------------------------------------------

    def perform(self, agent: Agent, actions: list[Action]) -> None:
        """Put the agent's new events into the trace, then carry out the actions that it asked for."""
        self._agenda.touched.add(agent)
        told = self._told.get(agent, 0)
        if len(agent.events) > told:
            self._tell(agent, told)
        for action in actions:
            self._carry_out(agent, action)

    @abc.abstractmethod
    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Run until ``done`` or for ``timeout`` seconds; returns whether it was done."""

    def idle(self, seconds: float) -> None:
        """Let ``seconds`` go by."""
        self.run_until(lambda: False, seconds)

    def untie(self) -> None:
        """Let go of agents and gateways. Afterwards only the trace and the time may be asked for.

        See ``Agent.untie``. A world that is shown or examined after its end must not be untied.
        """
        for _, agent in self._agents:
            agent.untie()
        for gateway in self.gateways.values():
            vars(gateway).clear()

    def remark(
        self,
        who: str,
        kind: WorldEvent,
        detail: str,
        local: Endpoint | None = None,
        remote: Endpoint | None = None,
    ) -> None:
        """Note something in the trace."""
        self.trace.add(Remark(self.now, who, kind, detail, local, remote))

    @abc.abstractmethod
    def close(self) -> list[str]:
        """End the world; returns the problems that it found in itself (lost packets, full queues)."""

    # -- for the worlds ------------------------------------------------------------------------

    @abc.abstractmethod
    def _carry_out(self, agent: Agent, action: Action) -> None:
        """Do one thing that an agent asked for."""

    @abc.abstractmethod
    def _close_ports(self, agent: Agent) -> None:
        """Close every port of an agent."""

    def _tell(self, agent: Agent, told: int) -> None:
        host = next((host for host, each in self._agents if each is agent), "")
        for event in agent.events[told:]:
            self.trace.add(Noted(event.now, host, event.kind, event.detail, event.facts))
        self._told[agent] = len(agent.events)

    def _next_timer(self) -> float | None:
        return self._agenda.next_timer()

    def _fire(self) -> None:
        for agent in self._agenda.due(self.now):
            self.perform(agent, agent.on_timer(self.now))
