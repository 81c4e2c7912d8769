"""Counts: the outcome of each trial, and of all trials of a detector.

Each trial has one *outcome*:

- ``caught``: an ALG, in reach, was accused. ``missed``: it was called clean.
- ``translation``: an ALG with a fault was accused, but nothing of the fault showed in this exchange: the
  correct ALG under it would have emitted the same packets.
- ``quiet``: a router without an ALG was called clean. ``false-alarm``: it was accused. To accuse a router
  whose fault was out of reach is a false alarm, too: the detector saw the same bytes as behind a clean
  router.
- ``out-of-reach``: nothing that the ALG did could be seen in this exchange, and the router was not accused.
- ``undecided``; ``error``: the detector failed and gave no verdict; ``invalid``: the lab failed, not counted.
- ``unscored``: either answer was right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from siplab.experiments.score.plan import GROUPS, Plan, Subject
from siplab.experiments.trial.rates import Rate as Rate
from siplab.experiments.trial.result import TrialResult

# The worst comes first: a row of several trials has the outcome of its worst trial.
Word = Literal[
    "invalid",
    "error",
    "false-alarm",
    "missed",
    "undecided",
    "caught",
    "translation",
    "quiet",
    "out-of-reach",
    "unscored",
]
OUTCOMES: Final[tuple[str, ...]] = get_args(Word)


@dataclass(frozen=True)
class Row:
    """A detector's trials with one subject."""

    subject: Subject
    outcomes: tuple[str, ...]
    verdicts: tuple[str, ...]
    named: tuple[str, ...]  # the parts that the detector names as changed
    changed: tuple[str, ...]  # the parts that the router changed
    located: int  # caught trials in which one of the named parts was changed
    locatable: int  # caught trials in which the router changed a part of a message
    detail: str
    seconds: float = 0.0  # on the trials' clocks, in all
    stems: tuple[str, ...] = ()  # how the names of the trials' files begin

    @property
    def outcome(self) -> str:
        return min(self.outcomes, key=OUTCOMES.index)

    @property
    def failed(self) -> bool:
        """Whether the detector was wrong, or gave no verdict."""
        return self.outcome in ("error", "false-alarm", "missed", "undecided")


@dataclass(frozen=True)
class Score:
    """One detector's rows, counted."""

    detector: str
    rows: tuple[Row, ...]

    def count(self, *outcomes: str) -> int:
        return sum(each in outcomes for row in self.rows for each in row.outcomes)

    @property
    def detection(self) -> Rate:
        """ALGs caught, of those in reach. For an ALG with a fault, its translation alone does not count."""
        return Rate(self.count("caught"), self._algs("caught", "missed", "undecided", "error"))

    @property
    def coverage(self) -> Rate:
        """ALGs noticed, of all, even if only by their translation. An ALG out of reach is not noticed."""
        everything = ("caught", "translation", "missed", "undecided", "error", "out-of-reach", "false-alarm")
        return Rate(self.count("caught", "translation"), self._algs(*everything))

    @property
    def false_alarms(self) -> Rate:
        """Accusations, of the trials in which everything was as with a router without an ALG."""
        alarms, quiet = self.count("false-alarm"), self.count("quiet", "out-of-reach")
        answers = sum(
            each in ("undecided", "error")
            for row in self.rows
            if row.subject.expected == "clean"
            for each in row.outcomes
        )
        return Rate(alarms, alarms + quiet + answers)

    @property
    def localisation(self) -> Rate | None:
        """The share of caught ALGs that changed a message for which a named part was one that was changed.

        ``None`` for a detector that names no parts.
        """
        if not any(row.named for row in self.rows):
            return None
        return Rate(sum(row.located for row in self.rows), sum(row.locatable for row in self.rows))

    @property
    def value(self) -> float:
        """Coverage less false alarms (Youden's J): 1 at best; 0 for a detector that does not look."""
        return (self.coverage.value or 0.0) - (self.false_alarms.value or 0.0)

    @property
    def groups(self) -> dict[str, Score]:
        """The same for each group of subjects, in the order of tables."""
        found = {each: tuple(r for r in self.rows if r.subject.group == each) for each in GROUPS}
        return {name: Score(self.detector, rows) for name, rows in found.items() if rows}

    def _algs(self, *outcomes: str) -> int:
        return sum(
            each in outcomes for row in self.rows if row.subject.expected == "alg" for each in row.outcomes
        )


def scores(plan: Plan, results: Sequence[TrialResult]) -> list[Score]:
    """A score per detector, from the results of the plan's trials in their order."""
    found: list[Score] = []
    remaining = iter(results)
    for detector in plan.detectors:
        rows = [_row(subject, [next(remaining) for _ in range(plan.repeat)]) for subject in plan.subjects]
        found.append(Score(str(detector), tuple(rows)))
    return found


def outcome(subject: Subject, result: TrialResult) -> str:
    """The outcome of one trial."""
    if result.errors or result.finding is None:
        return "invalid"
    verdict = result.finding.verdict
    if verdict not in ("alg", "clean", "undecided"):
        return "error"
    if subject.expected == "either":
        return "unscored"
    untouched = result.reach is not None and not result.reach.touched
    if subject.expected == "clean" or untouched:
        if verdict == "alg":
            return "false-alarm"
        if subject.expected == "alg":
            return "out-of-reach"
        return "quiet" if verdict == "clean" else verdict
    if verdict == "alg" and result.reach is not None and result.reach.translation_only:
        return "translation"
    return {"alg": "caught", "clean": "missed"}.get(verdict, verdict)


def _row(subject: Subject, results: Sequence[TrialResult]) -> Row:
    outcomes = tuple(outcome(subject, each) for each in results)
    caught = [each for each, came in zip(results, outcomes, strict=True) if came == "caught"]
    locatable = [each for each in caught if each.reach is not None and each.reach.changed]
    return Row(
        subject,
        outcomes,
        tuple(each.outcome for each in results),
        _merged(each.finding.changed for each in results if each.finding is not None),
        _merged(each.reach.changed for each in results if each.reach is not None),
        sum(_located(each) for each in locatable),
        len(locatable),
        _detail(results),
        sum(each.duration for each in results),
        tuple(each.spec.stem for each in results),
    )


def _located(result: TrialResult) -> bool:
    """Whether the detector named a part that the router changed.

    Names are those of ``lab.wire.compare``, in upper or lower case. A detector may add words (``Via
    sent-by``) and leave out ``SDP``.
    """
    assert result.finding is not None
    assert result.reach is not None
    changed = {each.lower() for each in result.reach.changed}
    changed |= {each.removeprefix("sdp ") for each in changed}
    for each in result.finding.changed:
        name = each.lower().rstrip(":")
        if name in changed or any(name.startswith(f"{other} ") for other in changed):
            return True
    return False


def _merged(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for some in names for each in some))


def _detail(results: Sequence[TrialResult]) -> str:
    """The first reason that a trial gives for its outcome."""
    for each in results:
        if each.errors:
            return each.errors[0]
        if each.finding is not None and each.finding.detail:
            return each.finding.detail
    return ""


def counted(words: Iterable[str]) -> dict[str, int]:
    """How often each word occurs, in the order of first occurrence."""
    return dict(Counter(words))
