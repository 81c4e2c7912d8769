"""A trial with what it is compared with: the same trial with the ALG off, and with mitigations.

The rules of this file:

- The trials for comparison run in the simulated world, whose bytes are those of the emulated one. If that is
  not so (a program takes part, or the router's kernel does the work), there is nothing to compare with.
- The control differs from the trial only in the router's model, so both have the same call.
- If a trial fails, every mitigation is tried. Those that help are listed; few are shown in full.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from siplab.experiments.explain import explained
from siplab.experiments.output import drawing
from siplab.experiments.output.view import (
    VERSION,
    Bar,
    Box,
    Drawing,
    Remedy,
    TrialDocument,
    TrialView,
    Variant,
    Voice,
)
from siplab.experiments.output.viewing import view
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.media.audio import by_name
from siplab.lab.version import __version__
from siplab.lab.worlds.topology import Topology
from siplab.lab.worlds.trace import Trace

SHOWN: Final = 2  # mitigations that are shown in full, if the user names none
OFF: Final = "alg-off"  # the control shows the same as this mitigation

_Ran = tuple[TrialResult, Trace]
Run = Callable[[TrialSpec], _Ran]


def document(
    result: TrialResult,
    trace: Trace,
    remedies: Sequence[str] = (),
    *,
    try_remedies: bool = True,
    run: Run = trial.run,
) -> TrialDocument:
    """Everything about one trial. ``remedies`` are shown whether they help or not.

    Without ``try_remedies`` no others are tried. ``run`` runs the trials for comparison. Raises
    ``UsageError`` for an unknown mitigation.
    """
    spec = result.spec
    asked = Variant("asked", _name(spec), "", _view(result, trace, proven=try_remedies))
    variants, tried = [asked], []
    if _can_be_compared(spec):
        if spec.model != "none" and (control := _run(replace(spec, model="none"), run)[0]) is not None:
            about = "The same call through the router without ALG"
            variants.append(Variant("control", "ALG off", about, _view(*control)))
        named = [registry.mitigations().get(each).id for each in remedies]
        found = _remedies(spec, named, run, everything=try_remedies and result.outcome == "fail")
        tried = [each for each, _ in found]
        shown = named or [each.id for each in tried if each.outcome == "pass"][:SHOWN]
        for each, ran in found:
            if ran is not None and each.id in shown:
                variants.append(Variant("remedy", each.id, each.summary, _view(*ran)))
    return TrialDocument(
        VERSION,
        __version__,
        asked.trial.title,
        spec.model,
        _about_model(spec),
        spec.played,
        _about_played(spec),
        _drawing(trial.network_of(spec).topology),
        tuple(variants),
        tuple(tried),
        tuple(_voices(each.trial for each in variants)),
    )


def _name(spec: TrialSpec) -> str:
    return "as asked for" if spec.model == "none" or OFF in spec.mitigations else "ALG on"


def _view(result: TrialResult, trace: Trace, *, proven: bool = False) -> TrialView:
    if not result.explanation:
        explained(result, trace, proven=proven)
    return view(result, trace, trial.network_of(result.spec))


def _can_be_compared(spec: TrialSpec) -> bool:
    return bool(spec.played) and spec.program is None and spec.gateway == "queue"


def _run(spec: TrialSpec, run: Run) -> tuple[_Ran | None, str]:
    """A trial that was run, or why it can't be run."""
    try:
        return run(spec), ""
    except UsageError as error:
        return None, str(error)


def _remedies(
    spec: TrialSpec, named: Sequence[str], run: Run, *, everything: bool
) -> list[tuple[Remedy, _Ran | None]]:
    known = registry.mitigations()
    chosen = [known.get(each) for each in named]
    if everything:
        skipped = {OFF, *named, *spec.mitigations}
        others = [each for each in known if each.id not in skipped]
        chosen += [each for each in others if _is_same_each_time(_with(spec, each.id))]
    found = []
    for each in chosen:
        ran, why = _run(_with(spec, each.id), run)
        found.append((Remedy(each.id, each.summary, ran[0].outcome if ran else "", why), ran))
    return found


def _with(spec: TrialSpec, mitigation: str) -> TrialSpec:
    return replace(spec, mitigations=(*spec.mitigations, mitigation))


def _is_same_each_time(spec: TrialSpec) -> bool:
    """Whether a trial is deterministic, as everything in a page must be. If not, the page says why."""
    try:
        return trial.reproducible(spec)
    except UsageError:
        return True


def _about_model(spec: TrialSpec) -> str:
    try:
        return trial.models(spec.model_paths).get(spec.model).card.summary
    except UsageError:  # several gateways, each with its own model
        return ""


def _about_played(spec: TrialSpec) -> str:
    if spec.scenario:
        return registry.scenarios(spec.scenario_paths).get(spec.scenario).summary
    if spec.program is not None or not spec.played:
        return ""
    return registry.detectors(spec.detector_paths).get(spec.played).summary


def _drawing(topology: Topology) -> Drawing:
    plan = drawing.layout(topology)
    names = {box.lines[0].partition(" (")[0]: box for box in plan.boxes}
    return Drawing(
        f"{topology.id}: {topology.summary}",
        plan.width,
        plan.height,
        tuple(Bar(each.y, each.label, each.is_impaired) for each in plan.bars),
        tuple(
            Box(name, box.x, box.y, box.width, box.height, box.lines, box.bars, box.is_router)
            for name, box in names.items()
        ),
    )


def _voices(shown: Iterable[TrialView]) -> Iterable[Voice]:
    """The signals that were heard."""
    names = {span.content for each in shown for stream in each.streams for span in stream.heard}
    for name in sorted(names):
        signal = by_name(name)
        if signal is not None:
            yield Voice(name, base64.b64encode(b"".join(signal.frames)).decode())
