"""What a scenario of months costs."""

from __future__ import annotations

import pytest

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec

MOST = 20_000  # lines of the trace; with a phone that is left on they are millions


@pytest.mark.parametrize("remedy", ["stun", "tunnel", "turn"])
def test_months_are_not_played_packet_by_packet_where_bindings_are_kept_alive(remedy: str) -> None:
    result, trace = trial.run(TrialSpec(model="none", scenario="long-uptime", mitigations=(remedy,)))
    assert all(check.passed for check in result.checks), result.checks
    assert trace is not None
    assert len(trace.records) < MOST
