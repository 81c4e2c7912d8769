"""The phone behind the router makes a conference of two calls: each party hears the other two.

Each party says a tone of its own, and what the others hear is looked through for these tones.
"""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.call_checks import Talk, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import TONES, Stage, pure_tone
from siplab.lab.media.audio import strength
from siplab.lab.phone import conference
from siplab.lab.phone.call import Call
from siplab.lab.wire import g711


@dataclass(frozen=True)
class Conference:
    """Three parties, the phone in the middle."""

    def run(self, stage: Stage) -> None:
        stage.says = pure_tone
        stage.with_phone(lines=2)
        phone, far = sign_in(stage, stage.third_phone)
        third = stage.third_phone
        first = connect(stage, caller=phone, callee=far, target="bob@lab.test", name="first call ")
        if first is None:
            return
        second = connect(stage, caller=phone, callee=third, target="dave@lab.test", name="second call ")
        if second is None:
            return
        stage.idle(1.0)
        conference.join([first.outgoing, second.outgoing])
        stage.idle(0.2)
        begin = stage.now
        stage.idle(0.5)
        self._hears(stage, first, "first party", begin, ("alice", "dave"))
        self._hears(stage, second, "second party", begin, ("alice", "bob"))
        conference.part([first.outgoing, second.outgoing])
        for talk, name in ((first, "first call"), (second, "second call")):
            hang_up(stage, talk, name=f"{name} hangs up")

    def _hears(self, stage: Stage, talk: Talk, who: str, begin: float, whom: tuple[str, ...]) -> None:
        samples = _samples(talk.incoming, begin, stage.now)
        found = [user for user, frequency in TONES.items() if strength(samples, frequency) > 0.1]
        stage.check(
            f"{who} hears both others",
            set(whom) <= set(found),
            "In a conference somebody is not heard by everybody.",
            f"hears {' and '.join(found) or 'nobody'}",
            "media",
        )


def _samples(call: Call, begin: float, end: float) -> list[int]:
    return g711.decode(b"".join(call.heard["audio"].sound(begin, end)))


ITEM = Item("conference", "The phone joins two calls; everybody hears everybody.", Conference())
