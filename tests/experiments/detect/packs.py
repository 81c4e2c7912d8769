"""The probe pack played in either world: the client's agent behind a router, the detection server outside.

Functions give plain data back; ``bubble.call(packs.emulated, ...)`` runs one in a bubble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from siplab.alg_models import catalogue
from siplab.experiments.detect.live_script import Site, for_sockets
from siplab.experiments.detect.script_player import ScriptPlayer
from siplab.experiments.probe_pack.script import script
from siplab.experiments.trial import run as trial
from siplab.lab.gateway.sides import Side
from siplab.lab.probing.anti_amplification import Visitor
from siplab.lab.probing.detection_server import DetectionServer
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import World
from siplab.lab.worlds.pair import Pair
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Passage
from tests.lab.worlds import inside

PHONE: Final = "192.168.1.102"
SERVER: Final = Endpoint("198.51.100.10", 5060)
OWN_CONTROL: Final = Endpoint(PHONE, 7999)
CONTROL: Final = Endpoint(SERVER.ip, CONTROL_PORT)

Seen = tuple[Side, Endpoint, Endpoint, bytes]


class Outcome(NamedTuple):
    """What the player says, and (``passages``) what the router did: each packet that entered it, and all that
    left for that, the control channel's apart. What no socket can tell of is left out: packets to ports
    of the phone that nobody holds, and ICMP for these.
    """

    pair: Pair
    problem: str
    skipped: list[str]
    passages: list[tuple[Seen, tuple[Seen, ...]]]
    counts: dict[str, int]


def simulated(
    model: str, first: int, last: int, topology: str = "home", limit: float = 1e6, serve: bool = True
) -> Outcome:
    """Conversations of the pack from number ``first`` to before ``last``."""
    network = trial.network(topology)
    models = dict.fromkeys(network.topology.gateways, catalogue.load().get(model))
    return _play(SimulatedWorld(network, models, 1), first, last, limit, serve)


def emulated(model: str, first: int, last: int) -> Outcome:
    """The same over the kernel, on the network ``home``."""
    running = inside.lab("home")
    models = dict.fromkeys(running.network.topology.gateways, catalogue.load().get(model))
    return _play(running.trial(models, 1), first, last, 1e6, serve=True)


def _play(world: World, first: int, last: int, limit: float, serve: bool) -> Outcome:
    whole, _ = for_sockets(script(), Site(PHONE, SERVER, 6060))
    part = replace(whole, conversations=whole.conversations[first:last])
    begins = part.conversations[0].begins
    part = replace(
        part,
        conversations=tuple(replace(each, begins=each.begins - begins) for each in part.conversations),
    )
    server = DetectionServer(SERVER.ip, (5060, 6060), bytes(range(32)))
    if serve:
        world.add("registrar", server)
    player = ScriptPlayer(part, OWN_CONTROL, CONTROL, "s", limit)
    visitor = Visitor(player, CONTROL)
    world.add("phone", visitor)
    world.run_until(lambda: player.over or visitor.refused, 1e5)
    world.close()
    problem = "refused" if visitor.refused else player.problem
    return Outcome(player.pair, problem, player.skipped, list(_passages(world)), dict(server.counts))


def _passages(world: World) -> Sequence[tuple[Seen, tuple[Seen, ...]]]:
    entered = [each for each in world.trace if isinstance(each, Passage) and not _is_icmp(each.packet)]
    held = {seen(each.side, each.packet)[1] for each in entered if each.side is Side.INSIDE}
    found = []
    for each in entered:
        came = seen(each.side, each.packet)
        if CONTROL_PORT not in (came[1].port, came[2].port):
            left = [seen(row.side, row.packet) for row in each.emissions if row.side is not None]
            found.append((came, tuple(row for row in left if row[0] is Side.OUTSIDE or row[2] in held)))
    return found


def _is_icmp(packet: bytes) -> bool:
    return ip.parse(packet).protocol == ip.ICMP


def seen(side: Side, packet: bytes) -> Seen:
    """What sockets tell of a packet."""
    parsed = ip.parse(packet)
    return side, parsed.source, parsed.destination, parsed.payload
