"""Two phones behind one router: both call out at once, both are called, and one calls the other.

The provider brings the call between the two back to the router: SIP goes out and in, and the media,
each addressed to the router's public address, turn round at it (hairpinning, RFC 4787 section 6).
"""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class TwoPhones:
    """``between``: whether the two also call each other."""

    between: bool = True

    def run(self, stage: Stage) -> None:
        stage.with_phone(lines=2)
        one, two, far, third = stage.phone, stage.second_phone, stage.far_phone, stage.third_phone
        for each in (far, third):
            stage.do(each, each.register)
        stage.idle(1.0)
        register(stage, one)
        register(stage, two, "second phone ")
        out = connect(stage, caller=one, callee=far, target="bob@lab.test", name="first call ")
        other = connect(stage, caller=two, callee=third, target="dave@lab.test", name="second call ")
        if out is not None:
            both_hear(stage, out, name="in the first call")
        if other is not None:
            both_hear(stage, other, name="in the second call")
        for name, talk in (("first", out), ("second", other)):
            if talk is not None:
                hang_up(stage, talk, name=f"{name} call hangs up")
        for name, callee, target in (("first", one, "alice@lab.test"), ("second", two, "carol@lab.test")):
            called = f"call to the {name} phone"
            back = connect(stage, caller=far, callee=callee, target=target, name=f"{called} ")
            if back is not None:
                both_hear(stage, back, name=f"in the {called}")
                hang_up(stage, back, name=f"{called} hangs up")
        if self.between:
            inner = connect(stage, caller=one, callee=two, target="carol@lab.test", name="call between them ")
            if inner is not None:
                both_hear(stage, inner, name="in the call between them")
                hang_up(stage, inner, name="call between them hangs up")


ITEM = Item("two-phones", "Two phones behind one router call, are called, and call each other.", TwoPhones())
