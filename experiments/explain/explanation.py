"""Turns the failed checks of a trial into one short paragraph each.

The trace gives the *mechanism*: the first unresolved trouble since the previous check; if there is none, the
first unresolved one before. For media checks, troubles of media come first. If there is a proof, the first
cause that it confirms is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from siplab.experiments.explain import wording
from siplab.experiments.explain.agreement import NOT_OF_ALGS, confirmed, shown
from siplab.experiments.explain.blame import Cause, CauseKind, cause_of, changed, remarked
from siplab.experiments.explain.claims import claim
from siplab.experiments.explain.comparison import deviations
from siplab.experiments.explain.proof import Proof
from siplab.experiments.explain.story import Story, Window
from siplab.experiments.explain.troubles import Trouble, TroubleKind, troubles
from siplab.experiments.output.journeys import Journey
from siplab.experiments.trial.result import Basis, Explanation
from siplab.experiments.trial.stage import Check
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace

_Told = tuple[Trouble | None, Cause]


def explain(
    checks: Sequence[Check],
    trace: Trace,
    network: Network,
    seed: object = None,
    proofs: Mapping[str, Proof] | None = None,
) -> list[Explanation]:
    """An explanation for each failed check, in order. Empty if there is no trace, or no check failed.

    ``seed``: of the trial's world, for routers that choose ports at random. ``proofs``: what running the
    trial again showed, by the names of the checks.
    """
    if all(each.passed for each in checks) or not len(trace):
        return []
    story = Story(trace, network)
    known = troubles(story)
    found: list[Explanation] = []
    earlier: list[tuple[_Told, Proof | None, Explanation]] = []
    windows = story.windows or [Window(each.name, each.passed, 0, len(trace)) for each in checks]
    for check, window in zip(checks, windows, strict=False):
        if check.passed:
            continue
        proof = (proofs or {}).get(check.name)
        told = _told(known, window, story, check, proof)
        trouble, cause = told
        if proof is None or proof.obstacle:
            if earlier and trouble is not None and trouble.facts.status == 480:  # the REGISTER failed before
                told = earlier[0][0]
            elif not cause.gateway and (trouble is None or trouble.kind is TroubleKind.TIMED_OUT):
                # No endpoint says which message it was.
                other = _deviation(story, window, deviations(trace, network, story.journeys, seed))
                told = (trouble, other if other.gateway or trouble is None else cause)
        same = next((each for other, its, each in earlier if _are_one((told, proof), (other, its))), None)
        explanation = _made(check, told, proof, same)
        earlier.append((told, proof, explanation))
        found.append(explanation)
    return found


def _are_one(one: tuple[_Told, Proof | None], other: tuple[_Told, Proof | None]) -> bool:
    """Whether two checks failed for the same reason."""
    if one[1] is not None and one[1].cure is not None:
        return one[1] is other[1]
    return one[0][1] == other[0][1] and (one[1] and one[1].cure) == (other[1] and other[1].cure)


def _told(known: list[Trouble], window: Window, story: Story, check: Check, proof: Proof | None) -> _Told:
    """What the trace suggests, if a proof confirms it; else what the proof shows."""
    candidates = list(_candidates(known, window, story, media=check.about == "media"))
    nothing: _Told = (None, Cause(CauseKind.UNCHANGED, None))
    if proof is None or proof.obstacle:
        return next((each for each in candidates if each[1].gateway), (candidates or [nothing])[0])
    if proof.cure is None:
        return next((each for each in candidates if each[1].kind in NOT_OF_ALGS), nothing)
    for trouble, cause in chain(candidates, _marks(story, window)):
        agreed = confirmed(cause, proof.cure.done, media=trouble is not None and trouble.media)
        if agreed is not None:
            return trouble, agreed
    # A trouble that does not occur with the actions undone came from these actions.
    after = {each.identity for each in troubles(Story(proof.cure.trace, story.network))}
    gone = next((trouble for trouble, _ in candidates if trouble and trouble.identity not in after), None)
    return gone, shown(proof.cure.done, story)


def _marks(story: Story, window: Window) -> Iterator[_Told]:
    """A DSCP that a gateway changed. No endpoint notes this."""
    mark = remarked(story, window.end)
    if mark is not None:
        yield None, mark


def _candidates(known: list[Trouble], window: Window, story: Story, *, media: bool) -> Iterator[_Told]:
    """The troubles with their causes, the likeliest first."""
    some = False
    for start in (window.start, 0):
        opened = [each for each in known if each.open_at(start, window.end)]
        for trouble in sorted(opened, key=lambda each: each.media != media):
            some = True
            yield trouble, cause_of(trouble, story)
    if not some and media:  # lost media are missed even if later packets arrived
        for each in known:
            if each.media and window.start <= each.last and each.order < window.end:
                yield each, cause_of(each, story)


def _deviation(story: Story, window: Window, found: Sequence[Journey]) -> Cause:
    """No endpoint complained. Finds the first message that no router without a fault would send."""
    inside = [each for each in found if window.start <= each.order < window.end]
    for each in [*inside, *reversed(found)]:
        if each.order < window.end:
            gateway = next((node for node in each.path[1:] if node in story.network.gateways), "")
            # By SIP's rules no element on the way may change what users say to each other.
            cause = changed(each, "body") if each.changes else Cause(CauseKind.DEVIATED, each, gateway)
            return replace(cause, unnoticed=True)
    mark = remarked(story, window.end)
    if mark is not None:
        return replace(mark, unnoticed=True)
    return Cause(CauseKind.UNCHANGED, None)


def _made(check: Check, told: _Told, proof: Proof | None, same: Explanation | None) -> Explanation:
    trouble, cause = told
    journey = cause.journey
    rule = wording.rule_of(cause, trouble)
    if same is not None:
        text = f"For the same reason as '{same.check}'. {check.symptom}"
    else:
        claimed = claim(proof) if proof is not None else ""
        text = " ".join(each for each in (claimed, wording.paragraph(check, trouble, cause, rule)) if each)
    made = Explanation(
        check.name,
        text,
        cause.kind.value,
        message=journey.label if journey is not None else "",
        sender=journey.path[0] if journey is not None else "",
        receiver=journey.path[-1] if journey is not None else "",
        now=round(journey.now, 6) if journey is not None else 0.0,
        order=journey.order if journey is not None else -1,
        router=cause.gateway,
        parts=cause.parts,
        rule=rule,
        witness=f"{trouble.host}: {trouble.why}" if trouble is not None else "",
    )
    if proof is None or proof.obstacle:
        return made
    if proof.cure is None:
        return replace(made, basis=Basis.NOT_THE_ALG, runs=proof.runs)
    return replace(
        made,
        basis=Basis.UNDONE,
        undone=proof.cure.actions,
        also=proof.cure.also,
        reference="correct" if proof.cure.reference else "none",
        runs=proof.runs,
        confirmed=cause.action is None,
    )
