"""From the failed checks of a trial to one short paragraph each.

The cause of a failed check is the first trouble since the check before it that was not resolved; where
there is none, the first one before. Media checks look at media first.
"""

from __future__ import annotations

from collections.abc import Sequence

from siplab.experiments.explain import wording
from siplab.experiments.explain.blame import Cause, CauseKind, cause_of, changed
from siplab.experiments.explain.comparison import deviations
from siplab.experiments.explain.story import Story, Window
from siplab.experiments.explain.troubles import Trouble, TroubleKind, troubles
from siplab.experiments.output.journeys import Journey
from siplab.experiments.trial.result import Explanation
from siplab.experiments.trial.stage import Check
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace


def explain(
    checks: Sequence[Check], trace: Trace, network: Network, seed: object = None
) -> list[Explanation]:
    """An explanation for each failed check, in order. Empty when there is no trace, or nothing failed.

    ``seed``: the one that the trial's world was made with, where routers choose ports at random.
    """
    if all(each.passed for each in checks) or not len(trace):
        return []
    story = Story(trace, network)
    known = troubles(story)
    found: list[Explanation] = []
    causes: list[tuple[Trouble | None, Cause, Explanation]] = []
    windows = story.windows or [Window(each.name, each.passed, 0, len(trace)) for each in checks]
    for check, window in zip(checks, windows, strict=False):
        if check.passed:
            continue
        trouble, cause = _choose(known, window, story, media=check.about == "media")
        if causes and trouble is not None and trouble.facts.status == 480:  # what registered failed before
            trouble, cause, _ = causes[0]
        if not cause.gateway and (trouble is None or trouble.kind is TroubleKind.TIMED_OUT):
            # Nobody says which message it was.
            other = _deviation(story, window, deviations(trace, network, story.journeys, seed))
            cause = other if other.gateway or trouble is None else cause
        same = next((each for _, other, each in causes if other == cause), None)
        explanation = _made(check, trouble, cause, same)
        causes.append((trouble, cause, explanation))
        found.append(explanation)
    return found


def _choose(
    known: list[Trouble], window: Window, story: Story, *, media: bool
) -> tuple[Trouble | None, Cause]:
    """The first trouble that a router has to do with, else the first."""
    first: tuple[Trouble | None, Cause] = (None, Cause(CauseKind.UNCHANGED, None))
    for start in (window.start, 0):
        opened = [each for each in known if each.open_at(start, window.end)]
        for trouble in sorted(opened, key=lambda each: each.media != media):
            cause = cause_of(trouble, story)
            if cause.gateway:
                return trouble, cause
            if first[0] is None:
                first = trouble, cause
    if first[0] is None and media:  # what was lost is missed, though more came afterwards
        lost = [
            each for each in known if each.media and window.start <= each.last and each.order < window.end
        ]
        first = next(((each, cause_of(each, story)) for each in lost), first)
    return first


def _deviation(story: Story, window: Window, found: Sequence[Journey]) -> Cause:
    """Nobody complained: the first message since the last check that no router without a fault would send."""
    inside = [each for each in found if window.start <= each.order < window.end]
    for each in [*inside, *reversed(found)]:
        if each.order < window.end:
            gateway = next((node for node in each.path[1:] if node in story.network.gateways), "")
            # No rule of SIP lets anybody on the way touch what people say to each other.
            return changed(each, "body") if each.changes else Cause(CauseKind.DEVIATED, each, gateway)
    return Cause(CauseKind.UNCHANGED, None)


def _made(check: Check, trouble: Trouble | None, cause: Cause, same: Explanation | None) -> Explanation:
    journey = cause.journey
    rule = wording.rule_of(cause, trouble)
    if same is not None:
        text = f"For the same reason as '{same.check}'. {check.symptom}"
    else:
        text = wording.paragraph(check, trouble, cause, rule)
    return Explanation(
        check.name,
        text,
        cause.kind.value,
        journey.label if journey is not None else "",
        journey.path[0] if journey is not None else "",
        journey.path[-1] if journey is not None else "",
        round(journey.now, 6) if journey is not None else 0.0,
        cause.gateway,
        cause.parts,
        rule,
        f"{trouble.host}: {trouble.why}" if trouble is not None else "",
    )
