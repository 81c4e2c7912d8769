"""What a scenario or detector works with: the trial's world, its phones and server, its checks.

Agents are made when first used, so a trial has only those that it needs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

from siplab.experiments.trial import variation
from siplab.lab.errors import UsageError
from siplab.lab.foreign import LONGEST_LINE, clipped
from siplab.lab.gateway.alg import Model
from siplab.lab.media.audio import Signal, speech, tone
from siplab.lab.phone.phone import Phone, PhoneConfig
from siplab.lab.probing.mirror import MirrorServer
from siplab.lab.server.server import ServerConfig, SipServer
from siplab.lab.server.stun_server import STUN_PORT, StunServer
from siplab.lab.server.turn_server import TurnServer
from siplab.lab.sip.base import Action, Agent
from siplab.lab.sip.tunnel import PORT as TUNNEL_PORT
from siplab.lab.sip.tunnel import Tunnel, TunnelGateway
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import World
from siplab.lab.worlds.topology import DOMAIN as DOMAIN
from siplab.lab.worlds.trace import Checked

LONGEST_WAIT: Final = 3660 * 86_400  # seconds; longer would take too long, since phones act in all that time
MANY_PASSWORD: Final = "office"  # noqa: S105 - of phones in the lab
PASSWORDS: Final = {"alice": "wonderland", "bob": "builder", "carol": "christmas", "dave": "david"}
_VOICES: Final = 4  # voices of many phones: making one takes as long as everything else in a call
# Hz; a tone of its own for each user shows in measurements who speaks
TONES: Final = {"alice": 440, "bob": 620, "carol": 800, "dave": 1000}
# A high RTP port, as many phones use: the sum of two ports is then above 65535.
PHONE_RTP_PORT: Final = 49170
TUNNEL_ROLE: Final = "tunnel-gateway"
FAR_RTP_PORT: Final = 40000

# The server's settings that an outbound proxy has, too: how SIP is transported.
_SPOKEN: Final = ("transports", "framing", "tls_port")

Certificate = Literal["right", "expired", "wrong-name", "untrusted"]
"""A server's certificate: valid, expired, for another name, or from an authority unknown to phones."""


@dataclass(frozen=True)
class Later:
    """Models that gateways get once the phone has sent its first packet, by gateway name.

    ``flows``: ``all`` flows get them, or only ``new`` ones.
    """

    models: Mapping[str, str]
    flows: Literal["all", "new"]


@dataclass(frozen=True)
class Setup:
    """The settings that a mitigation may change.

    ``models``: the model spec of each gateway. ``sip_port``: the server's port that phones use. ``phone``,
    ``far_phone`` and ``server`` override fields of the agents' configurations. ``stun``: the provider has a
    STUN server, which the phones behind the router ask. ``turn``: it is a TURN relay, and the media of the
    phones go through it; ``both``: on both sides. ``edge_port``: these phones use an outbound proxy at that
    port, on the server's host if it has no host of its own; 0: only if the network has one. ``certificate``:
    phones and servers have TLS with this certificate; empty: no TLS. ``later``: models that the gateways get
    during the trial. ``tunnel``: seconds between keep-alives of the phones' tunnel to the provider; 0: no
    tunnel. ``programs``: the real program that plays ``phone``, ``far-phone`` or ``server``; ``longest``:
    seconds to wait for it at most, 0: the usual time. ``vary``: the seed also decides in what endpoints
    differ, where nobody has chosen it (``trial.variation``); ``kept``: fields of ``PhoneConfig`` that it
    leaves alone, because a mitigation depends on them.
    """

    models: Mapping[str, str]
    sip_port: int = 5060
    phone: Mapping[str, Any] = field(default_factory=dict)
    far_phone: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    stun: bool = False
    turn: Literal["", "phone", "both"] = ""
    edge_port: int = 0
    certificate: Certificate | Literal[""] = ""
    tunnel: float = 0.0
    later: Later | None = None
    programs: Mapping[str, str] = field(default_factory=dict)
    longest: float = 0.0
    vary: bool = False
    kept: frozenset[str] = frozenset()
    shown: Endpoint | None = None
    """The endpoint that a detector's reflector, in the server's place, writes into messages as its own."""

    def with_model(self, spec: str) -> Setup:
        """The same settings, with every gateway's model replaced."""
        return replace(self, models=dict.fromkeys(self.models, spec))


About = Literal["signalling", "media"]


@dataclass(frozen=True)
class Check:
    """One thing that a scenario checks. ``symptom``: what a user notices when it fails.

    ``about``: SIP messages or media. Explanations look there first.
    """

    name: str
    passed: bool
    symptom: str
    detail: str = ""
    about: About = "signalling"


