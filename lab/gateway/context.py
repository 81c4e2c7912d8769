"""What a step may know of the packet that carries a message, and the router's services to the step.

The arguments of a step are checked here, while the step runs. So a wrong type is an error of the model,
which the trace names, and never a traceback of the gateway.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from siplab.lab.foreign import clipped
from siplab.lab.gateway.binding import NOBODY, Binding, Pinhole, TcpState
from siplab.lab.gateway.binding_table import PortsExhaustedError
from siplab.lab.gateway.nat import Nat
from siplab.lab.wire.ip import MAX_PACKET, UDP, Endpoint

T = TypeVar("T")

_MAX_ANSWER: Final = MAX_PACKET - 28  # what a datagram over IPv4 holds


class Dropped(Exception):  # noqa: N818 - an outcome, not an error
    """Raised by ``Context.drop``: the packet is dropped."""


def _require(call: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"context.{call} takes {kind.__name__}, not {type(value).__name__}")


def _require_endpoint(call: str, value: object) -> None:
    _require(call, value, Endpoint)
    assert isinstance(value, Endpoint)
    if not isinstance(value.ip, str) or not isinstance(value.port, int):
        raise TypeError(f"context.{call} takes an Endpoint of str and int, not {value!r}")


def _check_pinhole(call: str, inside: object, lifetime: object, admit: object) -> None:
    _require_endpoint(call, inside)
    if admit is not None:
        _require_endpoint(call, admit)
    _require_seconds(call, lifetime)


def _require_seconds(call: str, value: object) -> None:
    if not isinstance(value, int | float) or math.isnan(value):
        raise TypeError(f"context.{call} takes seconds, not {value!r}")


@dataclass(slots=True)
class Context:
    """What a step may know of the packet that carries the message, and the router's services.

    ``inside`` is the LAN endpoint of the flow, ``outside`` the public endpoint that stands
    for it, ``remote`` the peer on the public side. ``outbound`` is the direction.
    ``router`` is the router's own IPv4 address on the inside. ``now`` is in seconds.
    """

    now: float
    outbound: bool
    protocol: int
    inside: Endpoint
    outside: Endpoint
    remote: Endpoint
    binding: Binding | None
    nat: Nat
    _generator: Callable[[], random.Random]
    is_inside: Callable[[str], bool]
    memory: dict[Any, Any] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)
    deliver_to: Endpoint | None = None
    router: str = ""
    uncounted: bool = False

    @property
    def rng(self) -> random.Random:
        """The model's own random generator."""
        return self._generator()

    def remember(self, step: object, factory: Callable[[], T]) -> T:
        """This gateway's memory for ``step``; ``factory`` makes it on the first use."""
        try:
            return self.memory[step]  # type: ignore[no-any-return]
        except KeyError:
            made = self.memory[step] = factory()
            return made

    def drop(self, reason: str) -> None:
        """Drop the packet. ``reason`` appears in traces and decides nothing."""
        _require("drop", reason, str)
        raise Dropped(clipped(reason))

    def answer(self, message: bytes) -> None:
        """Have the router itself send ``message`` back to the sender, as if its peer had.

        Over TCP nothing is sent: the router has no stream of its own there. Raises ``TypeError`` for
        anything but bytes, and ``ValueError`` for more than a datagram holds.
        """
        _require("answer", message, bytes)
        if len(message) > _MAX_ANSWER:
            raise ValueError(f"context.answer takes {_MAX_ANSWER} bytes at most, not {len(message)}")
        if self.protocol == UDP:
            self.answers.append(message)

    def leave_uncounted(self) -> None:
        """Do not count the growth of this TCP segment: later sequence numbers will be wrong by that much.

        This works only with the policy ``tcp="payload"``.
        """
        self.uncounted = True

    def deliver_elsewhere(self, inside: Endpoint) -> None:
        """Deliver this inbound packet to another inside endpoint than the binding's."""
        _require_endpoint("deliver_elsewhere", inside)
        if not self.outbound and self._translatable(inside):
            self.deliver_to = inside

    def renew_mapping(self) -> None:
        """Give the sender of this datagram another public endpoint, from this datagram on.

        The old endpoint stays open as long as its timer or its pinholes run. Nothing happens for an
        inbound packet, on TCP (a connection keeps its ports), and when no port is left.
        """
        if not self.outbound or self.protocol != UDP or self.binding is None:
            return
        try:
            fresh = self.nat.renew(self.binding, self.now)
        except PortsExhaustedError:
            return
        self.nat.touch(fresh, self.now, outbound=True)
        fresh.remotes.update(dict.fromkeys([self.remote], TcpState.OPENING))
        self.binding, self.outside = fresh, fresh.outside

    # -- addresses -------------------------------------------------------------------------

    def public(self, endpoint: Endpoint) -> Endpoint | None:
        """The public endpoint that stands for an inside one in signalling.

        If the inside endpoint already has a mapping towards the peer of this message, its public endpoint
        is returned; else one is reserved. ``None`` when the address is not an inside one, or no port is
        left. A reservation lives for one signalling idle time unless traffic or a pinhole prolongs it.
        """
        _require_endpoint("public", endpoint)
        if endpoint == self.inside:
            return self.outside
        if not self._translatable(endpoint):
            return None
        try:
            # The peer already reaches the endpoint through this mapping.
            binding = self.nat.find(self.protocol, endpoint, self.remote, self.now)
            binding = binding or self.nat.reserve(self.protocol, endpoint, self.now)
        except PortsExhaustedError:
            return None
        self.nat.touch(binding, self.now, outbound=True)
        return binding.outside

    def private(self, endpoint: Endpoint) -> Endpoint | None:
        """The inside endpoint behind a public one; ``None`` when it is not one of this router's."""
        _require_endpoint("private", endpoint)
        if endpoint == self.outside:
            return self.inside
        if endpoint.ip != self.nat.public_ip:
            return None
        binding = self.nat.at_port(self.protocol, endpoint.port, self.now)
        return binding.inside if binding else None

    def _translatable(self, endpoint: Endpoint) -> bool:
        """Whether a public endpoint can stand for it: not for IPv6, nor for a port beyond 65535."""
        return 0 < endpoint.port < 65536 and ":" not in endpoint.ip and self.is_inside(endpoint.ip)

    # -- pinholes --------------------------------------------------------------------------

    def open_media(
        self,
        endpoint: Endpoint,
        owner: object,
        lifetime: float,
        *,
        admit: Endpoint | None = None,
    ) -> Endpoint | None:
        """Reserve a public port for an inside media endpoint and let everybody in.

        With an even port, the next odd one is reserved too, for RTCP (RFC 3550 section 11).
        The remote media address is not known when an offer goes out, so the pinhole admits any
        source, unless ``admit`` names one (port 0: any port of that address). Returns the public RTP
        endpoint; ``None``: the address is not an inside one, or no port is free. ``lifetime``: in seconds.
        """
        _check_pinhole("open_media", endpoint, lifetime, admit)
        if not self._translatable(endpoint):
            return None
        try:
            binding = self.nat.reserve(UDP, endpoint, self.now, pair=endpoint.port % 2 == 0)
        except PortsExhaustedError:
            return None
        expires = self.now + lifetime
        self.nat.open_pinhole(binding, admit, expires, owner)
        if binding.pair is not None:
            self.nat.open_pinhole(binding.pair, admit, expires, owner)
        return binding.outside

    def open_port(
        self,
        endpoint: Endpoint,
        owner: object,
        lifetime: float,
        *,
        first: int,
        step: int = 1,
        admit: Endpoint | None = None,
    ) -> Endpoint | None:
        """As ``open_media``, for a single UDP port: the first free one of ``first``, ``first + step``...

        Returns the public endpoint; ``None``: the address is not an inside one, or no port is free.
        """
        _check_pinhole("open_port", endpoint, lifetime, admit)
        if not self._translatable(endpoint):
            return None
        try:
            binding = self.nat.reserve_from(UDP, endpoint, first, step, self.now)
        except PortsExhaustedError:
            return None
        self.nat.open_pinhole(binding, admit, self.now + lifetime, owner)
        return binding.outside

    def hold_registration(self, contact: Endpoint, lifetime: float, aor: bytes = b"") -> None:
        """Let the registrar reach a registered contact for ``lifetime`` seconds.

        A lifetime of 0 ends it. If several addresses-of-record (``aor``) are registered at one contact,
        each has a pinhole of its own.
        """
        _check_pinhole("hold_registration", contact, lifetime, None)
        owner = ("registration", contact, aor)
        if lifetime <= 0:
            self.nat.close_pinholes(owner)
            return
        binding = self.binding if contact == self.inside else None
        if binding is None:
            binding = self.nat.find(self.protocol, contact, self.remote, self.now)
        if binding is not None:
            end = self.now + lifetime
            self.nat.open_pinhole(binding, Endpoint(self.remote.ip, 0), end, owner).inspected = True

    def expect(
        self,
        inside: Endpoint,
        port: int,
        source: str,
        lifetime: float,
        *,
        protocol: int = UDP,
        once: bool = True,
        inspected: bool = False,
        active: bool = True,
        symmetric: bool = True,
    ) -> Pinhole | None:
        """Let a flow from ``source`` (an address; empty: anybody) in at exactly this public port.

        The flow is a session of its own from its first packet on. ``once``: the pinhole ends with that
        packet. ``active`` False: the port is kept, but nobody is let in yet. ``symmetric`` False: packets
        from the inside endpoint get a mapping of their own. Returns ``None`` if another endpoint has the
        port, or ``inside`` is not an inside address. ``lifetime``: in seconds.
        """
        _check_pinhole("expect", inside, lifetime, None)
        _require("expect", port, int)
        _require("expect", source, str)
        if not self._translatable(inside):
            return None
        binding: Binding | None
        if protocol == self.protocol and port == self.outside.port and inside.ip == self.inside.ip:
            # The flow's own port: the phone sends from one port and listens at another.
            binding = self.binding
        else:
            binding = self.nat.reserve_at(protocol, inside, port, self.now, symmetric=symmetric)
        if binding is None:
            return None
        remote = Endpoint(source, 0) if source else None
        return self.nat.expect(
            binding, remote if active else NOBODY, self.now + lifetime, once=once, inspected=inspected
        )

    def limit_media(self, public_port: int, idle: float) -> None:
        """Let a media pinhole and its RTCP neighbour end after ``idle`` seconds without a packet."""
        _require_seconds("limit_media", idle)
        binding = self.nat.at_port(UDP, public_port, self.now)
        for each in (binding, binding.pair if binding else None):
            if each is not None and each.reserved:
                self.nat.limit_idle(each, idle, self.now)

    def close_pinholes(self, owner: object) -> None:
        """End the pinholes of an owner."""
        self.nat.close_pinholes(owner)
