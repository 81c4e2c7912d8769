"""Says that there is no ALG, whatever it sees."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.detectors.wrong._exchange import ask
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage


@dataclass(frozen=True)
class AlwaysClean:
    def run(self, stage: Stage) -> Finding:
        ask(stage)
        return Finding("clean")


ITEM = Item("always-clean", "Wrong on purpose: acquits every router.", AlwaysClean())