@dataclass(frozen=True)
class Finding:
    """A detector's answer: ``alg``, ``clean``, ``undecided`` or ``error``, with the changes that it saw.

    ``faults``: ids of the models that would look like this, the likeliest first. ``evidence``: one sentence
    for each thing that was noticed.
    """

    verdict: str
    changed: tuple[str, ...] = ()
    detail: str = ""
    faults: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


def pure_tone(user: str) -> Signal:
    """A tone that only this user has."""
    return tone(TONES[user])


class Stage:
    """One trial in progress."""

    def __init__(self, world: World, setup: Setup, seed: object, folder: Path | None = None) -> None:
        self.world = world
        self.setup = setup
        self.folder = folder  # for files that users may want to see later
        self.checks: list[Check] = []
        self.later: Mapping[str, Model] = {}  # models that gateways will get during the trial
        self._many: dict[str, int] = {}  # users of many phones that have ports of their own: their tunnels
        self.says: Callable[[str], Signal] = speech  # what a phone's user says in calls
        self._seed = seed

    # -- who is there ----------------------------------------------------------------------------

    def host(self, role: str) -> tuple[str, str]:
        """Name and address of the host with that role. Raises ``UsageError`` when there is none."""
        found = self.world.host_of(role)
        if found is None:
            raise UsageError(f"{self.world.place} has no host with role '{role}'")
        return found

    def has(self, role: str) -> bool:
        """Whether the network has a host with that role."""
        return self.world.host_of(role) is not None

    def rng(self, who: str) -> random.Random:
        """A random generator for each agent, made from the trial's seed."""
        return random.Random(f"{self._seed}/{who}")

    @cached_property
    def server(self) -> SipServer:
        """The registrar and proxy."""
        host, address = self.host("server")
        settings: dict[str, Any] = {
            "domain": DOMAIN,
            "realm": DOMAIN,
            "users": PASSWORDS,
            "ip": address,
            "mtu": self.world.mtu_of(host),
            **self._tls("server"),
        }
        if self.setup.vary:
            settings |= variation.server(self.rng("server, varied"))
        server = SipServer(ServerConfig(**{**settings, **self.setup.server}), self.rng("server"))
        self.world.add(host, server)
        return server

    @cached_property
    def outbound_proxy(self) -> SipServer | None:
        """The outbound proxy of the phone behind the router, if there is one."""
        edge = self.setup.edge_port
        if not edge and not self.has("outbound-proxy"):
            return None
        host, address = self.host("outbound-proxy" if self.has("outbound-proxy") else "server")
        config = ServerConfig(
            domain=DOMAIN,
            realm=f"proxy.{DOMAIN}",
            users={},
            ip=address,
            challenge_invite=False,
            server_name="siplab-proxy",
            upstream=Endpoint(self.host("server")[1], 5060),
        )
        spoken = {name: self.setup.server[name] for name in _SPOKEN if name in self.setup.server}
        config = replace(config, mtu=self.world.mtu_of(host), **spoken, **self._tls("server"))
        if edge:
            config = replace(config, ports=(edge,))
        if config.tls_port:  # what comes over TLS goes on over TLS
            own = edge or config.tls_port
            upstream = Endpoint(self.host("server")[1], self.setup.sip_port)
            config = replace(config, ports=(own,), tls_port=own, upstream=upstream)
        proxy = SipServer(config, self.rng("outbound-proxy"))
        self.world.add(host, proxy)
        return proxy

    @cached_property
    def stun_server(self) -> StunServer | TurnServer:
        """The provider's STUN server or TURN relay, on the host of its SIP server."""
        host, address = self.host("server")
        local = Endpoint(address, STUN_PORT)
        server: StunServer | TurnServer = StunServer(local)
        if self.setup.turn:
            server = TurnServer(local, PASSWORDS, DOMAIN, self.rng("turn"))
        self.world.add(host, server)
        return server

    @cached_property
    def phone(self) -> Phone:
        """The phone behind the router: alice."""
        return self._phone("phone", "alice", PHONE_RTP_PORT, self.setup.phone)

    @cached_property
    def far_phone(self) -> Phone:
        """The phone on the internet: bob. It latches."""
        return self._phone("far-phone", "bob", FAR_RTP_PORT, {"latch_after": 1, **self.setup.far_phone})

    @cached_property
    def second_phone(self) -> Phone:
        """Another phone behind the router, carol: on a host of its own, or beside the first one."""
        if self.has("second-phone"):
            return self._phone("second-phone", "carol", PHONE_RTP_PORT, self.setup.phone)
        return self._phone("phone", "carol", PHONE_RTP_PORT + 1000, _beside(self.setup.phone, 5062))

    @cached_property
    def third_phone(self) -> Phone:
        """Another phone on the internet, dave, on the host of the first one."""
        changes = {"latch_after": 1, **_beside(self.setup.far_phone, 5070)}
        return self._phone("far-phone", "dave", FAR_RTP_PORT + 1000, changes)

    def one_of_many(self, role: Literal["phone", "far-phone"], number: int) -> Phone:
        """A phone of many on one host, with ports of its own. Its user is ``ROLE-NUMBER``.

        The server must know the users (``with_server(users=...)``); each has ``MANY_PASSWORD``.
        """
        settings = self.setup.phone if role == "phone" else {"latch_after": 1, **self.setup.far_phone}
        own_ports = {"sip_port": settings.get("sip_port", 5060) + 2 * number}
        if settings.get("source_port"):
            own_ports["source_port"] = settings["source_port"] + 2 * number
        first = settings.get("rtp_port", 10_000)
        own_ports["rtp_port"] = first + 8 * number
        config = {"signal": self.says(f"{role}-{number % _VOICES}"), **settings, **own_ports}
        user = f"{role}-{number}"
        self._many[user] = len(PASSWORDS) + 1 + number
        return self._phone(role, user, first, config)

    @property
    def phones(self) -> list[Phone]:
        """The phones that took part, in the order in which they were made."""
        return [agent for agent in self.world.agents if isinstance(agent, Phone)]

    @property
    def now(self) -> float:
        """Seconds since the trial began."""
        return self.world.now

    def with_phone(self, **changes: Any) -> None:
        """Change settings of the phone behind the router. A mitigation's settings take precedence."""
        self.setup = replace(self.setup, phone={**changes, **self.setup.phone})

    def with_server(self, **changes: Any) -> None:
        """The same for the registrar and proxy, before it is first used."""
        self.setup = replace(self.setup, server={**changes, **self.setup.server})

    def with_far_phone(self, **changes: Any) -> None:
        """The same for the phones on the internet."""
        self.setup = replace(self.setup, far_phone={**changes, **self.setup.far_phone})

    def _phone(self, role: str, user: str, rtp_port: int, changes: Mapping[str, Any]) -> Phone:
        server, port = self.server, self.setup.sip_port  # made before anybody sends to it
        inside = role in ("phone", "second-phone")
        if inside and self.outbound_proxy is not None:
            server, port = self.outbound_proxy, self.setup.edge_port or port
        if inside and self.setup.stun:
            changes = {"stun": self.stun_server.local, **changes}
        if self.setup.turn == "both" or (inside and self.setup.turn):
            changes = {"turn": self.stun_server.local, **changes}
        host, address = self.host(role)
        settings: dict[str, Any] = {
            "user": user,
            "domain": DOMAIN,
            "password": PASSWORDS.get(user, MANY_PASSWORD),
            "ip": address,
            "server": Endpoint(server.config.ip, port),
            "rtp_port": rtp_port,
            "signal": changes["signal"] if "signal" in changes else self.says(user),
            "mtu": self.world.mtu_of(host),
            **self._tls("phone"),
        }
        if self.setup.vary:
            settings |= variation.phone(self.rng(f"{user}, varied"), self.setup.kept)
        config = PhoneConfig(**{**settings, **changes})
        if inside and self.setup.tunnel and user in self._many:
            config = self.tunnelled(config, self._many[user])
        elif inside and self.setup.tunnel:
            number = 1 + sorted(PASSWORDS).index(user)
            config = self.tunnelled(_apart(config, number), number)
        return self.place(host, config, user)

    def place(self, host: str, config: PhoneConfig, name: str) -> Phone:
        """A phone on a host; ``name``: whose generator it has."""
        phone = Phone(config, self.rng(name))
        if config.tunnel is not None:
            self.world.perform(
                self.tunnel_gateway, self.tunnel_gateway.give(config.tunnel.number, phone.sockets)
            )
        self.world.add(host, phone)
        return phone

    def tunnelled(self, config: PhoneConfig, number: int) -> PhoneConfig:
        """The same phone behind the tunnel of that number, with an address of the tunnel gateway's."""
        gateway = self.tunnel_gateway.local
        tunnel = Tunnel(Endpoint(config.ip, TUNNEL_PORT + number), gateway, number, self.setup.tunnel)
        return replace(config, ip=gateway.ip, tunnel=tunnel)

    @cached_property
    def tunnel_gateway(self) -> TunnelGateway:
        """The provider's end of the phones' tunnels."""
        host, address = self.host(TUNNEL_ROLE)
        gateway = TunnelGateway(Endpoint(address, TUNNEL_PORT))
        self.world.add(host, gateway)
        return gateway

    def _tls(self, role: Literal["phone", "server"]) -> dict[str, Any]:
        if not self.setup.certificate:
            return {}
        from siplab.experiments.trial import certificates  # not every Python has ssl

        if role == "phone":
            return {"tls": certificates.phones(DOMAIN)}
        return {"tls": certificates.servers(self.setup.certificate, DOMAIN)}

    def mirror(self) -> Endpoint:
        """Start a mirror server in place of the registrar. Returns where it listens."""
        host, address = self.host("server")
        self.world.add(host, MirrorServer(address, sorted({5060, self.setup.sip_port})))
        return Endpoint(address, self.setup.sip_port)

    # -- what happens ----------------------------------------------------------------------------

    def do(self, agent: Agent, command: Callable[[float], list[Action]]) -> None:
        """Let an agent carry out a command now."""
        self.world.perform(agent, command(self.world.now))
        if self.later and isinstance(agent, Phone) and agent.config.ip == self.host("phone")[1]:
            models, self.later = self.later, {}
            assert self.setup.later is not None
            for name, model in models.items():
                gateway, rng = self.world.gateways[name], self.rng(f"later/{name}")
                gateway.swap(model, rng, self.now, flows=self.setup.later.flows)

    def until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait for something, ``timeout`` seconds at most. Returns whether it happened."""
        return self.world.run_until(done, timeout)

    def idle(self, seconds: float) -> None:
        """Let time pass. Raises ``UsageError`` above ``LONGEST_WAIT`` seconds."""
        if seconds > LONGEST_WAIT:
            most = f"{LONGEST_WAIT:,} s, ten years, is the longest"
            raise UsageError(f"the scenario waits {seconds:g} s; {most}: give it a smaller parameter")
        self.world.idle(seconds)

    def talk(self, callee: Phone, seconds: float) -> None:
        """Let a call go on for so long, or until it is clear whether it would."""
        self.idle(seconds)

    def doomed(self, callee: Phone) -> str:
        """Why the latest call of ``callee`` will end by itself though it is up; empty if it will not."""
        return ""

    def begin(self) -> None:
        """Start what must run before anything is played. Raises ``WorldError``, ``UsageError``."""

    def start_relay(self, spec: str) -> None:
        """Start a real program beside the server. Raises ``UsageError``: only a stage for programs can."""
        raise UsageError(f"'{spec}' is a real program: for `siplab exec`, `shell` and `up`")

    def finish(self) -> list[str]:
        """End what is not part of the world. Returns what was wrong with it."""
        return []

    def check(
        self, name: str, passed: bool, symptom: str, detail: str = "", about: About = "signalling"
    ) -> bool:
        """Record a check. Returns ``passed``. Raises ``TypeError`` unless given texts and a ``bool``."""
        for field_, value in (("name", name), ("symptom", symptom), ("detail", detail), ("about", about)):
            if not isinstance(value, str):
                raise TypeError(f"stage.check takes a text as {field_}, not {type(value).__name__}")
        if not isinstance(passed, bool):
            raise TypeError(f"stage.check takes True or False as passed, not {type(passed).__name__}")
        if about not in get_args(About):
            raise TypeError(
                f"stage.check is about {' or '.join(get_args(About))}, not {clipped(about, 40)!r}"
            )
        name, symptom, detail = clipped(name, LONGEST_LINE), clipped(symptom), clipped(detail)
        self.checks.append(Check(name, passed, symptom, detail, about))
        self.world.trace.add(Checked(self.now, name, passed))
        return passed


def _apart(config: PhoneConfig, number: int) -> PhoneConfig:
    """The same phone with ports of its own, since several phones share the host's address."""
    return replace(
        config,
        sip_port=config.sip_port + 10 * number,
        source_port=config.source_port and config.source_port + 10 * number,
        rtp_port=PHONE_RTP_PORT + 1000 * number,
    )


def _beside(settings: Mapping[str, Any], sip_port: int) -> dict[str, Any]:
    """The settings of another phone on the same host. The first phone has the usual ports."""
    changes = {"sip_port": sip_port, **settings}
    for name, step in (("rtp_port", 1000), ("source_port", 2)):
        if isinstance(changes.get(name), int) and changes[name]:
            changes[name] += step
    return changes
