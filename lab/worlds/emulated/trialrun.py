"""The smallest emulated network, run once: with it ``doctor`` finds out whether this machine can run one."""

from __future__ import annotations

from siplab.lab.errors import CapabilityError
from siplab.lab.gateway.alg import Card, Model
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.emulated.kernel import KernelLab
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.topology import Topology

_TOPOLOGY = {
    "id": "probe",
    "summary": "A router between two hosts.",
    "networks": {"lan": {"subnet": "192.168.1.0/24"}, "wan": {"subnet": "203.0.113.0/24"}},
    "hosts": {
        "near": {"network": "lan", "address": "192.168.1.102"},
        "far": {"network": "wan", "address": "203.0.113.10"},
    },
    "routers": {"router": {"inside": {"lan": "192.168.1.1"}, "outside": {"wan": "203.0.113.7"}}},
}


class _Listener(Agent):
    def __init__(self, local: Endpoint) -> None:
        super().__init__()
        self._local = local
        self.heard: list[Endpoint] = []

    def start(self, now: float) -> list[Action]:
        return [Listen(self._local)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.heard.append(source)
        return []


def run() -> None:
    """Build it and send one datagram. Raises ``CapabilityError`` unless it arrives translated."""
    lab = EmulatedLab(Network(Topology.model_validate(_TOPOLOGY)))
    world = lab.trial({"router": Model("none", Card("No ALG."))}, 0)
    here, there = Endpoint("192.168.1.102", 5060), Endpoint("203.0.113.10", 5060)
    sender, listener = _Listener(here), _Listener(there)
    world.add("near", sender)
    world.add("far", listener)
    world.perform(sender, [Send(here, there, b"probe")])
    world.idle(1.0)
    problems = world.close()
    if [source.ip for source in listener.heard] != ["203.0.113.7"] or problems:
        raise CapabilityError(f"a datagram did not pass the netfilter queue as it should {problems or ''}")
    lab.close()


def build_kernel() -> None:
    """Build it with the kernel's own SIP ALG in the router. Raises ``CapabilityError``."""
    lab = KernelLab(Network(Topology.model_validate(_TOPOLOGY)), ["router"])
    lab.forget()
    lab.close()
