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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from siplab.lab import specs
from siplab.lab.errors import UsageError
from siplab.lab.gateway.context import Context, Dropped
from siplab.lab.wire.ip import TCP, UDP
from siplab.lab.wire.sip import SipMessage


class Evidence(StrEnum):
    """How well a behaviour is known, best first."""

    SOURCE_CODE = "source-code"
    VENDOR_DOCUMENTATION = "vendor-documentation"
    CAPTURE = "capture"
    USER_REPORT = "user-report"
    SEED = "seed"  # the three articles that this project began with: no captures
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

    ``before`` is part of the last packet of ``sample`` (see ``siplab.alg_models.samples``) as it enters the
    router, ``after`` what stands in its place when it leaves; ``None`` when it does not.
    ``answer`` is part of what the router itself sends back to the sender.
    """

    sample: str
    before: bytes
    after: bytes | None
    answer: bytes = b""


# What goes wrong in an ALG. ``rewriting``: it writes something wrong into a message, or leaves an address
# that it should have written; ``parsing``: it misreads what the syntax allows; ``state``: bindings, pinholes,
# timers and what it remembers of calls; ``transport``: fragments, TCP, checksums; ``policy``: it drops,
# answers, masks or redirects on purpose.
FaultClass = Literal["rewriting", "parsing", "state", "transport", "policy", ""]


@dataclass(frozen=True, slots=True)
class Showing:
    """A trial that shows a fault which no scenario shows with the lab's default endpoints.

    ``scenario``, ``topology``, ``phone`` and ``server`` are named as for a trial (empty: the default ones).
    ``fails``: the check that fails first; it passes once the fault is fixed. ``variant``: parameters of the
    fault that differ from its defaults.
    """

    scenario: str
    fails: str
    topology: str = "home"
    phone: str = ""
    server: str = ""
    variant: Mapping[str, Any] = field(default_factory=dict, hash=False)


# Why no scenario shows a symptom. ``harmless``: the fault alone has no effect that a user notices;
# ``situation``: no scenario creates, by default, the situation that the fault needs; ``endpoint``: no phone
# and no server of the lab suffers from it.
NotShownReason = Literal["harmless", "situation", "endpoint"]


@dataclass(frozen=True, slots=True)
class NotShown:
    """Why no check of any scenario fails because of a model, with its default settings."""

    because: NotShownReason
    text: str


@dataclass(frozen=True, slots=True)
class Sufferer:
    """Endpoints, and the scenarios that fail with them in the topology home because of a model.

    ``breaks``: ids of scenarios; "all": every one; "-tcp-call": except that one. ``seen``: phone and server
    are real programs that were run; else they are kinds of the lab's. ``tried``: the scenarios that were run;
    empty: all.
    """

    phone: str
    server: str
    breaks: tuple[str, ...]
    seen: bool = False
    tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """The documentation of a model, all of it shown by ``siplab models show``."""

    summary: str
    kind: str = "fault"  # control, fault, reference-implementation, profile, combination, bare, loss
    fault_class: FaultClass = ""
    examples: tuple[Example, ...] = ()
    rules: tuple[str, ...] = ()  # "RFC 3261 25.1"
    symptom: str = ""
    sources: tuple[Source, ...] = ()
    # Scenarios of the lab that fail with this model (not its variants) in the home topology, with the
    # default endpoints; "all": every one; "-tcp-call": except that one. For the models of this project the
    # catalogue fills this in from measurements, and ``sufferers`` for more endpoints.
    breaks: tuple[str, ...] = ()
    sufferers: tuple[Sufferer, ...] = ()
    shows: tuple[Showing, ...] = ()
    not_shown: NotShown | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Which traffic an ALG looks at, what becomes of the rest, and the timers that it imposes.

    - ``ports``: compared with the outside peer's port and, when the peer opened a TCP connection, also
      with the inside endpoint's port. ``transports``: any of ``udp`` and ``tcp``.
    - ``match``: ``destination`` compares ``ports`` with a datagram's destination port, which is the
      binding's public port for inbound ones. Over TCP, the peer's port is compared all the same.
    - ``signalling_timeout``: idle time in seconds of inspected bindings; ``None``: the NAT's.
    - ``non_sip``: what becomes of datagrams on these ports that are not SIP (CRLF keep-alives);
      ``inspect``: they go through the steps like others.
    - ``fragments``: datagrams that came in fragments are put together and inspected, or
      ``drop``ped, or pass ``unprocessed``.
    - ``growth``: a packet that the ALG made larger than the MTU is fragmented (``fragment``) or lost
      (``drop``); ``obey-df``: it is lost if its sender set the DF bit (RFC 791), as in Linux.
    - ``tcp``: ``stream`` reassembles messages and adjusts sequence numbers; ``segment`` rewrites
      only messages that are whole in one segment; ``unadjusted`` does so without adjusting the numbers.
      ``payload`` gives every segment's bytes to the steps as they are, in whatever order they come, and
      adjusts sequence numbers by two offsets per direction, as Linux does (``tcp_offsets.py``).
    - ``refresh``: ``both``: inspected packets of either direction restart the binding's timer,
      whatever the NAT does, even those that the ALG drops. ``nat``: as the NAT does; a dropped packet
      restarts no timer.
    - ``follow_pinholes``: packets that come in through a pinhole for signalling are inspected, whatever
      their port. A TCP connection is then not inspected for its inside port alone.
    - ``dscp``: packets that are inspected, or that use a port which the ALG opened, leave with this DSCP
      (RFC 2474); ``None``: with their own.
    - ``hairpin_loses``: methods of SIP requests that are lost when one inside host sends them over UDP to
      the public endpoint of another.
    - ``checksum``: ``stale`` leaves the UDP checksum as the sender computed it.
    """

    ports: frozenset[int] = frozenset({5060})
    transports: frozenset[str] = frozenset({"udp", "tcp"})
    signalling_timeout: float | None = None
    non_sip: Literal["pass", "drop", "inspect"] = "pass"
    fragments: Literal["reassemble", "drop", "unprocessed"] = "reassemble"
    growth: Literal["fragment", "drop", "obey-df"] = "fragment"
    tcp: Literal["stream", "segment", "unadjusted", "payload"] = "stream"
    refresh: Literal["nat", "both"] = "nat"
    follow_pinholes: bool = False
    checksum: Literal["right", "stale"] = "right"
    match: Literal["peer", "destination"] = "peer"
    hairpin_loses: frozenset[str] = frozenset()
    dscp: int | None = None

    def loses_what_grew(self, *, dont_fragment: bool) -> bool:
        """Whether a packet that the ALG made larger than the MTU is lost."""
        return self.growth == "drop" or (self.growth == "obey-df" and dont_fragment)

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


