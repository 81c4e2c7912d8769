"""Scores candidates: on all that was seen, or first on a few conversations that separate them.

The rules of this file:

- In a conversation that the best model does as observed, no other model can be better. So another model is
  compared with it on the remaining conversations first.
- The limit on work counts packets sent through candidates, not seconds. So the same files give the same
  model on every machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from siplab.experiments.learning.candidates import Arrivals, Observed, apart, played
from siplab.lab.gateway.alg import Model

Conversation = tuple[int, str]  # the number of the pair, and the conversation's name in it
_TELLING: Final = 80  # packets, about: the size of the part that is scored first


class Score(NamedTuple):
    """``distance``: how far off the model is; 0 is the same. ``where``: the distance in each conversation.

    ``plain``: everything left as it leaves the other model that it was compared with.
    """

    distance: float
    where: Counter[Conversation]
    plain: bool = False


@dataclass
class Scorer:
    """``most``: packets that may be sent through candidates, in all. ``packets``: sent so far."""

    most: int
    packets: int = field(default=0, init=False)

    @property
    def is_spent(self) -> bool:
        return self.packets >= self.most

    def score(
        self,
        observed: Observed,
        model: Model,
        limit: float = float("inf"),
        other: Sequence[Arrivals] | None = None,
    ) -> Score:
        """How far a model is from what was observed. Stops as soon as the distance is over ``limit``.

        ``other``: what leaves another model, to compare with.
        """
        total, where, plain, at = 0.0, Counter[Conversation](), other is not None, 0
        for number, pair in enumerate(observed.pairs):
            for each in played(observed, model, pair):
                self.packets += 1
                plain = plain and other is not None and each.made == other[at]
                at += 1
                if each.made != each.seen:
                    far = apart(each.made, each.seen)
                    total += far
                    where[number, each.entered.conversation] += far  # type: ignore[assignment]
                    if total > limit:
                        return Score(total, where, plain)
        return Score(total, where, plain)

    def left(self, observed: Observed, model: Model) -> list[Arrivals]:
        """What leaves a router with the model, for each packet that enters."""
        self.packets += sum(len(each.crossings) for each in observed.pairs)
        return [each.made for pair in observed.pairs for each in played(observed, model, pair)]

    def is_as(self, observed: Observed, model: Model, other: Sequence[Arrivals]) -> bool:
        """Whether everything leaves this model as it leaves another one."""
        every = (each.made for pair in observed.pairs for each in played(observed, model, pair))
        for made, wanted in zip(every, other, strict=True):
            self.packets += 1
            if made != wanted:
                return False
        return True


def telling(
    observed: Observed, where: Counter[Conversation], most: int = _TELLING, *, earlier: bool = False
) -> Observed:
    """The observed router, with some of the conversations that a model does otherwise, evenly chosen.

    ``most``: packets in them, about. ``earlier``: add earlier conversations that use the same ports, since
    what the router does may have its cause there. Conversations before those are missing, so even the true
    model may be a little off in them.
    """
    differing = [
        (number, name)
        for number, pair in enumerate(observed.pairs)
        for name in pair.conversations
        if where[number, name]
    ]
    packets = sum(
        (number, each.conversation) in where
        for number, pair in enumerate(observed.pairs)
        for each in pair.crossings
    )
    chosen = differing[:: 1 + packets // most] if len(differing) > 1 else differing
    pairs = []
    for number, pair in enumerate(observed.pairs):
        names = {name for its, name in chosen if its == number}
        if earlier:
            names |= {other for name in names for other in pair.before.get(name, ())}
        if names:
            pairs.append(pair if len(names) == len(pair.conversations) else pair.only(tuple(names)))
    if pairs == list(observed.pairs):
        return observed
    return replace(observed, pairs=tuple(pairs), stands=observed.place)
