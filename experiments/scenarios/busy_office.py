"""Many phones behind one router: all register, some call out at the same time, talk, and hang up.

Each phone has ports of its own on the phone's host, and each that calls has somebody of its own to call. It
is about numbers: ports that a NAT runs out of, tables of an ALG that are too small, and what a call costs the
lab among many others. ``busy-office(phones=1000,calls=500)`` is the most.

It is left out where "all" scenarios are played: name it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from annotated_types import Ge, Le

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import DOMAIN, MANY_PASSWORD, PASSWORDS, Stage
from siplab.lab.phone.phone import Phone
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.sip.base import Action

_PATIENCE: Final = 32.0  # seconds: Timer B of RFC 3261 section 17.1.1.2
_MOMENTS: Final = 100  # each costs the lab a look at everybody
_SETTLING: Final = 1.0  # seconds at either end of a call in which it need not be heard


@dataclass(frozen=True)
class BusyOffice:
    """``phones`` behind the router; the first ``calls`` of them call at once, for ``duration`` seconds."""

    phones: Annotated[int, Ge(1), Le(1000)] = 50
    calls: Annotated[int, Ge(1), Le(500)] = 25
    duration: Annotated[float, Ge(4)] = 10.0

    def run(self, stage: Stage) -> None:
        calls = min(self.calls, self.phones)
        names = [f"phone-{number}" for number in range(self.phones)]
        names += [f"far-phone-{number}" for number in range(calls)]
        stage.with_server(users={**PASSWORDS, **dict.fromkeys(names, MANY_PASSWORD)})
        inside = [stage.one_of_many("phone", number) for number in range(self.phones)]
        outside = [stage.one_of_many("far-phone", number) for number in range(calls)]
        _spread(stage, 2.0, [(each, each.register) for each in (*outside, *inside)])
        _all(
            stage,
            "all are registered",
            inside,
            lambda phone: phone.registration.state is RegistrationState.REGISTERED,
            "Some phones of the office are not registered: they can neither call nor be called.",
        )
        callers = inside[:calls]
        _spread(stage, 1.0, [(each, partial(_call, each, number)) for number, each in enumerate(callers)])
        _all(
            stage,
            "all calls are answered",
            callers,
            lambda phone: phone.calls[0].confirmed,
            "Some calls of the office do not come about.",
        )
        begin = stage.now + _SETTLING
        stage.idle(self.duration)
        for who, ends in (("callers", callers), ("callees", outside)):
            deaf = [each for each in ends if not _hears(each, begin, stage.now)]
            stage.check(
                f"all {who} hear",
                not deaf,
                f"One-way audio: some {who} hear nothing, or gaps.",
                f"{len(ends) - len(deaf)} of {len(ends)}",
                "media",
            )
        for each in callers:
            stage.do(each, each.hang_up)
        _all(
            stage,
            "all calls end",
            [each for each in outside if each.calls],
            lambda phone: phone.calls[0].over,
            "Some calls of the office stay up when one side has hung up.",
        )


def _spread(
    stage: Stage, seconds: float, deeds: Sequence[tuple[Phone, Callable[[float], list[Action]]]]
) -> None:
    """Have phones do something, not all at the same moment: over so many seconds, at ``_MOMENTS`` at most."""
    together = math.ceil(len(deeds) / _MOMENTS)
    for number, (phone, deed) in enumerate(deeds, 1):
        stage.do(phone, deed)
        if number % together == 0:
            stage.idle(seconds * together / len(deeds))


def _call(phone: Phone, number: int, now: float) -> list[Action]:
    return phone.call(f"far-phone-{number}@{DOMAIN}", now)


def _hears(phone: Phone, begin: float, end: float) -> bool:
    heard = [call.heard["audio"] for call in phone.calls[:1]]
    return bool(heard) and bool(heard[0].between(begin, end)) and not heard[0].silences(begin, end)


def _all(stage: Stage, name: str, phones: list[Phone], done: Callable[[Phone], bool], symptom: str) -> None:
    """A check that each of the phones comes to something in time."""
    waiting = list(phones)

    def there() -> bool:
        while waiting and done(waiting[-1]):  # from the back, so that nobody is asked twice
            waiting.pop()
        return not waiting

    if not stage.until(there, _PATIENCE):
        waiting = [each for each in phones if not done(each)]
    stage.check(name, not waiting, symptom, f"{len(phones) - len(waiting)} of {len(phones)}")


ITEM = Item(
    "busy-office",
    "Many phones behind one router register, call at the same time, talk, and hang up.",
    BusyOffice(),
    only_by_name=True,
)
