"""Measuring a claim: do its observations come out as they say?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from siplab.alg_models import vendors
from siplab.experiments import cases
from siplab.experiments.cases import playing
from siplab.experiments.cases.playing import Verdict
from siplab.experiments.cases.schema import Step
from siplab.experiments.claims.hiding import inside_addresses_out
from siplab.experiments.claims.schema import Claim, Observation, VendorCount
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Trace


@dataclass(frozen=True)
class Counted:
    """How many vendors' cards say it, of how many."""

    asked: VendorCount
    found: int
    cards: int

    @property
    def holds(self) -> bool:
        return self.found >= self.asked.at_least


@dataclass(frozen=True)
class Measured:
    """What came of a claim's trials, in order (those of its cases last), and of its counts."""

    claim: Claim
    verdicts: tuple[Verdict, ...]
    counts: tuple[Counted, ...]

    @property
    def holds(self) -> bool:
        """Whether everything came out as the claim's answer needs it."""
        return all(each.holds for each in self.verdicts) and all(each.holds for each in self.counts)


def steps_of(claim: Claim) -> list[Step]:
    """What is to be run for a claim. Raises ``UsageError`` for an unknown case."""
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
    verdicts = playing.play(steps_of(claim), worlds, jobs, progress)
    verdicts = [replace(each, doubts=each.doubts + _doubts(each.step)) for each in verdicts]
    return Measured(claim, tuple(verdicts), tuple(map(count, claim.vendors)))


def speaks(step: Step) -> str:
    """Whether a step speaks ``for`` the claim or ``against`` it: those of stories speak for it."""
    return step.speaks if isinstance(step, Observation) else "for"


def _doubts(step: Step) -> tuple[str, ...]:
    """What an observation says of the messages, and is not so."""
    if not isinstance(step, Observation):
        return ()
    if step.inside_addresses is None and step.changed is None and step.calls_match is None:
        return ()
    doubts = []
    for spec in step.trials():
        result, trace = trial.run(spec)
        found = inside_addresses(trace, spec)
        if step.inside_addresses is not None and set(found) != set(step.inside_addresses):
            doubts.append(f"inside addresses got out in {', '.join(found) or 'no part'}")
        if step.changed is not None and step.changed is not bool(result.packets_changed):
            doubts.append(f"{result.packets_changed} packets were changed")
        if step.calls_match is not None and step.calls_match is not calls_match(trace):
            doubts.append(f"Call-IDs are {'' if calls_match(trace) else 'not '}the same on both sides")
    return tuple(doubts)


def calls_match(trace: Trace) -> bool:
    """Whether a monitor on one side of the routers can tell the other side's calls by their Call-IDs."""
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
