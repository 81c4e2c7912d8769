"""What a call costs, in CPU time, among 10 and among 200 simultaneous calls behind one router."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.alg_models import catalogue
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.phone.phone import Phone, PhoneConfig
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.wire.ip import Endpoint
from tools.bench.parts import Part, Row

CALLS: Final = (10, 100, 200)
_DOMAIN: Final = "lab.test"


def measure() -> dict[str, Any]:
    """Milliseconds of CPU per call, by the number of phones that talk at the same time for ten seconds."""
    worker.prepare()
    office(CALLS[0])  # fill caches
    costs = {}
    for calls in CALLS:
        began = time.process_time()
        office(calls)
        costs[calls] = (time.process_time() - began) / calls * 1e3
    return {
        "ms_per_call": {str(calls): round(cost, 2) for calls, cost in costs.items()},
        "times_the_fewest": round(costs[CALLS[-1]] / costs[CALLS[0]], 2),
    }


def office(calls: int, seconds: float = 10.0) -> None:
    """``calls`` phones register, each calls another phone outside, they talk for ``seconds``, and hang up.

    The calls begin one after the other within a second. Raises ``RuntimeError`` if one fails.
    """
    net = trial.network("home")
    world = trial.simulated(net, {"router": catalogue.load().get("none")}, calls)
    stage = Stage(world, Setup({"router": "none"}), calls)
    users = {f"{side}{number}": "secret" for side in ("in", "out") for number in range(calls)}
    stage.with_server(users=users, relay_when="never")
    server = Endpoint(stage.server.config.ip, 5060)

    def phone(role: str, user: str, number: int) -> Phone:
        host, address = stage.host(role)
        config = PhoneConfig(
            user=user,
            domain=_DOMAIN,
            password="secret",  # noqa: S106 - of a phone in the lab
            ip=address,
            server=server,
            sip_port=6000 + 2 * number,
            rtp_port=20000 + 4 * number,
        )
        made = Phone(config, stage.rng(user))
        world.add(host, made)
        return made

    inside = [phone("phone", f"in{number}", number) for number in range(calls)]
    outside = [phone("far-phone", f"out{number}", number) for number in range(calls)]
    for each in (*inside, *outside):
        stage.do(each, each.register)
    if not stage.until(
        lambda: (
            outside[-1].registration.state is inside[-1].registration.state is RegistrationState.REGISTERED
        ),
        30.0,
    ):
        raise RuntimeError("not all phones could register")
    for number, each in enumerate(inside):
        stage.do(each, lambda now, each=each, number=number: each.call(f"out{number}@{_DOMAIN}", now))  # type: ignore[misc]
        stage.idle(1.0 / calls)
    stage.idle(5.0)
    if not all(each.calls[0].confirmed for each in inside):
        raise RuntimeError("not all calls were answered")
    stage.idle(seconds)
    for each in inside:
        stage.do(each, each.hang_up)
    stage.idle(1.0)
    if not all(each.calls[0].over for each in outside):
        raise RuntimeError("not all calls ended")


def rows(found: dict[str, Any]) -> Iterator[Row]:
    few, *_, many = found["ms_per_call"]
    yield Row(
        f"a call among {many} at once",
        f"{found['ms_per_call'][many]} ms CPU",
        f"{found['times_the_fewest']} x one among {few}",
    )


PART: Final = Part("office", measure, rows)