class Exemption(Protocol):
    """Which messages an ALG leaves alone, whatever its steps would do to them."""

    def exempts(self, message: SipMessage, context: Context) -> bool:
        """Whether ``message`` is exempt; asked once for each step."""


@dataclass(frozen=True)
class Unless:
    """Do a step, but not to messages that are exempt."""

    step: Step
    exemption: Exemption

    def apply(self, message: SipMessage, context: Context) -> None:
        if not self.exemption.exempts(message, context):
            self.step.apply(message, context)


@dataclass(frozen=True)
class Recipe:
    """How an ALG is made: the steps it starts from, and what is different.

    ``base``: the steps of the correct ALG, or none. ``replace``: steps that replace base steps, by the
    class of the base step; ``None`` leaves it out. ``first`` and ``last``: steps added around the base.
    ``exemptions``: which messages the base steps leave alone.
    ``policy``: fields of ``Policy`` that differ; ``nat``: fields of the router's ``NatConfig``.
    ``restarted``: the recipe that the router has after its next restart; ``None``: the same.
    """

    base: tuple[Step, ...] = ()
    replace: Mapping[type, Step | None] = field(default_factory=dict)
    first: tuple[Step, ...] = ()
    last: tuple[Step, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    nat: Mapping[str, Any] = field(default_factory=dict)
    restarted: Recipe | None = None
    exemptions: tuple[Exemption, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The resulting row of steps."""
        replaced = (self.replace.get(type(step), step) for step in self.base)
        chosen: list[Step] = [step for step in replaced if step is not None]
        for each in self.exemptions:
            chosen = [Unless(step, each) for step in chosen]
        return (*self.first, *chosen, *self.last)

    @property
    def added(self) -> Recipe:
        """Only what it adds to its base. Raises ``ValueError`` if it replaces base steps or adds nothing."""
        again = self.restarted.added if self.restarted is not None else None
        added = replace(self, base=(), replace={}, restarted=again)
        if self.replace or added == Recipe():
            raise ValueError("the fault is in a step that only the correct ALG has")
        return added

    def plus(self, other: Recipe) -> Recipe:
        """A recipe with the differences of both. Raises ``ValueError`` if they exclude each other."""
        if self.base and other.base and self.base != other.base:
            raise ValueError("they start from different ALGs")
        pairs: tuple[tuple[Mapping[Any, Any], Mapping[Any, Any], str], ...] = (
            (self.replace, other.replace, "step"),
            (self.policy, other.policy, "policy"),
            (self.nat, other.nat, "NAT setting"),
        )
        for mine, theirs, what in pairs:
            for key in mine:
                if key in theirs and mine[key] != theirs[key]:
                    name = key.__name__ if isinstance(key, type) else key
                    raise ValueError(f"both change the {what} {name}")
        again = None
        if self.restarted is not None or other.restarted is not None:
            again = (self.restarted or self).plus(other.restarted or other)
        return Recipe(
            self.base or other.base,
            {**self.replace, **other.replace},
            self.first + other.first,
            self.last + other.last,
            {**self.policy, **other.policy},
            {**self.nat, **other.nat},
            again,
            self.exemptions + other.exemptions,
        )


def _either(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The scenarios that either of two models breaks."""
    if ("all",) in (one, other):
        return ("all",)
    return tuple(dict.fromkeys(one + other))


def _all_suffering(one: tuple[Sufferer, ...], other: tuple[Sufferer, ...]) -> tuple[Sufferer, ...]:
    """What either of two models breaks, by endpoints; real programs, never run with both, are left out."""
    found: dict[tuple[str, str], Sufferer] = {}
    for each in one + other:
        if not each.seen:
            before = found.get((each.phone, each.server))
            broken = _either(before.breaks if before is not None else (), each.breaks)
            found[each.phone, each.server] = replace(each, breaks=broken)
    return tuple(found.values())


@runtime_checkable
class Fault(Protocol):
    """What is wrong with an ALG: a frozen dataclass whose fields are the model's parameters."""

    def recipe(self) -> Recipe:
        """The ALG with this fault."""


@dataclass(frozen=True)
class Model:
    """An ALG: an ordered row of steps, a policy, and what is known about it.

    ``fault`` has the model's parameters as fields and makes the recipe. ``None``: the model has no
    parameters, and ``recipe`` is used. ``variants`` are parameter sets worth running as models of
    their own.
    """

    id: str
    card: Card
    recipe: Recipe = Recipe()
    fault: Fault | None = None
    variants: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.fault is not None:
            if not isinstance(self.fault, Fault):
                kind = type(self.fault).__name__
                raise UsageError(f"model '{self.id}': {kind} needs a method recipe() that returns a Recipe")
            object.__setattr__(self, "recipe", self.fault.recipe())
        if not isinstance(self.recipe, Recipe):
            raise UsageError(
                f"model '{self.id}': its recipe is of {type(self.recipe).__name__}, not a Recipe"
            )
        # Worked out once: both are asked for with every packet.
        object.__setattr__(self, "steps", self.recipe.steps)
        object.__setattr__(self, "policy", Policy(**self.recipe.policy))

    steps: tuple[Step, ...] = field(init=False, compare=False, default=())
    policy: Policy = field(init=False, compare=False, default=Policy())

    @property
    def parameters(self) -> dict[str, Any]:
        """Name and value of each parameter."""
        return specs.parameters(self.fault)

    @property
    def after_restart(self) -> Model:
        """The model that the router has after a restart."""
        again = self.recipe.restarted
        return self if again is None else Model(self.id, self.card, again)

    def with_parameters(self, values: Mapping[str, Any]) -> Model:
        """This model with parameters set. Raises ``UsageError`` naming a wrong one."""
        if not values:
            return self
        changed = specs.configured(self.fault, values, f"model '{self.id}'")
        return replace(self, id=specs.written(self.id, values), fault=changed, variants=())

    def plus(self, other: Model) -> Model:
        """Both models in one router. Raises ``UsageError`` with the reason when they can't be combined."""
        for each in (self, other):
            if each.card.kind == "control":
                raise UsageError(f"'{each.id}' can't be combined: it stands for a router without a fault")
        if self.id == other.id:
            raise UsageError(f"'{self.id}' twice is no other router than once")
        one, another = self.recipe, other.recipe
        try:
            if one.base and another.base and one.base != another.base:
                # A fault is built on the correct ALG. What it adds can be added to another ALG too.
                if other.card.kind == "fault":
                    another = another.added
                elif self.card.kind == "fault":
                    one = one.added
            recipe = one.plus(another)
        except ValueError as reason:
            raise UsageError(f"'{self.id}' and '{other.id}' can't be combined: {reason}") from None
        mine, theirs = self.card, other.card
        card = Card(
            summary=f"{mine.summary} Besides: {theirs.summary}",
            kind="combination",
            fault_class=mine.fault_class if mine.fault_class == theirs.fault_class else "",
            rules=tuple(dict.fromkeys(mine.rules + theirs.rules)),
            symptom=f"{mine.symptom} {theirs.symptom}",
            sources=mine.sources + theirs.sources,
            breaks=_either(mine.breaks, theirs.breaks),
            sufferers=_all_suffering(mine.sufferers, theirs.sufferers),
        )
        return Model(f"{self.id}+{other.id}", card, recipe)


__all__ = [
    "Card",
    "Context",
    "Dropped",
    "Evidence",
    "Example",
    "Exemption",
    "Fault",
    "FaultClass",
    "Model",
    "NotShown",
    "NotShownReason",
    "Policy",
    "Recipe",
    "Showing",
    "Source",
    "Step",
    "Sufferer",
]
