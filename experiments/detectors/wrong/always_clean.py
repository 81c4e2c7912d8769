"""Says that there is no ALG, whatever it sees."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.detectors.wrong._exchange import ask
from experiments.registry import Item
from experiments.stage import Finding, Stage


@dataclass(frozen=True)
class AlwaysClean:
    def run(self, stage: Stage) -> Finding:
        ask(stage)
        return Finding("clean")


ITEM = Item("always-clean", "Wrong on purpose: acquits every router.", AlwaysClean())
