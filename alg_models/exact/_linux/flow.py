"""What connection tracking knows of one flow, and the mapping of addresses that follows from it.

MAP (spec 1.0): where a message names the packet's own source or destination as it was before translation, the
ALG writes the translated one. The same rule serves both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.exact._linux.expectations import Expectations
from siplab.alg_models.exact._linux.kernel import Kernel
from siplab.alg_models.exact._linux.scan import Payload
from siplab.lab.gateway.context import Context, Dropped
from siplab.lab.wire.ip import TCP, UDP, Endpoint

_LIMIT: Final = 4096  # flows; packets make them, so there must be a bound


@dataclass(frozen=True)
class Settings:
    """The module's parameters, and the kernel that it is loaded in."""

    kernel: Kernel
    timeout: float = 3600.0
    direct_signalling: bool = True
    direct_media: bool = True
    external_media: bool = False
    routes: bool = False  # Record-Route and Route are translated as From and To are
    calls_at_once: bool = False  # a registration's pinhole is open before the registrar agrees
    # Gives the replacement for an address in headers, instead of MAP.
    known: Callable[[View, Endpoint], Endpoint | None] | None = None


class Flow:
    """One connection: its first direction, and what the ALG remembers of it."""

    __slots__ = (
        "expected",
        "expires",
        "first_outbound",
        "forced_dport",
        "invite_cseq",
        "register_cseq",
        "saved",
    )

    def __init__(self, first_outbound: bool) -> None:
        self.first_outbound = first_outbound
        # Only an expectation lets a flow in.
        self.expected = not first_outbound
        self.saved: Endpoint | None = None  # where its expectation leads, if not where the NAT does
        self.forced_dport = 0
        self.invite_cseq = 0
        self.register_cseq = 0
        self.expires = 0.0


@dataclass
class Memory:
    """What one router's ALG remembers."""

    flows: dict[tuple[int, Endpoint, Endpoint], Flow] = field(default_factory=dict)
    expectations: Expectations = field(default_factory=Expectations)

    @contextmanager
    def flow(self, context: Context, timeout: float) -> Iterator[Flow]:
        """The packet's flow; its timer starts anew, so that it lasts ``timeout`` seconds from this packet.

        If the first packet of a UDP flow is dropped, the flow is forgotten. (A TCP connection began with its
        handshake.)
        """
        key = (context.protocol, context.inside, context.remote)
        flow = self.flows.get(key)
        if flow is not None and context.now >= flow.expires:
            self.expectations.forget(flow, context)
            flow = None
        new = flow is None and context.protocol == UDP
        if flow is None:
            if len(self.flows) >= _LIMIT:
                oldest = next(iter(self.flows))
                self.expectations.forget(self.flows.pop(oldest), context)
            flow = self.flows[key] = Flow(context.outbound)
            if flow.expected:
                met = self.expectations.find(
                    context.protocol, context.remote.ip, context.outside, context.now
                )
                flow.saved = met.saved if met is not None and met.saved != context.inside else None
        flow.expires = context.now + timeout
        self.expectations.follow(flow)
        try:
            yield flow
        except Dropped:
            if new:
                self.expectations.forget(self.flows.pop(key), context)
            raise


class View:
    """One packet of a flow: its payload, and its ends before and after translation."""

    __slots__ = (
        "context", "destination", "flow", "memory", "nat", "new_destination", "new_source", "payload",
        "settings", "source",
    )  # fmt: skip

    def __init__(
        self, payload: Payload, context: Context, flow: Flow, memory: Memory, settings: Settings
    ) -> None:
        self.payload = payload
        self.context = context
        self.flow = flow
        self.memory = memory
        self.settings = settings
        self.nat = context.binding is not None  # IPv6 and routed packets are not translated
        if context.outbound:
            self.source, self.new_source = context.inside, context.outside
            self.destination = self.new_destination = context.remote
        else:
            self.source = self.new_source = context.remote
            self.destination, self.new_destination = context.outside, flow.saved or context.inside

    @property
    def tcp(self) -> bool:
        return self.context.protocol == TCP

    def mapped(self, endpoint: Endpoint) -> Endpoint | None:
        """MAP: the endpoint that replaces ``endpoint`` in this packet; ``None``: it stays."""
        if self.settings.known is not None:
            return self.settings.known(self, endpoint)
        rule = self.settings.kernel.other_port
        if rule != "untouched" and endpoint not in (self.source, self.destination):
            return self._by_address(endpoint, own=rule == "own")
        if endpoint == self.source:
            new = self.new_source
        elif endpoint == self.destination:
            new = self.new_destination
            if self.flow.forced_dport:
                new = Endpoint(new.ip, self.flow.forced_dport)
        else:
            return None
        return None if new == endpoint else new

    def _by_address(self, endpoint: Endpoint, *, own: bool) -> Endpoint | None:
        """MAP for an address of this packet with another port. ``own``: with the packet's old port."""
        ends = ((self.source, self.new_source), (self.destination, self.new_destination))
        for old, new in ends:
            if endpoint.ip == old.ip != new.ip:
                return Endpoint(new.ip, old.port if own else endpoint.port)
        return None

    def map(self, offset: int, end: int, endpoint: Endpoint) -> None:
        """Write what MAP makes of an address. The port is always written, even if none stood there."""
        new = self.mapped(endpoint)
        if new is not None:
            self.payload.replace(offset, end, str(new).encode())
