"""What a trial costs that users run: a random sweep, and many calls at once, in CPU time.

The bench's headline: 300 seeded trials over models, scenarios, topologies and remedies, with the default
endpoints. Beside it the share of trials that are not run because they come out alike, on a matrix of models;
and what a call costs among 10 and among 500 in one lab.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import Any, Final

from siplab import topologies
from siplab.alg_models import catalogue
from siplab.experiments.trial import registry, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.errors import UsageError
from siplab.lab.phone.phone import Phone, PhoneConfig
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.wire.ip import Endpoint

TRIALS: Final = 300
CALLS: Final = (10, 100, 200)
_DOMAIN: Final = "lab.test"


def specs(count: int = TRIALS) -> list[TrialSpec]:
    """The sweep, the same each time for the same catalogue."""
    rng = random.Random("sweep")
    models = [model.id for model in catalogue.load().runnable()]
    scenarios = [each.id for each in registry.scenarios()]
    remedies = [each.id for each in registry.mitigations()]
    found: list[TrialSpec] = []
    while len(found) < count:
        chosen = tuple(rng.sample(remedies, rng.choice((0, 0, 1, 2))))
        spec = TrialSpec(
            rng.choice(topologies.available()),
            rng.choice(models),
            rng.choice(scenarios),
            mitigations=chosen,
            seed=rng.randrange(10**6),
        )
        try:
            trial.check_spec(spec)
        except UsageError:  # a network without a router for the model, or the remedy
            continue
        found.append(spec)
    return found


def sweep_bench() -> dict[str, Any]:
    """Milliseconds of CPU per trial of the sweep; the first ones, which read files and make speech, not."""
    worker.prepare()
    chosen = specs()
    for spec in chosen[:20]:
        trial.run(spec)
    times = []
    for spec in chosen:
        began = time.process_time()
        trial.run(spec)
        times.append((time.process_time() - began) * 1e3)
    dearest = max(range(len(times)), key=lambda at: times[at])
    return {
        "trials": len(times),
        "mean_ms": round(statistics.mean(times), 2),
        "median_ms": round(statistics.median(times), 2),
        "dearest_ms": round(times[dearest], 1),
        "dearest": chosen[dearest].name,
        "mean_ms_without_the_dearest_tenth": round(statistics.mean(sorted(times)[: len(times) * 9 // 10]), 2),
    }


def sharing_bench(every: int = 4) -> dict[str, Any]:
    """A matrix of models by scenarios, shared and not: CPU seconds, and the share that was not run."""
    worker.prepare()
    models = [model.id for model in catalogue.load().runnable()][::every]
    scenarios = [each.id for each in registry.scenarios()]
    chosen = [TrialSpec("home", model, scenario) for scenario in scenarios for model in models]
    sharing = Sharing()
    spent = {"alone": 0.0, "shared": 0.0}
    for spec in chosen:  # in turn, so that a busy moment hits both alike
        began = time.process_time()
        trial.run(spec)
        between = time.process_time()
        sharing.run(spec)
        spent["alone"] += between - began
        spent["shared"] += time.process_time() - between
    return {
        "models": len(models),
        "trials": len(chosen),
        "not_run": round(sharing.shared / len(chosen), 3),
        "alone_s": round(spent["alone"], 2),
        "shared_s": round(spent["shared"], 2),
        "times_faster": round(spent["alone"] / spent["shared"], 2),
    }


def office_bench() -> dict[str, Any]:
    """Milliseconds of CPU per call, of so many phones behind one router that talk at once for ten seconds."""
    worker.prepare()
    office(CALLS[0])  # what is read and made once
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
    """``calls`` phones register, each calls another one outside, they talk, and hang up.

    They begin one behind the other within a second. Raises ``RuntimeError`` when one can't.
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
