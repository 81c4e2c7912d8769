"""Simulated trials per second of CPU time: register and call, both with digest; and a whole scenario."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.alg_models import catalogue
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.server.registrar import Binding
from siplab.lab.wire.ip import Endpoint
from tools.bench.parts import ROUNDS, Part, Row, show, spread


def measure() -> dict[str, Any]:
    """Trials per second of CPU time. Every trial has another seed, so that no result can be reused.

    Measured twice: signalling only, and the whole scenario ``outgoing-call``, in which the far phone
    registers as well, and both send a few RTP packets.
    """
    worker.prepare()
    net = trial.network("home")
    none = catalogue.load().get("none")
    silent = {"media_packets": 0}

    def signalling(seed: int) -> None:
        """Alice registers, calls Bob, who is registered, and hangs up. The server challenges each request."""
        world = trial.simulated(net, {"router": none}, seed)
        stage = Stage(world, Setup({"router": "none"}, phone=silent, far_phone=silent), seed)
        phone, far, server = stage.phone, stage.far_phone, stage.server
        here = Endpoint(server.config.ip, stage.setup.sip_port)
        known = Binding(
            far.contact,
            None,
            here,
            expires_at=3600.0,
            call_id=b"",
            cseq=0,
            source=here,
            natted=False,
            made_at=0.0,
        )
        server.bindings[server.aor("bob")] = [known]
        stage.do(phone, phone.register)
        assert stage.until(lambda: phone.registration.state is RegistrationState.REGISTERED, 5.0)
        stage.do(phone, lambda now: phone.call("bob@lab.test", now))
        assert stage.until(lambda: phone.calls[0].confirmed, 5.0)
        stage.do(phone, phone.hang_up)
        assert stage.until(lambda: far.calls[0].over, 5.0)
        assert not world.close()

    def with_media(seed: int) -> None:
        result, _ = trial.run(TrialSpec("home", "none", "outgoing-call(duration=1)", seed=seed))
        assert result.outcome == "pass", result

    rates: dict[str, Any] = {}
    for name, play in (("signalling", signalling), ("with_media", with_media)):
        per_second = []
        for index in range(ROUNDS):
            began = time.process_time()
            for seed in range(index * 200, index * 200 + 200):
                play(seed)
            per_second.append(200 / (time.process_time() - began))
        rates[name] = spread(per_second)
    return rates


def rows(found: dict[str, Any]) -> Iterator[Row]:
    words = {"signalling": "register + call with digest", "with_media": "outgoing-call, media and all"}
    for name, what in words.items():
        yield Row(f"simulated trials: {what}", show(found[name], "per CPU second"))


PART: Final = Part("simulated", measure, rows)
