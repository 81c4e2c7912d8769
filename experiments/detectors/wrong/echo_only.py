"""Compares a request with its plain echo: it does not see an ALG that restores it on the way back."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.detectors.wrong._exchange import ask
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.wire.compare import differences


@dataclass(frozen=True)
class EchoOnly:
    def run(self, stage: Stage) -> Finding:
        asker = ask(stage)
        if asker.answer is None:
            return Finding("undecided", detail="no echo")
        changed = differences(asker.request, asker.answer)
        return Finding("alg", tuple(changed)) if changed else Finding("clean")


ITEM = Item("echo-only", "Wrong on purpose: compares a request with its plain echo.", EchoOnly())
