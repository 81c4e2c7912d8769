"""What a SIP message costs in every model of the catalogue, compared with ``correct``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.alg_models import catalogue, samples
from tools.bench.parts import ROUNDS, Part, Row


def measure() -> dict[str, Any]:
    """Microseconds of CPU per SIP message through each model's gateway, and through ``correct``."""
    chosen = {
        name: samples.all_samples()[name] for name in ("register", "register-ok", "invite", "invite-ok")
    }
    known = catalogue.load()

    def cost(spec: str) -> float:
        rounds = []
        for _ in range(ROUNDS):
            spent = 0.0
            for sample in chosen.values():
                gateway = samples.gateway_for(known.get(spec))
                for packet in sample.packets:
                    gateway.handle(packet.data, packet.side, packet.at)
                last = sample.packets[-1]
                began = time.process_time()
                for _ in range(200):
                    gateway.handle(last.data, last.side, last.at)
                spent += time.process_time() - began
            rounds.append(spent / (200 * len(chosen)) * 1e6)
        return statistics.median(rounds)

    base = cost("correct")
    costs = {model.id: cost(model.id) for model in known}
    dearest = max(costs, key=lambda name: costs[name])
    return {
        "correct_us": round(base, 2),
        "dearest": dearest,
        "dearest_us": round(costs[dearest], 2),
        "times_correct": round(costs[dearest] / base, 2),
        "us_per_message": {name: round(value, 2) for name, value in costs.items()},
    }


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        f"a message through the dearest model, {found['dearest']}",
        f"{found['dearest_us']} us CPU",
        f"{found['times_correct']} x correct ({found['correct_us']} us)",
    )


PART: Final = Part("models", measure, rows)
