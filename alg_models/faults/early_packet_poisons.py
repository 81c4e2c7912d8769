"""A packet that comes before the router's NAT is ready makes a flow that is never translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


@dataclass
class _Stuck:
    """The first flow since the restart, and the time of its latest packet."""

    flow: tuple[Endpoint, Endpoint] | None = None
    latest: float = 0.0


@dataclass(frozen=True)
class Poison:
    """Drop what a phone sends by the first flow since the restart (it would leave with a private source).

    This ends when the phone has sent nothing by the flow for ``idle`` seconds.
    """

    idle: float

    def apply(self, message: SipMessage, context: Context) -> None:
        stuck, flow = context.remember(self, _Stuck), (context.inside, context.remote)
        if not context.outbound:
            return
        if stuck.flow is None:
            stuck.flow = flow
        elif stuck.flow != flow or context.now - stuck.latest >= self.idle:
            return
        stuck.latest = context.now
        context.drop("the flow began before there was a NAT, and is not translated")


@dataclass(frozen=True)
class PoisonEarly:
    """A correct ALG until the router restarts. Then the first flow is stuck as long as it is kept alive.

    ``idle``: seconds of silence that end this.
    """

    idle: Annotated[float, Gt(0)] = 60.0

    def recipe(self) -> Recipe:
        restarted = Recipe(base=CORRECT_STEPS, first=(Poison(self.idle),))
        return Recipe(base=CORRECT_STEPS, restarted=restarted)


MODEL = Model(
    id="early-packet-poisons",
    card=Card(
        fault_class="state",
        summary=(
            "Translates correctly; but the flow whose packet comes first after a restart is not translated, "
            "as long as packets of it come."
        ),
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example("state-register-restarted", b"REGISTER sip:lab.test", None),
        ),
        rules=("RFC 4787 4.1", "RFC 4787 4.3"),
        symptom=(
            "After some restarts of the router one phone stays unregistered, however often it tries; without "
            "power for a minute it works again."
        ),
        sources=(
            Source(
                "arno-iptables-firewall issue 19: a packet of a telephone adapter before the NAT's rules "
                "were there leaves a state that its own retries keep alive",
                Evidence.USER_REPORT,
                "https://github.com/arno-iptables-firewall/aif/issues/19",
            ),
            Source(
                "That it is always the first flow, and that what leaves with a private address gets lost",
                Evidence.INFERENCE,
            ),
        ),
        shows=(Showing("router-reboot", "still registered"),),
    ),
    fault=PoisonEarly(),
)
