"""Says what to send through a router next, to separate models that have done the same so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from siplab.experiments.probe_pack import script as packs
from siplab.experiments.probe_pack.routers import router_of
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.open_loop import play

_MOST: Final = 8  # so many models are compared


def next_probe(tie: Sequence[Model]) -> str | None:
    """The conversation of the probe pack that separates most of these models; ``None``: none does.

    Of many models only the first are compared. The conversations are played in memory, through the router of
    the topology ``home``.
    """
    models = tie[:_MOST]
    if len(models) < 2:
        return None
    make = router_of("home")
    script = packs.script()
    done: dict[str, list[tuple[object, ...]]] = {each.name: [] for each in script.conversations}
    for model in models:
        pair = play(script, make(model))
        rows: dict[str, list[object]] = {name: [] for name in done}
        for each, left in zip(pair.crossings, pair.arrivals, strict=True):
            rows[each.conversation].append(left)
        for name, found in rows.items():
            done[name].append(tuple(found))
    groups = {name: len(set(found)) for name, found in done.items()}
    best = max(groups, key=lambda name: groups[name])
    return best if groups[best] > 1 else None
