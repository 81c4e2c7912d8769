"""What an ALG model is, and what it may see and do.

The rules of this file:

- A *step* does one thing to one message. It is a frozen dataclass; its fields are its
  schema. It keeps nothing between messages: what must be remembered goes into
  ``Context.memory``, which lives as long as the gateway does.
- A *model* is a row of steps and a policy. The same model object serves any number of
  gateways at once.
- A step works with the time, the randomness and the services of the ``Context``, and
  with nothing else: no clock, no sockets, no global state.
- A step that raises ends the ALG's work on that message; the gateway forwards the packet
  with only its addresses translated, and reports the error.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

from lab import specs
from lab.gateway.nat import Binding, Nat, PortsExhaustedError
from lab.wire.ip import TCP, UDP, Endpoint
from lab.wire.sip import SipMessage

T = TypeVar("T")


class Evidence(StrEnum):
    """How well a behaviour is known, best first."""

    SOURCE_CODE = "source-code"
    VENDOR_DOCUMENTATION = "vendor-documentation"
    CAPTURE = "capture"
    USER_REPORT = "user-report"
    SEED = "seed"  # the founding articles of this project: descriptions without captures
    INFERENCE = "inference"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a claim comes from."""

    text: str
    evidence: Evidence
    url: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """Documented bytes, which a test executes.

    ``before`` is part of the sample message ``sample`` (see ``alg_models.samples``) as it
    enters the router, ``after`` what stands in its place when it leaves.
    """

    sample: str
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Card:
    """The documentation of a model, all of it shown by ``alglab models show``."""

    summary: str
    kind: str = "fault"  # control, fault, exact, profile
    examples: tuple[Example, ...] = ()
    rules: tuple[str, ...] = ()  # "RFC 3261 25.1"
    symptom: str = ""
    sources: tuple[Source, ...] = ()
    # Scenarios of the lab that this model must break in the home topology.
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What of the traffic an ALG looks at, and the timers that it imposes (seconds)."""

    ports: frozenset[int] = frozenset({5060})  # compared with the outside peer's port
    transports: frozenset[str] = frozenset({"udp", "tcp"})
    signalling_timeout: float | None = None  # idle time of inspected bindings; None: the NAT's

    def inspects(self, protocol: int, remote_port: int) -> bool:
        if remote_port not in self.ports:
            return False
        return (protocol == UDP and "udp" in self.transports) or (
            protocol == TCP and "tcp" in self.transports
        )


@runtime_checkable
class Step(Protocol):
    """One thing that an ALG does to a message."""

    def apply(self, message: SipMessage, context: Context) -> None:
        """Edit ``message`` in place, or use the context's services."""


@dataclass(frozen=True)
class Model:
    """An ALG: an ordered row of steps, a policy, and what is known about it.

    ``fault`` is the step whose fields are the model's parameters (``None``: no parameters).
    ``variants`` are parameter sets worth running as models of their own.
    """

    id: str
    card: Card
    steps: tuple[Step, ...] = ()
    policy: Policy = Policy()
    fault: Step | None = None
    variants: tuple[Mapping[str, Any], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Name and value of each parameter."""
        return specs.parameters(self.fault)

    def with_parameters(self, values: Mapping[str, Any]) -> Model:
        """This model with parameters set. Raises ``UsageError`` naming a wrong one."""
        if not values:
            return self
        changed = specs.configured(self.fault, values, f"model '{self.id}'")
        return replace(
            self,
            id=specs.written(self.id, values),
            steps=tuple(changed if step is self.fault else step for step in self.steps),  # type: ignore[misc]
            fault=changed,
            variants=(),
        )


class Dropped(Exception):  # noqa: N818 - an outcome, not an error
    """Raised by ``Context.drop``: the packet goes no further."""


@dataclass(slots=True)
class Context:
    """What a step may know of the packet that carries the message, and the router's services.

    ``inside`` is the LAN endpoint of the flow, ``outside`` the public endpoint that stands
    for it, ``remote`` the peer on the public side. ``outbound`` tells the direction.
    """

    now: float
    outbound: bool
    protocol: int
    inside: Endpoint
    outside: Endpoint
    remote: Endpoint
    binding: Binding | None
    nat: Nat
    rng: random.Random
    is_inside: Callable[[str], bool]
    memory: dict[Any, Any] = field(default_factory=dict)

    def remember(self, step: object, factory: Callable[[], T]) -> T:
        """This gateway's memory for ``step``; ``factory`` makes it on the first use."""
        try:
            return self.memory[step]  # type: ignore[no-any-return]
        except KeyError:
            made = self.memory[step] = factory()
            return made

    def drop(self, reason: str) -> None:
        """Let the packet go no further."""
        raise Dropped(reason)

    # -- addresses -------------------------------------------------------------------------

    def public(self, endpoint: Endpoint) -> Endpoint | None:
        """The public endpoint that stands for an inside one in signalling, reserved if need be.

        ``None`` when the address is not an inside one, or no port is left. A reservation lives
        for one signalling idle time unless traffic or a pinhole prolongs it.
        """
        if endpoint == self.inside:
            return self.outside
        if not self._translatable(endpoint):
            return None
        try:
            binding = self.nat.reserve(self.protocol, endpoint, self.now)
        except PortsExhaustedError:
            return None
        self.nat.touch(binding, self.now, outbound=True)
        return binding.outside

    def private(self, endpoint: Endpoint) -> Endpoint | None:
        """The inside endpoint behind a public one; ``None`` when it is not one of this router's."""
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

    def open_media(self, endpoint: Endpoint, owner: object, lifetime: float) -> Endpoint | None:
        """Reserve a public port for an inside media endpoint and let everybody in.

        An even port gets its odd neighbour beside it, for RTCP (RFC 3550 section 11).
        The remote media address is not known when an offer goes out, so the pinhole admits any
        source. Returns the public RTP endpoint, ``None`` for a foreign address or no free port.
        """
        if not self._translatable(endpoint):
            return None
        try:
            binding = self.nat.reserve(UDP, endpoint, self.now, pair=endpoint.port % 2 == 0)
        except PortsExhaustedError:
            return None
        expires = self.now + lifetime
        self.nat.open_pinhole(binding, None, expires, owner)
        if binding.pair is not None:
            self.nat.open_pinhole(binding.pair, None, expires, owner)
        return binding.outside

    def hold_registration(self, contact: Endpoint, lifetime: float, aor: bytes = b"") -> None:
        """Keep the way in to a registered contact open for the registrar, ``lifetime`` seconds.

        A lifetime of 0 ends it. Registrations of several addresses-of-record (``aor``) at one
        contact are held apart.
        """
        owner = ("registration", contact, aor)
        if lifetime <= 0:
            self.nat.close_pinholes(owner)
            return
        binding = self.binding if contact == self.inside else None
        if binding is None:
            binding = self.nat.find(self.protocol, contact, self.remote, self.now)
        if binding is not None:
            self.nat.open_pinhole(binding, Endpoint(self.remote.ip, 0), self.now + lifetime, owner)

    def close_pinholes(self, owner: object) -> None:
        """End the pinholes of an owner."""
        self.nat.close_pinholes(owner)
