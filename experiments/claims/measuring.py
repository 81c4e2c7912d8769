"""Measures a claim: do its observations come out as they say?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import TypeGuard

from siplab.alg_models import vendors
from siplab.experiments import cases
from siplab.experiments.cases import playing
from siplab.experiments.cases.playing import Verdict
from siplab.experiments.cases.schema import Step
from siplab.experiments.claims.hiding import inside_addresses_out
from siplab.experiments.claims.schema import Claim, Observation, VendorCount
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.counting import number_of
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Trace


@dataclass(frozen=True)
class Counted:
    """How many vendors' cards have one of the values, of how many."""

    asked: VendorCount
    found: int
    cards: int

    @property
    def holds(self) -> bool:
        return self.found >= self.asked.at_least


@dataclass(frozen=True)
class Measured:
    """The verdicts on a claim's trials, in order (those of its cases last), and its counts."""

    claim: Claim
    verdicts: tuple[Verdict, ...]
    counts: tuple[Counted, ...]

    @property
    def holds(self) -> bool:
        """Whether everything came out as the claim's answer needs it."""
        return all(each.holds for each in self.verdicts) and all(each.holds for each in self.counts)


def steps_of(claim: Claim) -> list[Step]:
    """The steps to run for a claim. Raises ``UsageError`` for an unknown case."""
    told: list[Step] = list(claim.observations)
    for name in claim.cases:
        told += cases.load(name).steps
    return told


def measure(
    claim: Claim,
    worlds: Sequence[str] = ("simulated",),
    jobs: int = 1,
    progress: Callable[[TrialResult], None] = lambda result: None,
) -> Measured:
    """Run a claim's trials. Raises ``UsageError``."""
    steps = steps_of(claim)
    played = iter(playing.play([each for each in steps if not _looks(each)], worlds, jobs, progress))
    verdicts = [_looked(each, worlds, jobs, progress) if _looks(each) else next(played) for each in steps]
    return Measured(claim, tuple(verdicts), tuple(map(count, claim.vendors)))


def speaks(step: Step) -> str:
    """Whether a step speaks ``for`` the claim or ``against`` it. Steps of cases speak for it."""
    return step.speaks if isinstance(step, Observation) else "for"


def _looks(step: Step) -> TypeGuard[Observation]:
    """Whether a step is about the messages, so that traces are needed."""
    return isinstance(step, Observation) and not (
        step.inside_addresses is None and step.changed is None and step.calls_match is None
    )


def _looked(
    step: Observation, worlds: Sequence[str], jobs: int, progress: Callable[[TrialResult], None]
) -> Verdict:
    """The verdict on a step that is about messages."""
    specs = step.trials()
    results: list[TrialResult] = []
    doubts: list[str] = []
    for spec in specs:
        result, trace = runner.run_traced(spec, worlds[0])
        progress(result)
        results.append(result)
        doubts += _doubts(step, result, trace)
    others = [runner.run_all(specs, world=each, jobs=jobs, progress=progress) for each in worlds[1:]]
    verdict = playing.judge(step, [results, *others])
    return replace(verdict, doubts=(*verdict.doubts, *doubts))


def _doubts(step: Observation, result: TrialResult, trace: Trace) -> Iterator[str]:
    """What an observation says about the messages of a trial and is not true."""
    if step.inside_addresses is not None:
        found = inside_addresses(trace, result.spec)
        if set(found) != set(step.inside_addresses):
            yield f"inside addresses got out in {', '.join(found) or 'no part'}"
    if step.changed is not None and step.changed is not bool(result.packets_changed):
        yield f"{number_of(result.packets_changed, 'packet')} changed"
    if step.calls_match is not None and step.calls_match is not (same := calls_match(trace)):
        yield f"Call-IDs are {'' if same else 'not '}the same on both sides"


def calls_match(trace: Trace) -> bool:
    """Whether a monitor on one side of the routers can match calls on the other side by their Call-IDs."""
    seen: dict[bool, set[bytes]] = {True: set(), False: set()}
    for each in trace.sip():
        if each.tap.endswith(("/inside", "/outside")):
            for field in SipMessage.parse(each.payload).all(b"call-id"):
                seen[each.tap.endswith("/inside")].add(field.value)
    return seen[True] == seen[False]


def inside_addresses(trace: Trace, spec: TrialSpec) -> dict[str, int]:
    """``inside_addresses_out`` of a trial."""
    topology = trial.network(spec.topology).topology
    subnets = [
        ip_network(topology.networks[name].subnet)
        for each in topology.gateways.values()
        for name in each.inside
    ]

    def is_inside(address: str) -> bool:
        try:
            return any(ip_address(address) in subnet for subnet in subnets)
        except ValueError:
            return False

    return inside_addresses_out(trace, is_inside)


def count(asked: VendorCount) -> Counted:
    """Count vendors' cards."""
    cards = [vendors.load(each) for each in vendors.available()]
    said = [each.default.state if asked.field == "default" else each.switch_off.possible for each in cards]
    return Counted(asked, sum(each in asked.of for each in said), len(cards))
