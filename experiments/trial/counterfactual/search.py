"""Searches for the smallest set of a router's actions whose undoing makes a failed check pass.

Delta debugging (A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
Transactions on Software Engineering 28(2), 2002) over the actions of the routers: first over classes of
similar actions, then over the single messages of the classes that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from siplab.experiments.trial.counterfactual.actions import ActionKind, GatewayAction
from siplab.experiments.trial.counterfactual.replay import Outcome, Replayer
from siplab.experiments.trial.counterfactual.undoing import CORRECT, NONE, Reference
from siplab.lab.worlds.trace import Trace

_SETTINGS: Final = tuple(GatewayAction("", each) for each in ActionKind if each.is_setting)
_PARTS: Final = tuple(GatewayAction("", each) for each in ActionKind if each is not ActionKind.STATE)
_STATES: Final = (*_SETTINGS, GatewayAction("", ActionKind.STATE))
_ENOUGH: Final = 12  # runs spent on finding single messages


@dataclass(frozen=True)
class Cure:
    """A set of actions whose undoing makes a check pass. No action can be left out of it.

    ``classes``: the same, without the messages. ``also``: the classes of another such set that has no class
    in common with this one, if there is one. ``reference``: what acts in place of the undone actions.
    ``done``: the single actions that were undone, with what each of them did. ``cures``: the checks that then
    pass. ``trace``: of the run with these actions undone.
    """

    actions: tuple[GatewayAction, ...]
    classes: tuple[GatewayAction, ...]
    also: tuple[GatewayAction, ...]
    reference: Reference
    done: tuple[GatewayAction, ...]
    cures: frozenset[str]
    trace: Trace = field(repr=False, compare=False)


def cure_of(replayer: Replayer, check: str, others: Sequence[str] = ()) -> Cure | None:
    """The cure of a failed check; ``None`` if it fails whatever the routers' ALGs do.

    ``others``: further checks; ``cures`` says which of these pass then, too.
    """
    for reference in (CORRECT, NONE):
        if reference is NONE and not replayer.undone:
            break  # no ALG here did anything
        for everything in (_PARTS, _STATES):
            search = _Search(replayer, check, reference, everything)
            found = search.classes()
            if found is not None:
                actions = search.messages(found)
                also = search.another(found)
                last = replayer.run([check, *others], actions, (), reference)
                cures = frozenset(name for name, passed in last.checks.items() if passed)
                done = _with_pinholes(last.done, replayer, check)
                return Cure(actions, _joined(found), _joined(also), reference, done, cures, last.trace)
    return None


def same_class(replayer: Replayer, check: str, others: Sequence[str], known: Cure) -> Cure | None:
    """The cure of a failed check, if undoing the same classes as for another check cures it."""
    outcome = replayer.run([check, *others], known.classes, (), known.reference)
    if not outcome.passes(check):
        return None
    cures = frozenset(name for name, passed in outcome.checks.items() if passed)
    done = _with_pinholes(outcome.done, replayer, check)
    return Cure(known.classes, known.classes, (), known.reference, done, cures, outcome.trace)


def _with_pinholes(
    done: Sequence[GatewayAction], replayer: Replayer, check: str
) -> tuple[GatewayAction, ...]:
    """The actions; those of kind ``state`` with what the ALG did to the table of pinholes."""
    states = [each.bare for each in done if each.kind is ActionKind.STATE]
    if not states:
        return tuple(done)
    seen = {each.bare: each.after for each in replayer.run([check], (), watched=states).done}
    return tuple(replace(each, after=seen.get(each.bare, each.after)) for each in done)


def _joined(classes: Sequence[GatewayAction]) -> tuple[GatewayAction, ...]:
    """The classes; two that differ only in the direction become one."""
    both = [replace(each, direction="") for each in classes]
    return tuple(
        dict.fromkeys(
            whole if both.count(whole) > 1 else each for each, whole in zip(classes, both, strict=True)
        )
    )


class _Search:
    """The search with one reference. ``everything``: the actions that may be undone."""

    def __init__(
        self, replayer: Replayer, check: str, reference: Reference, everything: Sequence[GatewayAction]
    ) -> None:
        self._replayer = replayer
        self._check = check
        self._reference = reference
        self._everything = everything

    def _run(self, chosen: Sequence[GatewayAction], kept: Sequence[GatewayAction] = ()) -> Outcome:
        return self._replayer.run([self._check], chosen, kept, self._reference)

    def _cures(self, chosen: Sequence[GatewayAction]) -> bool:
        return self._run(chosen).passes(self._check)

    def classes(self, kept: Sequence[GatewayAction] = ()) -> tuple[GatewayAction, ...] | None:
        """The classes of actions that have to be undone, without ``kept``; ``None`` if that does not help."""
        outcome = self._run(self._everything, kept)
        left_undone = {each.of_class for each in outcome.done if each.is_omission}
        units = list(dict.fromkeys(each.of_class for each in outcome.done))
        if not units or not outcome.passes(self._check):
            return None
        # Prefer actions to omissions.
        done = [each for each in units if each not in left_undone]
        if left_undone and done and self._cures(done):
            return tuple(smallest(done, self._cures))
        found = smallest([*done, *(each for each in units if each in left_undone)], self._cures)
        # A single unit has not been tried alone yet. The reference may have done more than undo this unit.
        return tuple(found) if len(found) < len(units) or self._cures(found) else None

    def messages(self, classes: Sequence[GatewayAction]) -> tuple[GatewayAction, ...]:
        """The single actions of these classes that have to be undone; if many, what they have in common."""
        last = self._replayer.runs + _ENOUGH
        chosen = _joined(classes)
        for of_label in (True, False):
            done = self._run(chosen).done
            units = list(dict.fromkeys(each.of_label if of_label else each.bare for each in done))
            found = smallest(units, self._cures, lambda: self._replayer.runs < last)
            if len(found) > len(_joined(classes)) + 1:
                break  # too many to name them one by one
            if self._replayer.runs >= last and not self._is_smallest(found):
                break  # the search ended before it found the smallest set
            chosen = tuple(_grouped(found, units))
        return chosen

    def _is_smallest(self, found: Sequence[GatewayAction]) -> bool:
        """Whether no action can be left out."""
        return len(found) == 1 or not any(
            self._cures([each for each in found if each is not left]) for left in found
        )

    def another(self, classes: Sequence[GatewayAction]) -> tuple[GatewayAction, ...]:
        """Other classes whose undoing is a cure as well; empty if there are none."""
        return self.classes(kept=classes) or ()


def _grouped(found: Sequence[GatewayAction], units: Sequence[GatewayAction]) -> list[GatewayAction]:
    """The actions; if all those of a label were found, one that stands for them."""
    whole = {
        label
        for each in found
        if (label := each.of_label) != each
        and (alike := [other for other in units if label.covers(other)])
        and len(alike) > 1
        and all(other in found for other in alike)
    }
    return list(dict.fromkeys(each.of_label if each.of_label in whole else each for each in found))


def smallest(
    items: Sequence[GatewayAction],
    cures: Callable[[Sequence[GatewayAction]], bool],
    go_on: Callable[[], bool] = lambda: True,
) -> list[GatewayAction]:
    """A part of ``items`` that still ``cures``, as all of them do, and of which nothing can be left out.

    Ends with what it has as soon as ``go_on`` returns false.
    """
    found, pieces = list(items), 2
    while len(found) > 1 and go_on():
        size = -(-len(found) // pieces)
        chunks = [found[at : at + size] for at in range(0, len(found), size)]
        rests = [[each for each in found if each not in chunk] for chunk in reversed(chunks)]
        smaller = next((each for each in chunks if go_on() and cures(each)), None)
        if smaller is not None:
            found, pieces = smaller, 2
            continue
        if len(chunks) > 2:  # with two chunks, the rest of one is the other
            smaller = next((each for each in rests if go_on() and cures(each)), None)
        if smaller is not None:
            found, pieces = smaller, max(len(chunks) - 1, 2)
        elif size == 1:
            break
        else:
            pieces = min(2 * len(chunks), len(found))
    return found
