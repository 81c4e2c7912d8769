"""The phone behind the router passes a call on: blind, or attended with Replaces (RFC 5589)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.scenarios.call_checks import Talk, both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.call import CallState, Direction


@dataclass(frozen=True)
class Transfer:
    """``how``: blind, or attended after a word with the third party.

    ``to``: somebody on the internet, by name, or the second phone behind the router, by its own address, as
    phones do that know each other's.
    """

    how: Literal["blind", "attended"] = "blind"
    to: Literal["third-party", "second-phone"] = "third-party"

    def run(self, stage: Stage) -> None:
        settings = {"extensions": ("replaces",), "lines": 2}
        stage.with_phone(**settings)
        stage.with_far_phone(**settings)
        third, target = (stage.third_phone, "dave@lab.test")
        if self.to == "second-phone":
            third = stage.second_phone
            target = f"carol@{third.local}"
        phone, far = sign_in(stage, third)
        talk = connect(stage, caller=far, callee=phone, target="alice@lab.test")
        if talk is None:
            return
        both_hear(stage, talk, 2.0)
        mine, before = talk.incoming, len(third.calls)
        second = None
        if self.how == "attended":
            asked = connect(stage, caller=phone, callee=third, target=target, name="second call ")
            if asked is None:
                return
            second, before = asked.outgoing, len(third.calls)
        stage.do(phone, lambda now: phone.transfer(mine, target, now, replaced=second))
        stage.until(lambda: mine.over or mine.transfer_status >= 300, 40.0)
        stage.check(
            "is transferred",
            mine.transfer_status == 200,
            "Transfer fails: the caller is cut off, or stays with the phone that wanted to pass it on.",
            f"status {mine.transfer_status or 'none'}",
        )
        new = next(
            (
                each
                for each in far.calls
                if each.direction is Direction.OUTGOING and each is not talk.outgoing
            ),
            None,
        )
        arrived = next((each for each in third.calls[before:] if each.direction is Direction.INCOMING), None)
        connected = stage.check(
            "reaches the third party",
            new is not None and arrived is not None and new.state is CallState.ESTABLISHED,
            "The transferred caller never reaches the third party.",
            new.reason if new is not None else "no call was placed",
        )
        if connected and new is not None and arrived is not None:
            passed_on = Talk(far, third, new, arrived)
            both_hear(stage, passed_on, name="each other")
            hang_up(stage, passed_on)
        stage.check(
            "is released",
            all(call.over for call in phone.calls),
            "The phone that passed the call on stays in it.",
        )


ITEM = Item("transfer", "The phone passes a call on to a third party.", Transfer())
