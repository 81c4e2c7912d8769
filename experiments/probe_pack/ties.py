"""Finds the models that do the same to a pair's packets, called a tie.

Every model gets the packets that entered the router. What leaves the model is compared with what left the
router. These packets can't tell two models of one tie apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.worlds.open_loop import Script, play
from siplab.lab.worlds.pair import Pair, arrivals
from siplab.lab.worlds.replaying import replayed

MakeGateway = Callable[[Model], Gateway]


@dataclass(frozen=True)
class Tie:
    """``models``: those that differ from what was seen in the fewest packets; ``differing``: how many.

    ``of``: packets that were compared.
    """

    models: tuple[Model, ...]
    differing: int
    of: int

    @property
    def exact(self) -> bool:
        """Whether the models reproduce all that was seen."""
        return not self.differing


def tie(seen: Pair, models: Iterable[Model], make_gateway: MakeGateway) -> Tie:
    """The models that reproduce what was seen, or come nearest. ``make_gateway``: makes a fresh router."""
    best: list[Model] = []
    fewest = len(seen.crossings) + 1
    for model in models:
        differing = 0
        for made, left in zip(replayed(seen, make_gateway(model)), seen.arrivals, strict=True):
            differing += arrivals(made, whole=seen.whole) != left
            if differing > fewest:
                break  # it is not among the best
        if differing < fewest:
            best, fewest = [], differing
        if differing == fewest:
            best.append(model)
    return Tie(tuple(best), fewest, len(seen.crossings))


def classes(script: Script, models: Iterable[Model], make_gateway: MakeGateway) -> list[tuple[Model, ...]]:
    """Groups of models that a script can't tell apart, in the order of their first members."""
    groups: dict[int, list[Model]] = {}
    for model in models:
        made = play(script, make_gateway(model))
        key = hash((tuple(each.packet for each in made.crossings), made.arrivals))
        groups.setdefault(key, []).append(model)
    return [tuple(each) for each in groups.values()]
