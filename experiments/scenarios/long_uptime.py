"""A router runs for months. Every few days somebody switches the phone on, calls, is called, switches it off.

The phone is off in between: nothing is sent, not even to keep a binding alive, so a month costs as much as a
day. What wears out, or fills up with every call, shows after a while, and nothing but a restart of the router
would make it good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Gt, Le

from siplab.experiments.scenarios.call_checks import PATIENCE
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.counting import number_of
from siplab.lab.phone.call import CallState, Direction
from siplab.lab.phone.phone import Phone
from siplab.lab.phone.registration import RegistrationState

_DAY: Final = 86400.0  # seconds
_SETTLED: Final = (RegistrationState.REGISTERED, RegistrationState.FAILED)
_SYMPTOM: Final = "It worked for days, and does not any more until the router is restarted."


@dataclass(frozen=True)
class LongUptime:
    """``days`` that the router runs; ``every``: how many lie between two uses of the phone."""

    days: Annotated[float, Gt(0), Le(3660)] = 60.0
    every: Annotated[float, Gt(0.1)] = 10.0

    def run(self, stage: Stage) -> None:
        phone, far = stage.phone, stage.far_phone
        failed: dict[str, list[float]] = {"registers": [], "calls": [], "is called": []}
        uses = 0
        while (day := uses * self.every) <= self.days:
            stage.idle(max(0.0, day * _DAY - stage.now))
            if uses:
                phone = stage.place(stage.host("phone")[0], phone.config, f"alice on day {day:g}")
            worked = {
                "registers": _register(stage, far) & _register(stage, phone),
                "calls": _call(stage, phone, far, "bob@lab.test"),
                "is called": _call(stage, far, phone, "alice@lab.test"),
            }
            for what, well in worked.items():
                failed[what] += [] if well else [day]
            for each in (phone, far):
                stage.do(each, each.unregister)
            stage.idle(PATIENCE)
            stage.world.remove(phone)
            uses += 1
        for what, days in failed.items():
            first = f"not on day {days[0]:g}, and {len(days)} of {uses} times in all" if days else ""
            stage.check(f"{what} every time", not days, _SYMPTOM, first or number_of(uses, "time"))


def _register(stage: Stage, phone: Phone) -> bool:
    """Whether a phone is registered now, having been signed off for days."""
    stage.do(phone, phone.register)
    stage.until(lambda: phone.registration.state in _SETTLED, PATIENCE)
    return phone.registration.state is RegistrationState.REGISTERED


def _call(stage: Stage, caller: Phone, callee: Phone, target: str) -> bool:
    """Whether a call is answered and can be ended."""
    before = len(callee.calls)
    stage.do(caller, lambda now: caller.call(target, now))
    call = caller.calls[-1]
    stage.until(lambda: call.over or call.state is CallState.ESTABLISHED, PATIENCE)
    up = call.state is CallState.ESTABLISHED
    rang = any(each.direction is Direction.INCOMING for each in callee.calls[before:])
    stage.idle(1.0)
    stage.do(caller, lambda now: caller.hang_up(now, call))
    stage.until(lambda: call.over and all(each.over for each in callee.calls), PATIENCE)
    return up and rang


ITEM = Item(
    "long-uptime", "The router runs for two months, and the phone is used every ten days.", LongUptime()
)
