"""Says that there is an ALG, whatever it sees."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.detectors.wrong._exchange import ask
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage


@dataclass(frozen=True)
class AlwaysAlg:
    def run(self, stage: Stage) -> Finding:
        ask(stage)
        return Finding("alg")


ITEM = Item("always-alg", "Wrong on purpose: accuses every router.", AlwaysAlg())
