"""Address and port translation with RFC 4787's independent choices.

The rules of this file:

- ``NatConfig`` is what a user chooses and never changes; ``Nat`` is what runs.
- Time is the ``now`` that callers pass, in seconds; randomness is the generator given.
- A *binding* ties an inside endpoint to a public one. Which packets share a binding is
  *mapping* behaviour, who may send back through it is *filtering* behaviour: the two are
  chosen apart (RFC 4787 sections 4 and 5).
- A *reservation* is a binding that an ALG asked for: it serves its inside endpoint
  whatever the mapping behaviour is, so that an address written into a message stays true.
- A *static mapping* is a binding that an administrator made ("port forwarding"): it never ends and lets
  everybody in. A *DMZ host* gets what arrives at public ports that no binding has.
- A *pinhole* is a permission on a binding, with an owner and an end. A binding lives as
  long as its own timer or any of its pinholes does.
"""

from __future__ import annotations

import ipaddress
import math
import random
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import chain
from typing import Final, Literal

from siplab.lab.wire.ip import FIN, ICMP, RST, SYN, TCP, UDP, Endpoint


class Dependence(StrEnum):
    """RFC 4787's three behaviours, for mapping (section 4.1) and for filtering (section 5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class PortAllocation(StrEnum):
    """How a public port is chosen (RFC 4787 section 4.2.1)."""

    PRESERVE = "preserve"  # the inside port where it is free, else the next free one
    SEQUENTIAL = "sequential"
    RANDOM = "random"  # from the trial's seeded generator


class Refresh(StrEnum):
    """Which direction of traffic keeps a binding alive (RFC 4787 REQ-6)."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class StaticMapping:
    """A public port that always stands for one inside endpoint (RFC 6887 section 2.2 has the word)."""

    port: int
    inside: str
    inside_port: int = 0  # 0: the same as outside
    protocol: Literal["udp", "tcp"] = "udp"

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535 or not 0 <= self.inside_port <= 65535:
            raise ValueError(f"static mapping of port {self.port}: ports are 1 to 65535")
        _require_ipv4(self.inside, f"static mapping of port {self.port}")


@dataclass(frozen=True, slots=True)
class NatConfig:
    """The choices of one NAT. Times are in seconds."""

    mapping: Dependence = Dependence.ENDPOINT_INDEPENDENT
    filtering: Dependence = Dependence.ADDRESS_AND_PORT_DEPENDENT
    port_allocation: PortAllocation = PortAllocation.PRESERVE
    port_parity: bool = True  # an even port stays even, an odd one odd (RFC 4787 REQ-3's parity)
    first_port: int = 1024  # a port that is not preserved comes from this range
    last_port: int = 65535
    hairpinning: bool = True
    refresh: Refresh = Refresh.OUTBOUND
    udp_timeout: float = 300.0  # RFC 4787 REQ-5: at least 120, 300 recommended
    tcp_timeout: float = 7440.0  # RFC 5382 REQ-5: established, 2 h 4 min
    tcp_transitory_timeout: float = 240.0  # RFC 5382 REQ-5: opening or closing
    icmp_timeout: float = 60.0  # RFC 5508 REQ-2
    # Whether what is sent from an inside media endpoint leaves by the public port that an ALG announced.
    media_symmetry: bool = True
    static_mappings: tuple[StaticMapping, ...] = ()
    dmz_host: str = ""  # the inside address that gets what no binding is for; empty: nobody
    # IPv6 is not translated; a firewall of this kind stands in its place (RFC 6092), or none.
    ipv6_filtering: Dependence | None = Dependence.ADDRESS_AND_PORT_DEPENDENT

    def __post_init__(self) -> None:
        if not 1 <= self.first_port <= self.last_port <= 65535:
            raise ValueError(f"port range {self.first_port}-{self.last_port} is not within 1-65535")
        for name in ("udp_timeout", "tcp_timeout", "tcp_transitory_timeout", "icmp_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0 seconds")
        ports = [(each.protocol, each.port) for each in self.static_mappings]
        if len(set(ports)) < len(ports):
            raise ValueError("two static mappings have the same public port")
        if self.dmz_host:
            _require_ipv4(self.dmz_host, "dmz_host")


