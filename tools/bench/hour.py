"""What an hour of a simulated call costs, with RTP at 50 packets a second in both directions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from tools.bench.parts import ROUNDS, Part, Row, show, spread

HOUR: Final = "outgoing-call(duration=3600)"
PACKETS: Final = 2 * 50 * 3600


def measure() -> dict[str, Any]:
    """Milliseconds of CPU for the whole trial, by the router's model."""
    results: dict[str, Any] = {}
    for model in ("none", "correct"):
        times = []
        for _ in range(ROUNDS):
            began = time.process_time()
            result, _ = trial.run(TrialSpec("home", model, HOUR))
            times.append(1000 * (time.process_time() - began))
        heard = sum(stream.received for stream in result.media)
        if heard < PACKETS:
            raise SystemExit(f"bench: {heard} of {PACKETS} packets of an hour were heard")
        results[model] = spread(times)
    return results


def rows(found: dict[str, Any]) -> Iterator[Row]:
    for model, costs in found.items():
        yield Row(
            f"an hour of a call, simulated, model {model}", show(costs, "ms CPU"), f"{PACKETS:,} RTP packets"
        )


PART: Final = Part("hour", measure, rows)
