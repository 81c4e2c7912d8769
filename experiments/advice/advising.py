"""Finding what helps: the smallest sets of remedies that bring back what a router breaks, each of them run.

The rules of this file:

- What is to work is what works on that network without an ALG, or with a correct one, endpoints unchanged.
- A remedy is tried alone first, in one scenario for each check that fails first; sets are made of those that
  help in any of them, and none is told of that was not run: in all that fails, and in what works without it,
  which it may break.
- Remedies whose trials are not the same each time have a stand-in, which is tried in their place.
- Remedies are grouped by who has to act. A set of a group asks nothing of anybody else.
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
# Who acts, for whom that is the easiest first; a set may ask for all of a group, and of nobody else.
GROUPS: Final = {
    "phone": frozenset({Actor.PHONE}),
    "provider": frozenset({Actor.PROVIDER}),
    "router": frozenset({Actor.ROUTER}),
    "phone and provider": frozenset({Actor.PHONE, Actor.PROVIDER}),
    "phone and router": frozenset({Actor.PHONE, Actor.ROUTER}),
    "everybody, and what is to be bought": frozenset(Actor),
}
_MOST: Final = 3  # remedies in a set
_TRIED: Final = 3  # sets of a group that are run

Runner = Callable[[Sequence[TrialSpec]], Sequence[TrialResult]]


@dataclass(frozen=True)
class Offer:
    """A set of remedies that was run: the scenarios that it brings back, and those that it breaks."""

    remedies: tuple[str, ...]
    cures: tuple[str, ...]
    breaks: tuple[str, ...]

    @property
    def worth(self) -> tuple[int, int]:
        """To be compared: what works for it, and then how few remedies it takes."""
        return len(self.cures) - len(self.breaks), -len(self.remedies)


@dataclass(frozen=True)
class Advice:
    """``wanted``: the scenarios that are to work; ``broken``: those that do not, with the check that fails
    first. ``offers``: the best set of each group that has one that is not a smaller group's too.
    ``refused``: remedies that the router's card rules out, with the reason.
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
    """What helps against a router: the topology, model and endpoints of ``base``.

    ``words``: only what fails in a scenario, or with a symptom, that has one of them is to be cured.
    Raises ``UsageError`` for unknown names, where no such thing fails, where nothing works without a fault
    either, and for a router of which nobody knows what it does.
    """
    trial.check_spec(base)
    run = _remembering(run)  # groups overlap
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
    asked = {check: name for name, check in reversed(broken.items())}  # the first scenario of each check
    singles = _singles(base, sorted(asked.values()), refused, run)
    works = [each for each in wanted if with_alg[each].outcome == "pass"]
    offers: dict[str, Offer] = {}
    for group, actors in GROUPS.items():
        able = {remedy: cured for remedy, cured in singles.items() if _actors(remedy) <= actors}
        smaller = [offer for name, offer in offers.items() if GROUPS[name] < actors]
        if any(len(each.cures) == len(broken) and not each.breaks for each in smaller):
            continue  # others would be asked for nothing
        best = _best(base, able, tuple(broken), works, run)
        if best is None or not best.cures:
            continue
        if all(best.worth[0] > each.worth[0] for each in smaller):
            offers[group] = best
    return Advice(base, wanted, broken, offers, refused)


def _remembering(run: Runner) -> Runner:
    """Runs each trial once, however often it is asked for."""
    known: dict[TrialSpec, TrialResult] = {}

    def remembered(specs: Sequence[TrialSpec]) -> Sequence[TrialResult]:
        new = [each for each in dict.fromkeys(specs) if each not in known]
        known.update(zip(new, run(new), strict=True))
        return [known[each] for each in specs]

    return remembered


def _passed(run: Runner, specs: dict[tuple[str, str], TrialSpec]) -> dict[tuple[str, str], bool]:
    """Which trials pass; those that this network, or this machine, can't have are left out."""
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
    """The remedies that the card of a vendor's router rules out, each with the reason."""
    name = model.partition("(")[0]
    if name in vendors.available() and vendors.load(name).switch_off.possible == "no":
        return {"alg-off": f"the ALG of {vendors.load(name).name} can't be switched off"}
    return {}


def _actors(remedy: str) -> frozenset[Actor]:
    return frozenset(registry.mitigations().get(remedy).settings.actors)


def _singles(
    base: TrialSpec, broken: Iterable[str], refused: Iterable[str], run: Runner
) -> dict[str, frozenset[str]]:
    """What each remedy cures alone. Where the phone stays unregistered, nothing else can be cured."""
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
    """The best of the sets that promise most, each of them run, and made larger while that helps."""
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
    # What helps nobody alone may help beside another remedy.
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
    """What a set cures, as it was run; ``None`` where the network can't have it."""
    passed = _passed(run, {("", name): replace(base, scenario=name, mitigations=remedies) for name in broken})
    return Offer(remedies, tuple(name for name in broken if passed.get(("", name))), ()) if passed else None