def _require_ipv4(address: str, what: str) -> None:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise ValueError(f"{what}: '{address}' is not an IPv4 address") from None


class Session(IntEnum):
    """How far a TCP connection through a binding is (RFC 5382 section 5)."""

    OPENING = 0
    ESTABLISHED = 1
    CLOSING = 2


class PortsExhaustedError(Exception):
    """No public port is left for a new binding."""


class Pinhole:
    """A permission for outside endpoints to send inwards.

    ``remote``: an ``Endpoint`` admits that one, port 0 any port of that address; ``None``
    admits everybody, ``NOBODY`` nobody yet. ``expires`` is in seconds of the trial's clock.
    """

    __slots__ = ("binding", "expires", "inspected", "once", "opens", "owner", "remote", "used")

    def __init__(self, binding: Binding, remote: Endpoint | None, expires: float, owner: object) -> None:
        self.binding = binding
        self.remote = remote
        self.expires = expires
        self.owner = owner
        # An expectation, as connection tracking has them: who comes in by it has a session from then on.
        self.opens = False
        self.once = False  # it ends with the first packet
        self.used = False  # and has ended so
        self.inspected = False  # the ALG looks at what comes in

    def admits(self, remote: Endpoint, now: float) -> bool:
        if now >= self.expires:
            return False
        allowed = self.remote
        return allowed is None or (allowed.ip == remote.ip and allowed.port in (0, remote.port))


class Binding:
    """An inside endpoint and the public endpoint that stands for it."""

    __slots__ = (
        "before",
        "expires",
        "idle",
        "inside",
        "key",
        "newcomer",
        "outside",
        "pair",
        "pinholes",
        "protocol",
        "remotes",
        "reserved",
        "symmetric",
        "timeout",
    )

    def __init__(
        self, key: tuple[object, ...], protocol: int, inside: Endpoint, outside: Endpoint, reserved: bool
    ) -> None:
        self.key = key
        self.protocol = protocol
        self.inside = inside
        self.outside = outside
        self.reserved = reserved
        self.symmetric = True  # what the inside endpoint sends leaves by this public port
        self.expires = 0.0
        self.before = 0.0  # ``expires`` as it was before the latest packet
        self.newcomer: Endpoint | None = None  # the peer of a session that began with the latest packet
        self.idle = False  # pinholes hold only while the binding's own timer runs
        self.timeout = 0.0
        self.pinholes: list[Pinhole] = []
        self.remotes: dict[Endpoint, Session] = {}  # whom the inside has sent to since the timer started
        self.pair: Binding | None = None  # the RTCP port beside a reserved RTP port, and the reverse

    def alive(self, now: float) -> bool:
        """A pair lives and ends as one, so that its ports stay neighbours."""
        return self._held(now) or (self.pair is not None and self.pair._held(now))

    def _held(self, now: float) -> bool:
        if now < self.expires:
            return True
        if self.idle:
            return False
        for pinhole in self.pinholes:  # noqa: SIM110 - on the hot path, and any() costs thrice
            if now < pinhole.expires:
                return True
        return False


_ANY: Final = Endpoint("", 0)
NOBODY: Final = Endpoint("", 0)  # as the remote of a pinhole: no packet comes from there
# Owners of the pinholes that settings make, not ALGs.
_STATIC: Final = "static mapping"
_DMZ: Final = "DMZ host"


def _is_media(binding: Binding) -> bool:
    """Whether an ALG reserved it for media: it lets anybody in, as only its media pinholes do."""
    return binding.reserved and any(
        pinhole.remote is None and pinhole.owner not in (_STATIC, _DMZ) for pinhole in binding.pinholes
    )


def filter_key(dependence: Dependence, remote: Endpoint) -> Endpoint:
    """The part of a remote endpoint that a behaviour looks at."""
    if dependence is Dependence.ENDPOINT_INDEPENDENT:
        return _ANY
    if dependence is Dependence.ADDRESS_DEPENDENT:
        return Endpoint(remote.ip, 0)
    return remote


