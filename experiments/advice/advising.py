"""Finds the smallest sets of mitigations that restore what a router breaks. Each set that is offered was run.

The rules of this file:

- The goal is what works on that network without an ALG, or with a correct one, with the same endpoints.
- A mitigation is tried alone first, in one scenario for each check that fails first. Sets consist of those
  that help in any of them. No set is offered without having been run in all scenarios: in those that fail,
  and in those that work without it, which it may break.
- If a mitigation's trials are not deterministic, its stand-in is tried instead.
- Mitigations are grouped by who has to act. A set of a group requires nothing from anybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from siplab.alg_models import vendors
from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError

CONTROLS: Final = ("none", "correct")
# Who acts. The group for which this is easiest comes first. A set may require all of a group, and nobody
# else.
GROUPS: Final = {
    "phone": frozenset({Actor.PHONE}),
    "provider": frozenset({Actor.PROVIDER}),
    "router": frozenset({Actor.ROUTER}),
    "phone and provider": frozenset({Actor.PHONE, Actor.PROVIDER}),
    "phone and router": frozenset({Actor.PHONE, Actor.ROUTER}),
    "everybody, and what is to be bought": frozenset(Actor),
}
_MOST: Final = 3  # mitigations in a set, at most
_TRIED: Final = 3  # sets of a group that are run

Runner = Callable[[Sequence[TrialSpec]], Sequence[TrialResult]]


@dataclass(frozen=True)
class Offer:
    """A set of mitigations that was run: the scenarios that it restores, and those that it breaks."""

    remedies: tuple[str, ...]
    cures: tuple[str, ...]
    breaks: tuple[str, ...]

    @property
    def worth(self) -> tuple[int, int]:
        """For comparing: how much works with it, then how few mitigations it has."""
        return len(self.cures) - len(self.breaks), -len(self.remedies)


@dataclass(frozen=True)
class Advice:
    """What helps against a router.

    ``wanted``: the scenarios that should work; ``broken``: those that do not, with the check that fails
    first. ``offers``: the best set of each group, unless a smaller group's set is as good. ``refused``:
    mitigations that the router's card rules out, with the reason.
    """

    spec: TrialSpec
    wanted: tuple[str, ...]
    broken: dict[str, str]
    offers: dict[str, Offer]
    refused: dict[str, str]


def simulated(specs: Sequence[TrialSpec], jobs: int = 1) -> Sequence[TrialResult]:
    """Run trials in the simulated world."""
    return runner.run_all(specs, world="simulated", jobs=jobs, share=False)


def advise(base: TrialSpec, words: Sequence[str] = (), run: Runner = simulated) -> Advice:
    """What helps against a router, with the topology, model and endpoints of ``base``.

    ``words``: consider only failures whose scenario or symptom contains one of them. Raises ``UsageError``
    for unknown names, if no such failure occurs, if nothing works without a fault either, and for a router
    whose behaviour is unknown.
    """
    trial.check_spec(base)
    run = _remembering(run)  # groups overlap, so trials repeat
    scenarios = [each.id for each in registry.scenarios()]
    specs = {
        (model, each): replace(base, model=model, scenario=each) for model in CONTROLS for each in scenarios
    }
    controls = _passed(run, specs)
    wanted = tuple(each for each in scenarios if any(controls.get((model, each)) for model in CONTROLS))
    if not wanted:
        raise UsageError("no scenario works with that network, phone and server where there is no fault")
    with_alg = dict(zip(wanted, run([replace(base, scenario=each) for each in wanted]), strict=True))
    for result in with_alg.values():
        if result.unknown:
            raise UsageError(f"nothing can be advised: {'; '.join(result.notes)}")
    broken = {
        name: result.first_failure.name if result.first_failure else "invalid"
        for name, result in with_alg.items()
        if result.outcome in ("fail", "error")
    }
    if words:
        broken = {name: check for name, check in broken.items() if _is_meant(with_alg[name], name, words)}
        if not broken:
            raise UsageError(
                f"nothing fails with model '{base.model}' that has to do with: {', '.join(words)}"
            )
    refused = refused_by_card(base.model)
    if not broken:
        return Advice(base, wanted, broken, {}, refused)
    asked = {check: name for name, check in reversed(broken.items())}  # the first scenario with each check
    singles = _singles(base, sorted(asked.values()), refused, run)
    works = [each for each in wanted if with_alg[each].outcome == "pass"]
    offers: dict[str, Offer] = {}
    for group, actors in GROUPS.items():
        able = {remedy: cured for remedy, cured in singles.items() if _actors(remedy) <= actors}
        smaller = [offer for name, offer in offers.items() if GROUPS[name] < actors]
        if any(len(each.cures) == len(broken) and not each.breaks for each in smaller):
            continue  # a larger group need not act
        best = _best(base, able, tuple(broken), works, run)
        if best is None or not best.cures:
            continue
        if all(best.worth[0] > each.worth[0] for each in smaller):
            offers[group] = best
    return Advice(base, wanted, broken, offers, refused)


def _remembering(run: Runner) -> Runner:
    """A runner that runs each trial only once, however often it is asked for."""
    known: dict[TrialSpec, TrialResult] = {}

    def remembered(specs: Sequence[TrialSpec]) -> Sequence[TrialResult]:
        new = [each for each in dict.fromkeys(specs) if each not in known]
        known.update(zip(new, run(new), strict=True))
        return [known[each] for each in specs]

    return remembered


def _passed(run: Runner, specs: dict[tuple[str, str], TrialSpec]) -> dict[tuple[str, str], bool]:
    """Which trials pass. Trials that this network or machine can't run are left out."""
    possible = {}
    for key, spec in specs.items():
        try:
            trial.check_spec(spec)
        except UsageError:
            continue
        possible[key] = spec
    return {
        key: each.outcome == "pass" for key, each in zip(possible, run(list(possible.values())), strict=True)
    }


