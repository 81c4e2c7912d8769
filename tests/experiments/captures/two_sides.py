"""What captures on both sides of the lab's router would hold."""

from __future__ import annotations

from siplab.experiments.captures import Datagram
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.trace import Trace

AHEAD = 123.4
"""Seconds by which the outer capture's clock is ahead."""


def trace_of(model: str, scenario: str, phone: str = "", server: str = "", seed: int = 1) -> Trace:
    return trial.run(TrialSpec("home", model, scenario=scenario, phone=phone, server=server, seed=seed))[1]


def sides(trace: Trace) -> tuple[list[Datagram], list[Datagram]]:
    """The SIP inside and outside, over UDP and TCP."""
    found = [
        [
            Datagram(each.now + ahead, tap, each.source, each.destination, each.payload)
            for each in trace.sip()
            if each.tap == tap
        ]
        for tap, ahead in (("router/inside", 0.0), ("router/outside", AHEAD))
    ]
    return found[0], found[1]
