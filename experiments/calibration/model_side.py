"""Sends the corpus through the lab's gateway with the model. Its NAT chooses as the kernel's does."""

from __future__ import annotations

import random
from typing import Final

from siplab.experiments.calibration.corpus import Case
from siplab.experiments.calibration.kernel_side import Outcome
from siplab.experiments.calibration.outcome import Left, left
from siplab.experiments.calibration.places import PUBLIC_IP
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.nat_config import Dependence, NatConfig, Refresh
from siplab.lab.gateway.sides import Side
from siplab.lab.worlds.network import Network

# Netfilter keeps a table of connections, not of mappings. One public port serves any number of peers, as long
# as their addresses distinguish the connections. Since inside ports are kept, this is an endpoint-independent
# mapping, until two inside hosts want the same port for the same peer. Only the connection decides who may
# send back. The timers are those of nf_conntrack_udp_timeout_stream and the like.
KERNEL_NAT: Final = NatConfig(
    mapping=Dependence.ENDPOINT_INDEPENDENT,
    filtering=Dependence.ADDRESS_AND_PORT_DEPENDENT,
    port_parity=False,
    refresh=Refresh.BOTH,
    udp_timeout=120.0,
    udp_new_timeout=30.0,
    tcp_timeout=432000.0,
    tcp_transitory_timeout=120.0,
    icmp_timeout=30.0,
)
# Seconds of the case's clock between two datagrams. So no timer ends within a case, on either side.
STEP: Final = 0.001


def play(model: Model, network: Network, case: Case) -> Outcome:
    """Hand a case's datagrams to a new gateway."""
    topology = network.topology
    router = next(iter(topology.gateways.values()))
    gateway = Gateway(
        model,
        public_ip=PUBLIC_IP,
        inside_networks=[topology.networks[each].subnet for each in router.inside],
        inside_addresses=list(router.inside.values()),
        nat=KERNEL_NAT,
        rng=random.Random("calibration"),
    )
    outcome = []
    now = 0.0
    for each in case.datagrams:
        now += each.after + STEP
        side = Side.INSIDE if each.outbound else Side.OUTSIDE
        emissions = gateway.handle(bytes(each), side, now)
        outcome.append(
            [
                found
                for emission in emissions
                if emission.side is not None and (found := _left(emission.side, emission.packet))
            ]
        )
    return outcome


def _left(side: Side, packet: bytes) -> Left | None:
    return left(side is Side.OUTSIDE, packet)