def _is_meant(result: TrialResult, scenario: str, words: Sequence[str]) -> bool:
    failure = result.first_failure
    told = f"{scenario} {failure.name} {failure.symptom}".casefold() if failure is not None else scenario
    return any(word.casefold() in told for word in words)


def refused_by_card(model: str) -> dict[str, str]:
    """The mitigations that the card of a vendor's router rules out, each with the reason."""
    name = model.partition("(")[0]
    if name in vendors.available() and vendors.load(name).switch_off.possible == "no":
        return {"alg-off": f"the ALG of {vendors.load(name).name} can't be switched off"}
    return {}


def _actors(remedy: str) -> frozenset[Actor]:
    return frozenset(registry.mitigations().get(remedy).settings.actors)


def _singles(
    base: TrialSpec, broken: Iterable[str], refused: Iterable[str], run: Runner
) -> dict[str, frozenset[str]]:
    """What each mitigation cures alone. If the phone stays unregistered, it can't cure anything else."""
    first = "register" if "register" in broken else ""
    remedies = [
        each.id
        for each in registry.mitigations()
        if each.id not in refused and not getattr(each.settings, "stand_in", "")
    ]
    specs = {(remedy, first): replace(base, scenario=first, mitigations=(remedy,)) for remedy in remedies}
    helps = _passed(run, specs) if first else {}
    rest = {
        (remedy, name): replace(base, scenario=name, mitigations=(remedy,))
        for remedy in remedies
        for name in broken
        if name != first and (not first or helps.get((remedy, first)))
    }
    helps |= _passed(run, rest)
    cured: dict[str, frozenset[str]] = {}
    for remedy in remedies:
        cured[remedy] = frozenset(name for (each, name), passed in helps.items() if each == remedy and passed)
    return cured


def _best(
    base: TrialSpec,
    singles: dict[str, frozenset[str]],
    broken: Sequence[str],
    works: Sequence[str],
    run: Runner,
) -> Offer | None:
    """The best of the most promising sets, each of them run. It is enlarged as long as that helps."""
    helpful = [remedy for remedy, cured in singles.items() if cured]
    sets = [chosen for size in range(1, _MOST + 1) for chosen in combinations(helpful, size)]
    promised = {chosen: len(frozenset().union(*(singles[each] for each in chosen))) for chosen in sets}
    sets.sort(key=lambda chosen: (-promised[chosen], len(chosen)))
    best: Offer | None = None
    for chosen in sets[:_TRIED]:
        if best is not None and (
            len(best.cures) == len(broken) or promised[chosen] < promised[best.remedies]
        ):
            break
        offer = _tried(base, chosen, broken, run)
        if offer is not None and (best is None or offer.worth > best.worth):
            best = offer
    # A mitigation that does not help alone may help together with others.
    while best is not None and len(best.remedies) < _MOST and len(best.cures) < len(broken):
        left = next(each for each in broken if each not in best.cures)
        specs = {
            (remedy, left): replace(base, scenario=left, mitigations=(*best.remedies, remedy))
            for remedy in singles
            if remedy not in best.remedies
        }
        more = next((remedy for (remedy, _), passed in _passed(run, specs).items() if passed), None)
        better = _tried(base, (*best.remedies, more), broken, run) if more is not None else None
        if better is None or better.worth <= best.worth:
            break
        best = better
    if best is None:
        return None
    passed = _passed(
        run, {("", name): replace(base, scenario=name, mitigations=best.remedies) for name in works}
    )
    return replace(best, breaks=tuple(name for name in works if not passed.get(("", name))))


def _tried(base: TrialSpec, remedies: tuple[str, ...], broken: Sequence[str], run: Runner) -> Offer | None:
    """What a set cures when it is run; ``None`` if this network can't have it."""
    passed = _passed(run, {("", name): replace(base, scenario=name, mitigations=remedies) for name in broken})
    return Offer(remedies, tuple(name for name in broken if passed.get(("", name))), ()) if passed else None
