"""Plays the probe pack on a real network, between this machine and a detection server."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from siplab.experiments.detect.live_script import Site, for_sockets
from siplab.experiments.detect.run import OTHER_PORT
from siplab.experiments.detect.script_player import GAP, ScriptPlayer
from siplab.experiments.detect.stage import DetectionWorld
from siplab.experiments.learning.candidates import Observed
from siplab.experiments.learning.nat_settings import with_nat
from siplab.experiments.learning.observations import Place
from siplab.experiments.probe_pack import script as packs
from siplab.experiments.probe_pack import ties
from siplab.experiments.probe_pack.ties import Tie
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds import host_sockets
from siplab.lab.worlds.live_network import PHONE
from siplab.lab.worlds.open_loop import Script
from siplab.lab.worlds.pair import Pair

Tell = Callable[[str], None]

_SILENCE: Final = 30.0  # seconds; a shorter gap is no silence
_SPARE: Final = 600.0  # seconds for lost packets and slow lines, if no limit is given
_TOLD_EVERY: Final = 10.0  # seconds


@dataclass(frozen=True)
class PackRequest:
    """What to play. ``port``: the server's SIP port. ``limit``: seconds; 0: no limit."""

    server: str
    port: int = 5060
    long: bool = False
    limit: float = 0.0


@dataclass(frozen=True)
class Played:
    """The result. ``left_out``: conversations that sockets can't play, by the reason.

    ``skipped``: conversations for which no time was left. ``problem``: why it ended early; empty if it did
    not.
    """

    server: str
    own: str
    pair: Pair
    packets: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    problem: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def behind_nat(self) -> bool:
        """Whether packets were seen to cross a NAT."""
        return bool(self.pair.crossings) and self.pair.public != self.own

    def as_json(self, tie: Tie | None) -> dict[str, Any]:
        """Everything but the packets, for programs."""
        found = tie and {
            "models": [each.id for each in tie.models],
            "differing": tie.differing,
            "of": tie.of,
        }
        return {
            "format": "siplab-detect-pack",
            "version": 1,
            "server": self.server,
            "own": self.own,
            "public": self.pair.public,
            "packets": self.packets,
            "played": len(self.pair.crossings),
            "left_out": dict(self.left_out),
            "skipped": list(self.skipped),
            "problem": self.problem,
            "seconds": self.seconds,
            "tie": found,
        }


def play(request: PackRequest, tell: Tell = lambda _: None) -> Played:
    """Play the pack. Raises ``UsageError`` for an IPv6 server, or a local port that is in use."""
    if ":" in request.server:
        raise UsageError("--probe-pack is about NAT of IPv4: name the server's IPv4 address, or use -4")
    server = Endpoint(request.server, request.port)
    own = host_sockets.own_address(server)
    other = OTHER_PORT if request.port != OTHER_PORT else 5060
    pack = packs.script(packs.HOUR if request.long else packs.MINUTES)
    script, left_out = for_sockets(pack, Site(own, server, other))
    tell(announcement(script))
    limit = request.limit or script.seconds + _SPARE
    world = DetectionWorld(own, server.ip, limit)
    player = ScriptPlayer(
        script,
        Endpoint(own, host_sockets.free_port(own)),
        Endpoint(server.ip, CONTROL_PORT),
        f"{random.SystemRandom().getrandbits(64):016x}",
        limit,
    )
    began = time.monotonic()
    try:
        world.add(PHONE, player)
        while world.now < limit and not world.run_until(lambda: player.over, _TOLD_EVERY):
            if world.refused_any:
                break
            tell(f"crossed so far: {number_of(len(player.pair.crossings), 'packet')}")
        problem = player.problem
        if world.refused_any:
            problem = f"the detection server does not answer at UDP port {CONTROL_PORT} of {server.ip}"
        elif not player.over:
            player.stop()
            problem = "" if player.pair.crossings else "no time was left"
    finally:
        world.close()
    return Played(
        str(server),
        own,
        player.pair,
        len(script.steps()),
        left_out,
        tuple(player.skipped),
        problem,
        round(time.monotonic() - began, 3),
    )


def announcement(script: Script) -> str:
    """What will be played, and how long it takes."""
    silent: set[float] = set()
    for each in script.conversations:
        silent |= {round(b.at - a.at) for a, b in pairwise(each.steps) if b.at - a.at > _SILENCE}
    steps = len(script.steps())
    quick = steps * 2 * GAP
    silences = ", ".join(f"{each:g}" for each in sorted(silent))
    return (
        f"{steps} packets in about {quick:.0f} s and what the line takes, then silences of "
        f"{silences} s at once: {quick + max(silent, default=0):.0f} s at least"
    )


def tie_of(played: Played, models: Iterable[Model]) -> Tie:
    """The models that do the same as the router on the way, or come nearest."""
    pair = played.pair
    network = ipaddress.ip_network(f"{played.own}/24", strict=False)
    router = next(str(each) for each in network.hosts() if str(each) != played.own)
    place = Place(pair.public, (str(network),), (router,))
    nat = with_nat(Observed((pair,))).nat

    def made(model: Model) -> Gateway:
        return Gateway(
            model,
            public_ip=place.public_ip,
            inside_networks=place.inside_networks,
            inside_addresses=place.inside_addresses,
            nat=nat,
            rng=random.Random(0),
        )

    return ties.tie(pair, models, made)
