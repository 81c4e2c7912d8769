"""Two customers behind one box: what one does, and what becomes of the other's calls.

The first customer calls several times, and stays in the last call. The second one registers, calls and is
called meanwhile. Each has a far phone of his own, so that nothing but the box brings the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.phone import Phone


@dataclass(frozen=True)
class TwoCustomers:
    """``calls``: how many the first customer makes.

    ``alike``: whether the second one's phone, of the same make, draws the same Call-IDs (RFC 3261 section
    8.1.1.4 wants them to be unique).
    """

    calls: Annotated[int, Ge(1), Le(1000)] = 4
    alike: bool = False

    def run(self, stage: Stage) -> None:
        first, far, third = stage.phone, stage.far_phone, stage.third_phone
        second = self._second(stage)
        for each in (far, third):
            stage.do(each, each.register)
        stage.idle(1.0)
        register(stage, first)
        talk = None
        for number in range(1, self.calls + 1):
            if talk is not None:
                hang_up(stage, talk, name=f"first customer's call {number - 1} hangs up")
            talk = connect(
                stage,
                caller=first,
                callee=far,
                target="bob@lab.test",
                name=f"first customer's call {number} ",
            )
        register(stage, second, "second customer ")
        out = connect(
            stage, caller=second, callee=third, target="dave@lab.test", name="second customer's call "
        )
        if out is not None:
            both_hear(stage, out, name="in the second customer's call")
            hang_up(stage, out, name="second customer's call hangs up")
        back = connect(
            stage, caller=third, callee=second, target="carol@lab.test", name="call to the second customer "
        )
        if back is not None:
            hang_up(stage, back, name="call to the second customer hangs up")
        if talk is not None:
            both_hear(stage, talk, name="in the first customer's last call")
            hang_up(stage, talk, name="first customer's last call hangs up")

    def _second(self, stage: Stage) -> Phone:
        if not self.alike:
            return stage.second_phone
        stage.with_phone(call_id_form="token")
        pattern = stage.second_phone
        stage.world.remove(pattern)
        host, _ = stage.host("second-phone" if stage.has("second-phone") else "phone")
        # What it draws at random is what the first one draws: its calls have the same Call-IDs.
        return stage.place(host, pattern.config, "alice")


ITEM = Item("two-customers", "Two customers behind one box, and what one does to the other.", TwoCustomers())
