"""A call with encrypted media: SRTP, with keys in the description (RFC 4568)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class SrtpCall:
    """Both phones take encrypted media only. ``package``: what must be installed for it."""

    package: ClassVar[str] = "cryptography"

    def run(self, stage: Stage) -> None:
        for settings in (stage.with_phone, stage.with_far_phone):
            settings(srtp=True)
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        both_hear(stage, talk)
        hang_up(stage, talk)


ITEM = Item("srtp-call", "A call whose sound is encrypted.", SrtpCall())
