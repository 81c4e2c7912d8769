"""Processes for trials: what becomes of the others when one dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from siplab.experiments.trial.process import TrialProcess
from siplab.experiments.trial.processes import side_by_side
from siplab.experiments.trial.spec import TrialSpec


def test_a_process_that_dies_between_two_trials_is_replaced() -> None:
    specs = [TrialSpec("home", "none", "register", seed=seed) for seed in range(1, 4)]
    opened: list[TrialProcess] = []

    def open_one() -> TrialProcess:
        opened.append(TrialProcess())
        return opened[-1]

    running = side_by_side(specs, open_one, "simulated", jobs=1, store=None, limit=60)
    results = [next(running)[1]]
    os.kill(opened[0].worker, signal.SIGKILL)
    os.waitid(os.P_PID, opened[0].worker, os.WEXITED | os.WNOWAIT)
    results += [result for _, result in running]
    assert [each.outcome for each in results] == ["pass"] * 3
    assert len(opened) == 2
    assert not Path(f"/proc/{opened[1].worker}").exists()
