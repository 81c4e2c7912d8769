"""A row of the NAT's table: a binding, and the pinholes in it.

- A *binding* ties an inside endpoint to a public one. *Mapping* behaviour decides which packets
  share a binding, *filtering* behaviour decides who may send back through it. The two are
  chosen independently (RFC 4787 sections 4 and 5).
- A *pinhole* is a permission on a binding, with an owner and an end. A binding lives as
  long as its own timer or any of its pinholes does.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from siplab.lab.gateway.nat_config import Dependence
from siplab.lab.wire.ip import Endpoint

ANYBODY: Final = Endpoint("", 0)  # what ``filter_key`` returns for any remote if endpoint-independent
NOBODY: Final = Endpoint("", 0)  # as the remote of a pinhole: no packet comes from there


class TcpState(IntEnum):
    """How far a TCP connection through a binding is (RFC 5382 section 5)."""

    OPENING = 0
    ESTABLISHED = 1
    CLOSING = 2


class Pinhole:
    """A permission for outside endpoints to send inwards.

    ``remote``: who may send: one ``Endpoint`` (port 0: any port of its address), everybody (``None``),
    or nobody yet (``NOBODY``). ``expires`` is in seconds of the trial's clock.
    """

    __slots__ = ("binding", "expires", "inspected", "once", "opens", "owner", "remote", "used")

    def __init__(self, binding: Binding, remote: Endpoint | None, expires: float, owner: object) -> None:
        self.binding = binding
        self.remote = remote
        self.expires = expires
        self.owner = owner
        # An expectation, as in Linux's connection tracking: a packet that comes in by it begins a session.
        self.opens = False
        self.once = False  # it ends with the first packet
        self.used = False  # it has ended with its first packet
        self.inspected = False  # the ALG looks at packets that come in by it

    def admits(self, remote: Endpoint, now: float) -> bool:
        if now >= self.expires:
            return False
        allowed = self.remote
        return allowed is None or (allowed.ip == remote.ip and allowed.port in (0, remote.port))


class Foreseen:
    """A flow that an ALG expects to go out, from ``source`` (an inside address; empty: anybody's).

    ``used``: it has come.
    """

    __slots__ = ("source", "used")

    def __init__(self, source: str) -> None:
        self.source = source
        self.used = False


class Binding:
    """An inside endpoint and the public endpoint that stands for it."""

    __slots__ = (
        "before",
        "began",
        "expires",
        "heard",
        "idle",
        "inside",
        "key",
        "outside",
        "pair",
        "pending_peer",
        "pinholes",
        "protocol",
        "remotes",
        "reserved",
        "sent",
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
        self.symmetric = True  # packets from the inside endpoint leave by this public port
        self.expires = 0.0
        self.before = 0.0  # ``expires`` as it was before the latest packet
        self.pending_peer: Endpoint | None = None  # the peer of a session that began with the latest packet
        self.idle = False  # pinholes hold only while the binding's own timer runs
        self.timeout = 0.0
        self.began = 0.0  # when its timer last started from nothing
        self.sent = self.heard = False  # since then: whether a packet went out, and whether one came in
        self.pinholes: list[Pinhole] = []
        self.remotes: dict[Endpoint, TcpState] = {}  # whom the inside has sent to since the timer started
        self.pair: Binding | None = None  # the RTCP port beside a reserved RTP port, and the reverse

    def signals(self, remote: Endpoint, now: float) -> bool:
        """Whether a pinhole for signalling lets ``remote`` in."""
        return any(hole.inspected and hole.admits(remote, now) for hole in self.pinholes)

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


def filter_key(dependence: Dependence, remote: Endpoint) -> Endpoint:
    """The part of a remote endpoint that a behaviour looks at."""
    if dependence is Dependence.ENDPOINT_INDEPENDENT:
        return ANYBODY
    if dependence is Dependence.ADDRESS_DEPENDENT:
        return Endpoint(remote.ip, 0)
    return remote
