"""What ``--out`` keeps of each trial: trace and capture, and in its result why checks failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siplab.experiments.explain import explained
from siplab.experiments.output import files
from siplab.experiments.output.side_captures import Media
from siplab.experiments.trial.recording import Audio
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.run import network_of
from siplab.lab.worlds.trace import Trace


@dataclass(frozen=True)
class ExplainedFolder:
    """A ``siplab.experiments.trial.worker.Store``."""

    folder: Path
    audio: Audio = "changes"
    media: Media = "carried"
    proven: bool = False  # many trials are told of from their traces: proofs take many more runs

    def keep(self, result: TrialResult, trace: Trace) -> None:
        told = explained(result, trace, proven=self.proven)
        files.write_trial(self.folder, told, trace, network_of(result.spec), self.media)
