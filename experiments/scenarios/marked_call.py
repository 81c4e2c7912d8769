"""A call whose packets ask for a place before others: each has the same DSCP (RFC 2474) behind the router.

The lab's lines treat all packets alike. On a line that is full, what has lost its mark waits with the others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.counting import number_of
from siplab.lab.wire import ip
from siplab.lab.worlds.trace import Passage


@dataclass(frozen=True)
class MarkedCall:
    """``dscp``: of what both phones send; 46 is expedited forwarding (RFC 3246)."""

    dscp: Annotated[int, Ge(1), Le(63)] = 46

    def run(self, stage: Stage) -> None:
        for role in ("phone", "far-phone"):
            stage.world.mark(stage.host(role)[0], self.dscp)
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            hang_up(stage, talk)
        changed = Counter(
            ip.dscp_of(each.packet)
            for record in stage.world.trace
            if isinstance(record, Passage) and ip.dscp_of(record.packet) == self.dscp
            for each in record.emissions
            if each.side is not None and not each.originated and ip.dscp_of(each.packet) != self.dscp
        )
        stage.check(
            "keeps its mark",
            not changed,
            "As soon as somebody loads something, speech breaks up: its packets wait with the others.",
            "; ".join(
                f"{number_of(count, 'packet')} left with DSCP {dscp}"
                for dscp, count in sorted(changed.items())
            ),
        )


ITEM = Item("marked-call", "A call whose packets are marked for a place before others.", MarkedCall())