class Nat:
    """The binding table of one NAT with one public IPv4 address."""

    def __init__(self, config: NatConfig, public_ip: str, rng: random.Random) -> None:
        self.config = config
        self.public_ip = public_ip
        self._rng = rng
        self._by_key: dict[tuple[object, ...], Binding] = {}
        self._by_port: dict[tuple[int, int], Binding] = {}
        self._next_port = config.first_port
        # Raised whenever a permission, a binding or a timer's length ends or another binding takes
        # over, so that flow caches know.
        self.generation = 0
        self._map_statically()

    # -- lookups ---------------------------------------------------------------------------

    def outbound(self, protocol: int, inside: Endpoint, remote: Endpoint, now: float) -> Binding:
        """The binding for a packet going out, made if there is none; refreshes its timer.

        Raises ``PortsExhaustedError``.
        """
        binding = self.find(protocol, inside, remote, now)
        key = (protocol, inside, filter_key(self.config.mapping, remote))
        if binding is not None and (
            not binding.symmetric or (not self.config.media_symmetry and _is_media(binding))
        ):
            binding = self._find(key, now)
        if binding is None:
            binding = self._create(key, protocol, inside, now, reserved=False)
        self.touch(binding, now, outbound=True)
        binding.newcomer = remote if remote not in binding.remotes else None
        binding.remotes.setdefault(remote, Session.OPENING)
        return binding

    def inbound(self, protocol: int, port: int, remote: Endpoint, now: float) -> Binding | None:
        """The binding that lets ``remote`` in at public ``port``, or ``None``: filtered or unknown."""
        binding = self.at_port(protocol, port, now)
        if binding is None and self.config.dmz_host and protocol != ICMP:
            binding = self._expose(protocol, port, now)
        if binding is None or not self.admitted_until(binding, remote, now):
            return None
        self.touch(binding, now, outbound=False)
        binding.newcomer = None
        if binding.pinholes and remote not in binding.remotes:
            self._open_session(binding, remote, now)
            binding.newcomer = remote if remote in binding.remotes else None
        return binding

    def at_port(self, protocol: int, port: int, now: float) -> Binding | None:
        """The live binding of a public port, whoever may use it."""
        binding = self._by_port.get((protocol, port))
        if binding is not None and not binding.alive(now):
            self._remove(binding)
            return None
        return binding

    def find(self, protocol: int, inside: Endpoint, remote: Endpoint | None, now: float) -> Binding | None:
        """The live binding that serves ``inside`` (towards ``remote``), if there is one."""
        found = self._find((protocol, inside, None), now)
        if found is None and remote is not None:
            found = self._find((protocol, inside, filter_key(self.config.mapping, remote)), now)
        if found is None and inside.ip == self.config.dmz_host:
            exposed = self.at_port(protocol, inside.port, now)
            if exposed is not None and exposed.key == (protocol, inside, _DMZ):
                found = exposed  # it answers from where it was asked
        return found

    def admitted_until(self, binding: Binding, remote: Endpoint, now: float) -> float:
        """Until when ``remote`` may send through ``binding``: 0 for not at all.

        Filtering admits as long as the binding's own timer runs (infinity here, since traffic
        restarts that timer); a pinhole admits until its end.
        """
        if now < binding.expires and binding.remotes:
            wanted = filter_key(self.config.filtering, remote)
            if wanted is _ANY or wanted in binding.remotes:
                return math.inf
            if wanted.port == 0 and any(each.ip == wanted.ip for each in binding.remotes):
                return math.inf
        if binding.idle and now >= binding.expires:
            return 0.0
        return max((hole.expires for hole in binding.pinholes if hole.admits(remote, now)), default=0.0)

    @property
    def bindings(self) -> list[Binding]:
        """All bindings in the table, ended ones that nobody has looked up since included."""
        return list(self._by_port.values())

    def next_end(self, now: float) -> float:
        """When the next timer of a binding or a pinhole runs out, if nothing passes; infinity for never."""
        return min(
            (
                end
                for binding in self._by_port.values()
                for end in (binding.expires, *(pinhole.expires for pinhole in binding.pinholes))
                if end > now
            ),
            default=math.inf,
        )

    # -- what keeps a binding alive ----------------------------------------------------------

    def touch(self, binding: Binding, now: float, *, outbound: bool) -> None:
        """A packet passed: restart the timer if this direction does so (RFC 4787 REQ-6).

        A packet going out starts a timer that has ended or never ran, whatever the direction.
        """
        refresh = Refresh.BOTH if binding.idle else self.config.refresh
        binding.before = binding.expires
        ended = now >= binding.expires
        if ended and binding.remotes:  # only a pinhole kept it: its old sessions are over
            binding.remotes.clear()
            self.generation += 1
        if (ended and outbound) or refresh is Refresh.BOTH or (refresh is Refresh.OUTBOUND) == outbound:
            binding.expires = now + self.timeout_of(binding)

    def timeout_of(self, binding: Binding) -> float:
        """The idle time of a binding in seconds: an ALG's policy says it, or the configuration."""
        if binding.timeout:
            return binding.timeout
        if binding.protocol == UDP:
            return self.config.udp_timeout
        if binding.protocol == TCP:
            established = Session.ESTABLISHED in binding.remotes.values()
            return self.config.tcp_timeout if established else self.config.tcp_transitory_timeout
        return self.config.icmp_timeout

    def impose_timeout(self, binding: Binding, timeout: float, now: float, *, outbound: bool) -> None:
        """Give a binding an idle time of its own, in seconds, from this packet on."""
        if binding.timeout != timeout:
            binding.timeout = timeout
            self.generation += 1
            self.touch(binding, now, outbound=outbound)

    def untouch(self, binding: Binding, now: float) -> None:
        """The latest packet went no further after all: its binding's timer runs on as before it."""
        if now < binding.before < binding.expires:
            binding.expires = binding.before

    def unmeet(self, binding: Binding) -> bool:
        """The latest packet went no further after all. Whether a session began with it, which is none now."""
        if binding.newcomer is None:
            return False
        binding.remotes.pop(binding.newcomer, None)
        binding.newcomer = None
        self.generation += 1
        return True

    def limit_idle(self, binding: Binding, timeout: float, now: float) -> None:
        """Let a binding, with its pinholes, end after ``timeout`` seconds without traffic either way."""
        binding.idle = True
        binding.timeout = timeout
        binding.expires = now + timeout
        self.generation += 1

    def note_tcp(self, binding: Binding, remote: Endpoint, flags: int, now: float) -> None:
        """Follow a connection by the flags of a segment that passed (RFC 5382 REQ-5).

        The timer of the established state starts with its first segment; FIN and RST leave at most
        the transitory time, unless another connection uses the binding.
        """
        state = binding.remotes.get(remote)
        if state is None:
            return  # let in by a pinhole: a connection once the inside answers
        if flags & (FIN | RST):
            binding.remotes[remote] = Session.CLOSING
            binding.expires = min(binding.expires, now + self.timeout_of(binding))
        elif flags & SYN:
            binding.remotes[remote] = Session.OPENING
        elif state is Session.OPENING:
            binding.remotes[remote] = Session.ESTABLISHED
            binding.expires = max(binding.expires, now + self.timeout_of(binding))

    # -- what an ALG asks for ----------------------------------------------------------------

    def reserve(self, protocol: int, inside: Endpoint, now: float, *, pair: bool = False) -> Binding:
        """A binding for ``inside`` that holds towards every remote.

        ``pair``: choose an even port whose odd neighbour is free, for RTP and RTCP (RFC 3550
        section 11), and reserve the neighbour for ``inside`` port + 1 as well. The reservation
        lives by its pinholes and its traffic. Raises ``PortsExhaustedError``.
        """
        key = (protocol, inside, None)
        existing = self._find(key, now)
        if existing is not None:
            return existing
        mapped = self._find((protocol, inside, _ANY), now)
        if mapped is not None and not pair:
            return mapped  # an endpoint-independent mapping already holds towards everybody
        self.generation += 1  # from here on the reservation serves flows that had a mapping
        if not pair:
            return self._create(key, protocol, inside, now, reserved=True)
        neighbour = Endpoint(inside.ip, inside.port + 1)
        port = self._choose_port(protocol, inside.port, now, pair=True)
        binding = self._insert(key, protocol, inside, port, reserved=True)
        beside = self._insert((protocol, neighbour, None), protocol, neighbour, port + 1, reserved=True)
        binding.pair, beside.pair = beside, binding
        return binding

    def reserve_from(self, protocol: int, inside: Endpoint, first: int, step: int, now: float) -> Binding:
        """A binding for ``inside`` at the first free public port of ``first``, ``first + step`` and so on.

        Counting goes on at 1024 behind 65535. For ALGs that choose the port themselves, whatever the
        configured allocation is. Raises ``PortsExhaustedError``.
        """
        key = (protocol, inside, None)
        existing = self._find(key, now)
        if existing is not None:
            return existing
        for port in chain(range(first, 65536, step), range(1024 + (first - 1024) % step, first, step)):
            taken = self.at_port(protocol, port, now)
            if taken is None:
                self.generation += 1  # as in ``reserve``
                return self._insert(key, protocol, inside, port, reserved=True)
            if taken.inside == inside:
                return taken
        raise PortsExhaustedError(f"no public port of {first}-65535 in steps of {step} is free")

    def reserve_at(
        self, protocol: int, inside: Endpoint, port: int, now: float, *, symmetric: bool = True
    ) -> Binding | None:
        """The binding of ``inside`` at that very public port, made if need be; ``None``: it is another's.

        ``symmetric`` False: what ``inside`` sends does not leave by it.
        """
        binding = self.at_port(protocol, port, now)
        if binding is None:
            binding = self._insert((protocol, inside, None), protocol, inside, port, reserved=True)
            binding.symmetric = symmetric
            self.generation += 1  # from here on it serves flows that had a mapping
        return binding if binding.inside == inside else None

    def renew(self, binding: Binding, now: float) -> Binding:
        """Another public port for a binding's inside endpoint from now on; the old one lives its time.

        Raises ``PortsExhaustedError``.
        """
        port = self._choose_port(binding.protocol, 0, now, pair=False)
        fresh = self._insert(binding.key, binding.protocol, binding.inside, port, reserved=binding.reserved)
        fresh.timeout = binding.timeout
        self.generation += 1  # flows that had the old port
        return fresh

    def open_pinhole(
        self, binding: Binding, remote: Endpoint | None, expires: float, owner: object
    ) -> Pinhole:
        """Permit ``remote`` through ``binding``; a pinhole of the same owner and remote gets the new end."""
        for pinhole in binding.pinholes:
            if pinhole.owner == owner and pinhole.remote == remote:
                if expires < pinhole.expires:
                    self.generation += 1
                pinhole.expires = expires
                return pinhole
        pinhole = Pinhole(binding, remote, expires, owner)
        binding.pinholes.append(pinhole)
        return pinhole

    def expect(
        self, binding: Binding, remote: Endpoint | None, expires: float, *, once: bool, inspected: bool
    ) -> Pinhole:
        """A pinhole that makes a session of what comes in; ``once``: and ends with its first packet.

        ``inspected``: the ALG looks at that session if its policy follows pinholes.
        """
        pinhole = Pinhole(binding, remote, expires, None)
        pinhole.opens, pinhole.once, pinhole.inspected = True, once, inspected
        binding.pinholes.append(pinhole)
        return pinhole

    def close(self, pinhole: Pinhole) -> None:
        """End one pinhole."""
        if pinhole in pinhole.binding.pinholes:
            pinhole.binding.pinholes.remove(pinhole)
            self.generation += 1

    def _open_session(self, binding: Binding, remote: Endpoint, now: float) -> None:
        """What came in by an expectation is a session like those that the inside began."""
        for pinhole in binding.pinholes:
            if pinhole.opens and pinhole.admits(remote, now):
                binding.remotes[remote] = Session.OPENING
                binding.expires = max(binding.expires, now + self.timeout_of(binding))
                if pinhole.once:
                    pinhole.used = True
                    self.close(pinhole)
                return

    def close_pinholes(self, owner: object) -> int:
        """End every pinhole of ``owner``; returns how many there were."""
        closed = 0
        for binding in self._by_port.values():
            kept = [pinhole for pinhole in binding.pinholes if pinhole.owner != owner]
            closed += len(binding.pinholes) - len(kept)
            binding.pinholes = kept
        if closed:
            self.generation += 1
        return closed

    def clear(self) -> None:
        """Forget everything, as a router does that restarts."""
        self._by_key.clear()
        self._by_port.clear()
        self._map_statically()
        self.generation += 1

    # -- what settings ask for -----------------------------------------------------------------

    def _map_statically(self) -> None:
        for each in self.config.static_mappings:
            protocol = UDP if each.protocol == "udp" else TCP
            inside = Endpoint(each.inside, each.inside_port or each.port)
            binding = self._insert((protocol, inside, None), protocol, inside, each.port, reserved=True)
            self.open_pinhole(binding, None, math.inf, _STATIC)

    def _expose(self, protocol: int, port: int, now: float) -> Binding:
        """A binding for a public port that has none, with the DMZ host; it ends as it falls silent."""
        inside = Endpoint(self.config.dmz_host, port)
        binding = self._insert((protocol, inside, _DMZ), protocol, inside, port, reserved=True)
        self.open_pinhole(binding, None, math.inf, _DMZ)
        self.limit_idle(binding, self.timeout_of(binding), now)
        return binding

    # -- the table ---------------------------------------------------------------------------

    def _find(self, key: tuple[object, ...], now: float) -> Binding | None:
        binding = self._by_key.get(key)
        if binding is not None and not binding.alive(now):
            self._remove(binding)
            return None
        return binding

    def _create(
        self, key: tuple[object, ...], protocol: int, inside: Endpoint, now: float, *, reserved: bool
    ) -> Binding:
        port = self._choose_port(protocol, inside.port, now, pair=False)
        return self._insert(key, protocol, inside, port, reserved=reserved)

    def _insert(
        self, key: tuple[object, ...], protocol: int, inside: Endpoint, port: int, *, reserved: bool
    ) -> Binding:
        binding = Binding(key, protocol, inside, Endpoint(self.public_ip, port), reserved)
        self._by_key[key] = binding
        self._by_port[protocol, port] = binding
        return binding

    def _remove(self, binding: Binding) -> None:
        if self._by_key.get(binding.key) is binding:
            del self._by_key[binding.key]
        place = (binding.protocol, binding.outside.port)
        if self._by_port.get(place) is binding:
            del self._by_port[place]
        self.generation += 1

    def _choose_port(self, protocol: int, wanted: int, now: float, *, pair: bool) -> int:
        config = self.config
        step = 2 if pair or (config.port_parity and protocol != ICMP) else 1
        parity = 0 if pair else wanted & 1

        def free(port: int) -> bool:
            if self.at_port(protocol, port, now) is not None:
                return False
            return not pair or self.at_port(protocol, port + 1, now) is None

        preserve = config.port_allocation is PortAllocation.PRESERVE
        if preserve and wanted and wanted & 1 == parity and free(wanted):
            return wanted
        first, last = config.first_port, config.last_port - pair
        if step == 2 and first & 1 != parity:
            first += 1
        count = (last - first) // step + 1
        if count < 1:
            start = 0
        elif config.port_allocation is PortAllocation.RANDOM:
            start = self._rng.randrange(count)
        else:
            start = max(0, -(-(self._next_port - first) // step)) % count
        for index in range(count):
            port = first + (start + index) % count * step
            if free(port):
                self._next_port = port + (2 if pair else 1)
                return port
        kind = ("even " if parity == 0 else "odd ") if step == 2 else ""
        raise PortsExhaustedError(f"no {kind}public port of {config.first_port}-{config.last_port} is free")
