"""The ALG's work on one packet: it applies the model's steps to the message.

Whatever else the model does (drop, answer by itself, deliver elsewhere, raise) is noted in the
``Inspection``, and the gateway acts on it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from siplab.lab import foreign, interrupts
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.binding import Binding
from siplab.lab.gateway.context import Context, Dropped
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.nat import Nat
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sip import SipMessage


class Alg:
    """A model in one gateway: what all of its inspections share."""

    __slots__ = ("_made", "_make_generator", "is_inside", "memory", "model", "nat", "router")

    def __init__(
        self,
        model: Model,
        nat: Nat,
        make_generator: Callable[[], random.Random],
        is_inside: Callable[[str], bool],
        router: str = "",
    ) -> None:
        self.model = model
        self.router = router
        self.nat = nat
        self._make_generator = make_generator
        self._made: random.Random | None = None
        self.is_inside = is_inside
        self.memory: dict[Any, Any] = {}

    def generator(self) -> random.Random:
        """The model's random generator, made on first use: few models draw random numbers."""
        if self._made is None:
            self._made = self._make_generator()
        return self._made


class Inspection:
    """The model's work on one packet.

    ``fate``, ``detail`` and ``error`` are for the trace. ``changed``: the payload changed. ``answers``:
    messages that the router itself sends back to the sender. ``deliver_to``: the inside endpoint that gets
    an inbound packet instead of the binding's. ``binding``: the binding that the packet uses; it is not the
    flow's if the model renewed the mapping.
    """

    __slots__ = (
        "_alg",
        "_flow",
        "answers",
        "binding",
        "changed",
        "deliver_to",
        "detail",
        "error",
        "fate",
        "uncounted",
    )

    def __init__(
        self,
        alg: Alg,
        protocol: int,
        inside: Endpoint,
        outside: Endpoint,
        remote: Endpoint,
        binding: Binding | None,
        now: float,
    ) -> None:
        self._alg = alg
        self._flow = (protocol, inside, outside, remote, binding, now)
        self.fate = Fate.FORWARDED
        self.detail = ""
        self.error = ""
        self.changed = False
        self.uncounted = False
        self.answers: list[bytes] = []
        self.deliver_to: Endpoint | None = None
        self.binding = binding

    def rewrite(self, payload: bytes, outbound: bool) -> bytes | None:
        """Put the bytes of one datagram or one TCP message through the model; ``None``: it is dropped.

        Bytes that are not SIP (keep-alives, STUN) pass, unless the policy drops or inspects such datagrams.
        """
        alg = self._alg
        message = SipMessage.parse(payload)
        if not message.is_sip and alg.model.policy.non_sip != "inspect":
            if alg.model.policy.non_sip == "drop" and self._flow[0] == UDP:
                self.fate, self.detail = Fate.DROPPED_BY_MODEL, "not SIP"
                return None
            return payload
        protocol, inside, outside, remote, binding, now = self._flow
        context = Context(
            now, outbound, protocol, inside, outside, remote, binding, alg.nat, alg.generator, alg.is_inside,
            alg.memory, router=alg.router,
        )  # fmt: skip
        result: bytes | None
        try:
            for step in alg.model.steps:
                step.apply(message, context)
            result = bytes(message)
        except Dropped as reason:
            self.fate, self.detail = Fate.DROPPED_BY_MODEL, str(reason)
            result = None
        except BaseException as error:  # a model is a plug-in; its failure must not stop traffic
            if interrupts.is_users(error):
                raise
            self.error = foreign.told(error)
            return payload
        if context.answers:
            self.answers += context.answers
        self.binding = context.binding
        self.uncounted = context.uncounted
        if context.deliver_to is not None:
            self.deliver_to = context.deliver_to
        if result is not None and result != payload:
            self.changed = True
        return result

    @property
    def fate_onward(self) -> Fate:
        """The fate of a TCP segment that leaves, perhaps without a message that was dropped."""
        return Fate.MESSAGE_REMOVED if self.fate is Fate.DROPPED_BY_MODEL else self.fate
