"""Exchanges over impaired networks, in either world, for tests.

Functions return plain data; ``bubble.call(impaired.function, ...)`` runs them in a bubble.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from siplab import topologies
from siplab.lab.sip.base import Send
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import World
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Lost, Passage, Received, Sent
from tests.lab.worlds.players import NONE, PHONE, REGISTRAR, Talker

_LABS: Final[dict[str, EmulatedLab]] = {}
# Sends one datagram from its own socket, which the lab does not know.
_PROGRAM: Final = "import socket; socket.socket(2, 2).sendto(b'from outside', ('198.51.100.10', 5060))"


class Heard(NamedTuple):
    """What each side received and when, what got lost where, and the whole trace."""

    registrar: list[tuple[float, bytes]]
    phone: list[tuple[float, bytes]]
    lost: list[str]
    problems: list[str]
    trace: str


def network(spec: str) -> Network:
    return Network(topologies.load(spec))


def world(spec: str, seed: int = 1) -> SimulatedWorld:
    net = network(spec)
    return SimulatedWorld(net, dict.fromkeys(net.topology.gateways, NONE), seed)


def simulated(spec: str, count: int = 20, size: int = 10, seed: int = 1) -> Heard:
    return _play(world(spec, seed), count, size)


def emulated(spec: str, count: int = 20, size: int = 10, seed: int = 1) -> Heard:
    running = _LABS.get(spec)
    if running is None:
        running = _LABS[spec] = EmulatedLab(network(spec))
    models = dict.fromkeys(running.network.topology.gateways, NONE)
    return _play(running.trial(models, seed), count, size)


def _play(world: World, count: int, size: int) -> Heard:
    """The phone sends ``count`` datagrams, half a second apart; the registrar sends each one back."""
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    world.add("phone", phone)
    world.add("registrar", registrar)
    repeated = 0
    for number in range(count):
        world.perform(phone, [Send(PHONE, REGISTRAR, b"%d" % number + b"." * size)])
        world.idle(0.5)
        for source, payload in registrar.heard[repeated:]:
            world.perform(registrar, [Send(REGISTRAR, source, payload)])
        repeated = len(registrar.heard)
    world.idle(200.0)
    heard = {
        local: [
            (each.now, each.payload)
            for each in world.trace
            if isinstance(each, Received) and each.local == local
        ]
        for local in (PHONE, REGISTRAR)
    }
    lost = [each.detail for each in world.trace if isinstance(each, Lost)]
    return Heard(heard[REGISTRAR], heard[PHONE], lost, world.close(), world.trace.to_json_lines())


class Live(NamedTuple):
    """One datagram in real time: how long each part of its way took, and what got lost."""

    heard: list[bytes]
    before_router: float | None
    behind_router: float | None
    lost: list[str]


def live(spec: str, sender: str) -> Live:
    """A datagram from the phone's host to the registrar, from an ``agent`` or from a ``program``."""
    world = LiveWorld(EmulatedLab(network(spec)), {"router": NONE}, 1)
    registrar = Talker(REGISTRAR)
    world.add("registrar", registrar)
    if sender == "program":
        world.wait(world.start("phone", [sys.executable, "-c", _PROGRAM]), 30.0)
    else:
        phone = Talker(Endpoint(PHONE.ip, 5070))
        world.add("phone", phone)
        world.perform(phone, [Send(phone.local, REGISTRAR, b"from an agent")])

    def settled() -> bool:
        return bool(registrar.heard) or any(isinstance(each, Lost) for each in world.trace)

    world.run_until(settled, 30.0)
    times = {type(each): each.now for each in world.trace}
    crossed, sent, received = times.get(Passage), times.get(Sent), times.get(Received)
    found = Live(
        [payload for _, payload in registrar.heard],
        None if sent is None or crossed is None else crossed - sent,
        None if received is None or crossed is None else received - crossed,
        [each.detail for each in world.trace if isinstance(each, Lost)],
    )
    world.close()
    return found
