"""Makes the rows of the tables from the result of a trial."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from siplab.alg_models import profiles
from siplab.alg_models.profiles import Profile
from siplab.experiments.tables.dictionary import TABLES, TableName
from siplab.experiments.tables.endpoints import endpoints_of
from siplab.experiments.tables.inputs import digest, key_of
from siplab.experiments.trial import assignment
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.lab.gateway.alg import Model

Row = dict[str, Any]
_SEVERAL: Final = "several"
# The columns before these say what the trial was.
_OUTCOMES_FROM: Final = [each.name for each in TABLES["trials"]].index("outcome")


def tables(results: Iterable[TrialResult]) -> dict[TableName, list[Row]]:
    """All tables of these results. The trials are numbered from 1."""
    return tables_of(enumerate(results, 1))


def tables_of(results: Iterable[tuple[int, TrialResult]]) -> dict[TableName, list[Row]]:
    """All tables of results with given numbers."""
    found: dict[TableName, list[Row]] = {name: [] for name in TABLES}
    for number, result in results:
        for name, made in rows(result, number).items():
            found[name] += made
    return found


def rows(result: TrialResult, number: int) -> dict[TableName, list[Row]]:
    """The rows of one trial. ``number``: its number in the experiment.

    Raises ``UsageError`` for a model or an endpoint that does not exist.
    """
    found: dict[TableName, list[Row]] = {
        "trials": [_trial(result, number)],
        "checks": [
            {
                "trial": number,
                "number": at,
                "name": each.name,
                "passed": each.passed,
                "about": each.about,
                "symptom": each.symptom,
                "detail": each.detail,
            }
            for at, each in enumerate(result.checks, 1)
        ],
        "streams": [
            {
                "trial": number,
                "user": each.who,
                "call": each.call,
                "kind": each.kind,
                "sent_packets": each.sent,
                "received_packets": each.received,
                "lost_packets": each.lost,
                "duplicate_packets": each.duplicates,
                "reordered_packets": each.reordered,
                "first_packet_s": each.first_after,
                "silences": len(each.silences),
                "silent_s": round(sum((end - begin for begin, end in each.silences), 0.0), 3),
                "rtcp_sent": each.rtcp_sent,
                "rtcp_received": each.rtcp_received,
            }
            for each in result.media
        ],
        "silences": [
            {
                "trial": number,
                "user": each.who,
                "call": each.call,
                "kind": each.kind,
                "begin_s": begin,
                "end_s": end,
            }
            for each in result.media
            for begin, end in each.silences
        ],
        "changes": [
            {
                "trial": number,
                "number": at,
                "gateway": each.gateway,
                "entered": each.entered,
                "message": each.message,
                "part": each.part,
                "packets": each.packets,
            }
            for at, each in enumerate(result.changes, 1)
        ],
        "findings": [
            {"trial": number, "kind": kind, "number": at, "text": text}
            for kind, texts in _findings(result)
            for at, text in enumerate(texts, 1)
        ],
    }
    found["trials"][0] |= {"key": key_of(result.spec, result.world), "digest": _digest(found)}
    return found


def _digest(found: dict[TableName, list[Row]]) -> str:
    """A digest of a trial's outcome. It covers neither the trial's spec nor its number."""
    trial_row = list(found["trials"][0].items())
    came = [trial_row[_OUTCOMES_FROM:]]
    others = [[*row.items()][1:] for name, some in found.items() if name != "trials" for row in some]
    return digest(json.dumps([*came, *others], ensure_ascii=True, separators=(",", ":")))


def _trial(result: TrialResult, number: int) -> Row:
    spec, first, reach = result.spec, result.first_failure, result.reach
    about = _about(spec.model, spec.model_paths)
    return {
        "trial": number,
        "topology": spec.topology,
        "model": spec.model,
        "model_kind": about.kind,
        "fault_class": about.fault_class,
        "vendor": about.vendor,
        "evidence": about.evidence,
        "scenario": spec.scenario,
        "detector": spec.detector if isinstance(spec.detector, str) else spec.detector.id,
        "mitigations": "+".join(spec.mitigations),
        "control": spec.control,
        "gateway": spec.gateway,
        **endpoints_of(spec),
        "seed": spec.seed,
        "varied": spec.vary,
        "longest_s": spec.longest,
        "world": result.world,
        "outcome": result.outcome,
        "checks": len(result.checks),
        "failed_checks": sum(not each.passed for each in result.checks),
        "first_failure": first.name if first is not None else "",
        "symptom": first.symptom if first is not None else "",
        "verdict": result.finding.verdict if result.finding is not None else None,
        "verdict_detail": result.finding.detail if result.finding is not None else "",
        "errors": len(result.errors),
        "first_error": result.errors[0] if result.errors else "",
        "not_applicable": result.not_applicable,
        "duration_s": round(result.duration, 6),
        "changed_packets": result.packets_changed,
        "reach_touched": reach.touched if reach is not None else None,
        "reach_translation_only": reach.translation_only if reach is not None else None,
    }


def _findings(result: TrialResult) -> list[tuple[str, tuple[str, ...]]]:
    found, reach = result.finding, result.reach
    told: list[tuple[str, tuple[str, ...]]] = []
    if found is not None:
        told += [("changed", found.changed), ("fault", found.faults), ("evidence", found.evidence)]
    return told + ([("rewritten", reach.changed)] if reach is not None else [])


class _About(NamedTuple):
    """What is known of a router."""

    kind: str
    fault_class: str
    vendor: str
    evidence: str


@lru_cache(maxsize=4096)
def _about(spec: str, paths: tuple[str, ...]) -> _About:
    """What is known of a trial's routers; ``several`` if they differ in it."""
    known = trial.models(paths)
    found = {_of_model(known.get(each)) for each in assignment.specs_in(spec)}
    if len(found) == 1:
        return found.pop()
    return _About(_SEVERAL, "", "", "none")


def _of_model(model: Model) -> _About:
    if isinstance(model, Profile):
        told = profiles.about(model)
        behind = model.behind
        return _About(
            model.card.kind,
            behind.card.fault_class if behind is not None else "",
            told["id"],
            told.get("evidence", "none"),
        )
    card = model.card
    evidence = (
        "control" if card.kind == "control" else next((str(each.evidence) for each in card.sources), "none")
    )
    return _About(card.kind, card.fault_class, "", evidence)
