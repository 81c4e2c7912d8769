"""SIP over TCP: two phones register, each over a connection that stays, and call each other.

What routers do to SIP in datagrams they may do to streams too, or not at all; and a message of another
length puts every later sequence number wrong, unless somebody counts. ``framing`` says how messages and
segments go together: streams know no messages, but some routers take one for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from siplab.experiments.scenarios.call_checks import Talk, both_hear, connect, hang_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.sip.streams import Framing


@dataclass(frozen=True)
class TcpCall:
    """``framing``: each message in a segment of its own (``whole``), several in one (``pipelined``), or each
    in two (``split``). ``padding``: bytes that are added to each INVITE, which with 1000 is larger than a
    segment. ``duration``: of each call, in seconds.
    """

    framing: Framing = "whole"
    padding: Annotated[int, Ge(0), Le(32768)] = 0
    duration: Annotated[float, Gt(0)] = 40.0

    def run(self, stage: Stage) -> None:
        changes: dict[str, Any] = {"transport": "tcp", "framing": self.framing, "padding": self.padding}
        if self.framing == "pipelined":
            changes["ring_time"] = 0.0  # 180 and 200 leave at the same moment
        stage.with_server(transports=("udp", "tcp"), framing=self.framing)
        stage.with_phone(**changes)
        stage.with_far_phone(**changes)
        phone, far = stage.phone, stage.far_phone
        stage.do(far, far.register)
        stage.idle(1.0)
        register(stage)
        out = connect(stage, caller=phone, callee=far, target="bob@lab.test", name="outgoing call ")
        if out is not None:
            self._talk(stage, out, "in the outgoing call", "outgoing call hangs up")
        stage.idle(1.0)
        incoming = connect(stage, caller=far, callee=phone, target="alice@lab.test", name="incoming call ")
        if incoming is not None:
            self._talk(stage, incoming, "in the incoming call", "incoming call hangs up")

    def _talk(self, stage: Stage, talk: Talk, name: str, end: str) -> None:
        both_hear(stage, talk, self.duration, name)
        hang_up(stage, talk, name=end)


ITEM = Item("tcp-call", "Over TCP the phone registers, calls somebody and is called.", TcpCall())
