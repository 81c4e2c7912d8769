"""What an hour of a call costs: RTP at 50 packets a second in both directions, simulated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec

HOUR = "outgoing-call(duration=3600)"
PACKETS = 2 * 50 * 3600


def media_bench(spread: Callable[[list[float]], dict[str, float]], rounds: int) -> dict[str, Any]:
    """Milliseconds of CPU for the whole trial, by the router's model."""
    results: dict[str, Any] = {}
    for model in ("none", "correct"):
        times = []
        for _ in range(rounds):
            began = time.process_time()
            result, _ = trial.run(TrialSpec("home", model, HOUR))
            times.append(1000 * (time.process_time() - began))
        heard = sum(stream.received for stream in result.media)
        if heard < PACKETS:
            raise SystemExit(f"bench: {heard} of {PACKETS} packets of an hour were heard")
        results[model] = spread(times)
    return results
