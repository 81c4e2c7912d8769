"""The order in which hosts and gateways are drawn side by side."""

from __future__ import annotations

from siplab.lab.worlds.network import Network
from siplab.lab.worlds.topology import Topology


def areas(topology: Topology) -> dict[str, str]:
    """For each network the name of its area. Networks without a gateway between them are one area."""
    area = {name: name for name in topology.networks}
    for router in topology.routers.values():
        for group in (router.inside, router.outside) if router.is_gateway else (router.all_interfaces,):
            joined = {area[name] for name in group}
            area = {name: min(joined) if old in joined else old for name, old in area.items()}
    return area


def in_path_order(network: Network) -> list[str]:
    """Hosts and gateways from the inside to the outside.

    The first host's networks come first, the innermost leftmost. What is behind other gateways of the outside
    comes last, the innermost rightmost.
    """
    topology = network.topology
    area = areas(topology)
    beyond = {
        area[inside]: (name, area[next(iter(router.outside))])
        for name, router in reversed(topology.gateways.items())
        for inside in router.inside
    }

    def way_out(place: str) -> list[str]:
        gateways: list[str] = []
        while place in beyond and beyond[place][0] not in gateways:
            gateway, place = beyond[place]
            gateways.append(gateway)
        return gateways

    ways = {name: way_out(area[host.network]) for name, host in topology.hosts.items()}
    homes = list(dict.fromkeys(way[-1] for way in ways.values() if way))
    for name, router in topology.gateways.items():
        ways[name] = way_out(area[next(iter(router.inside))])

    def place(name: str) -> tuple[float, ...]:
        way = ways[name]
        if not way:
            return (1,)
        home = homes.index(way[-1]) if way[-1] in homes else len(homes)
        depth = len(way) - (0.5 if name in topology.gateways else 0.0)
        return (2, home, depth) if home else (0, -depth)

    return sorted(ways, key=place)
