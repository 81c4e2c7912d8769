"""A model at work in a gateway: what it remembers, and what it looks at."""

from __future__ import annotations

import random
from collections.abc import Callable

from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.flow import FlowTable
from siplab.lab.gateway.inspection import Alg
from siplab.lab.gateway.nat import Nat
from siplab.lab.gateway.tcp_inspection import TcpInspector
from siplab.lab.gateway.udp_inspection import UdpInspector
from siplab.lab.wire.ip import TCP


class Treatment:
    """One model with its memory. A gateway has one, or more while old flows go on under an earlier one."""

    __slots__ = ("alg", "flows", "looks", "model", "policy", "tcp", "udp")

    def __init__(
        self,
        model: Model,
        nat: Nat,
        make_generator: Callable[[], random.Random],
        is_inside: Callable[[str], bool],
        router: str,
        mtu: int,
    ) -> None:
        self.model = model
        self.policy = model.policy
        self.looks = bool(model.steps) or self.policy.non_sip == "drop"
        self.alg = Alg(model, nat, make_generator, is_inside, router)
        self.flows = FlowTable(nat, self.policy)
        self.udp = UdpInspector(self.alg, self.flows, mtu)
        self.tcp = TcpInspector(self.alg, mtu)

    def inspects_connection(self, binding: Binding) -> bool:
        """Whether it inspects a TCP connection of the binding."""
        ends = (inside for inside, _ in self.tcp.connections)
        return binding.protocol == TCP and binding.inside in ends

    def clear(self) -> None:
        """Forget all that was learned from packets."""
        self.alg.memory.clear()
        self.flows.clear()
        self.tcp.connections.clear()
