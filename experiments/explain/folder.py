"""What ``--out`` keeps of each trial: its trace and, if everything is wanted, captures and explanations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from siplab.experiments.explain import explained
from siplab.experiments.output import files
from siplab.experiments.output.side_captures import Media
from siplab.experiments.trial.recording import Audio
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.run import network_of
from siplab.lab.worlds.trace import Trace

Traces = Literal["none", "failed", "all"]


@dataclass(frozen=True)
class ExplainedFolder:
    """A ``siplab.experiments.trial.worker.Store``.

    ``traces``: of which trials files are kept. ``all``: of each one trace, captures and sound, and in its
    result why checks failed. ``failed``: only the packed traces of scenarios that did not pass, of detectors'
    trials, and of trials that can't be run again. From such a trace captures can be made (``siplab pcap``),
    and failed checks can be explained (``siplab explain``), which takes several times as long as the trial.
    """

    folder: Path
    sounds: Audio = "changes"
    media: Media = "carried"
    proven: bool = False  # many trials are explained from their traces only: proofs need many more runs
    traces: Traces = "all"

    @property
    def audio(self) -> Audio | None:
        return self.sounds if self.traces == "all" else None

    def keep(self, result: TrialResult, trace: Trace) -> None:
        if self.traces == "all":
            told = explained(result, trace, proven=self.proven)
            files.write_trial(self.folder, told, trace, network_of(result.spec), self.media)
        elif self.traces == "failed" and (
            result.outcome not in ("pass", "not applicable")
            or result.spec.by_wall_clock
            or result.spec.gateway == "kernel"
        ):
            files.write_trace(self.folder, result, trace, packed=True)
