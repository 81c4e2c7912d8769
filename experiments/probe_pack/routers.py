"""Makes the router through which a probe pack is played in memory: a topology's, with a model in it."""

from __future__ import annotations

from siplab.experiments.probe_pack.ties import MakeGateway
from siplab.experiments.trial import run as trial
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.worlds.base import make_gateways

_INSIDE = "192.168.1."


def router_of(topology: str) -> MakeGateway:
    """Makes a topology's only NAT router. Raises ``UsageError`` if the pack can't be played through it."""
    network = trial.network(topology)
    routers = network.topology.gateways
    if len(routers) != 1:
        raise UsageError(f"topology '{topology}' has {len(routers)} NAT routers: --probe-pack is about one")
    ((name, router),) = routers.items()
    if not any(address.startswith(_INSIDE) for address in router.inside.values()):
        raise UsageError(f"topology '{topology}': --probe-pack needs a router with {_INSIDE}0/24 inside")

    def made(model: Model) -> Gateway:
        return make_gateways(network, {name: model}, "probe-pack")[name]

    return made
