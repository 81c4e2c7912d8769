"""Learns a model of an observed router: first the NAT, then from the catalogue, then rules for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from siplab.experiments.learning.candidates import Agreement, Observed, agreement, played
from siplab.experiments.learning.nat_settings import likely
from siplab.experiments.learning.rules import Example, Flow, RuleLearner, Rules
from siplab.experiments.learning.search import MOST, Found, search
from siplab.lab.gateway.alg import Card, Evidence, Model, Recipe, Source
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.worlds.pair import Pair
from siplab.lab.worlds.trace import looks_like_sip

_HICCUPS: Final = 60  # in so many messages, one difference is tolerated and no rules are learnt


@dataclass(frozen=True)
class Learnt:
    """A model of an observed router.

    ``found``: what the search of the catalogue found. ``rules``: what the router does besides; ``None``:
    nothing, or rules explain no more. ``model``: both together. ``agreement``: with the observations that it
    was learnt from. ``held_out``: agreement with conversations that it was not learnt from; ``None``: there
    was only one conversation, or this was not asked for.
    """

    observed: Observed
    found: Found
    rules: Rules | None
    model: Model
    agreement: Agreement
    held_out: Agreement | None

    @property
    def is_clean(self) -> bool:
        """Whether it is a router that does nothing to SIP."""
        return self.model.id == "none"


def learn(pairs: Sequence[Pair], *, depth: int = 3, held_out: bool = True) -> Learnt:
    """Learn a model. ``depth``: at most so many faults in one router.

    ``held_out``: also measure agreement on conversations that are kept out of the learning.
    """
    observed, *others = likely(Observed(tuple(pairs)))
    found = search(observed, depth=depth)
    for other in others if found.distance else ():
        again = search(other, depth=depth)
        if again.distance <= found.distance / 2:
            observed, found = other, again
    rules, model = _learnt(observed, found)
    unseen = None
    halves = _halves(pairs) if held_out else None
    if halves is not None:
        half = replace(observed, pairs=halves[0])
        trained = _learnt(half, search(half, depth=depth, most=MOST // 2, unshown=False))[1]
        unseen = agreement(replace(observed, pairs=halves[1]), trained, halves[2])
    return Learnt(observed, found, rules, model, agreement(observed, model), unseen)


def _halves(
    pairs: Sequence[Pair],
) -> tuple[tuple[Pair, ...], tuple[Pair, ...], frozenset[str] | None] | None:
    """The pairs to learn from, the pairs to send, and which conversations count; ``None``: there is only one.

    A whole pair is sent, because what a router does to a conversation depends on earlier mappings.
    """
    if len(pairs) > 1:
        half = (len(pairs) + 1) // 2
        return tuple(pairs[:half]), tuple(pairs[half:]), None
    (pair,) = pairs
    names = pair.conversations
    return ((pair.only(names[::2]),), (pair,), frozenset(names[1::2])) if len(names) > 1 else None


def _learnt(observed: Observed, found: Found) -> tuple[Rules | None, Model]:
    """The rules for what no model of the catalogue explains, and the model with them."""
    known = agreement(observed, found.model)
    if (known.total - known.equal) * _HICCUPS <= known.total:
        return None, found.model
    rules = _rules(observed, found.model)
    model = with_rules(found.model, rules)
    if agreement(observed, model).equal <= known.equal:
        return None, found.model
    return rules, model


def with_rules(base: Model, rules: Rules) -> Model:
    """A model that does what another one does, and then what rules say."""
    recipe = Recipe((*base.steps, rules), policy=base.recipe.policy, nat=base.recipe.nat)
    source = Source("learnt from captures by siplab learn", Evidence.CAPTURE)
    card = Card(summary="Learnt from captures.", kind="combination", sources=(source,))
    return Model(f"{base.id}+rules", card, recipe)


def _rules(observed: Observed, base: Model) -> Rules:
    """Rules for what the base model leaves unexplained. They turn its output into what was seen."""
    learner = RuleLearner()
    for pair in observed.pairs:
        for example in _examples(observed, base, pair):
            learner.see(example)
    return learner.rules()


def _examples(observed: Observed, base: Model, pair: Pair) -> Iterator[Example]:
    flows: dict[Endpoint, Endpoint] = {}  # public to inside
    for each, left, of_base in played(observed, base, pair):
        try:
            packet = ip.parse(each.packet)
        except MalformedPacketError:
            continue
        if packet.protocol != ip.UDP or not looks_like_sip(packet.payload):
            continue
        made = next((one.payload for one in of_base if one.side is not each.side), None)
        seen = next((one for one in left if one.side is not each.side), None)
        outbound = each.side is Side.INSIDE
        if outbound and seen is not None:
            flows[seen.source] = packet.source
        if outbound:
            public = next((key for key, value in flows.items() if value == packet.source), packet.source)
            flow = Flow(packet.source, public, packet.destination)
        elif packet.destination in flows:
            flow = Flow(flows[packet.destination], packet.destination, packet.source)
        else:
            continue
        if made is not None:
            yield Example(outbound, made, seen.payload if seen is not None else None, flow)
