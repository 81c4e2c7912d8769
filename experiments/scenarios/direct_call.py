"""Two phones behind one router call each other, and once they know each other nobody stands between.

The provider's server does not record-route (RFC 3261 section 16.6): ACK and BYE go from phone to phone. Where
each names its public endpoint in Contact they turn round at the router (hairpinning, RFC 4787 section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up, stays_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class DirectCall:
    """``duration``: of the call in seconds; without an ACK it ends after 32."""

    duration: Annotated[float, Gt(0)] = 40.0

    def run(self, stage: Stage) -> None:
        stage.with_server(record_route=False)
        one, two = stage.phone, stage.second_phone
        register(stage, one)
        register(stage, two, "second phone ")
        talk = connect(stage, caller=one, callee=two, target="carol@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            stays_up(stage, talk, self.duration)
            hang_up(stage, talk)


ITEM = Item("direct-call", "Two phones in one house call each other; ACK and BYE go straight.", DirectCall())
