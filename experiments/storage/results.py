"""Makes results from stored tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from siplab.experiments.storage.manifest import Manifest
from siplab.experiments.storage.store import Store
from siplab.experiments.tables import Row, TableName
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.changed_parts import ChangedPart
from siplab.experiments.trial.media import StreamReport
from siplab.experiments.trial.reach import Reach
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check, Finding

_SPEC = (
    *("topology", "model", "scenario", "detector", "control", "seed", "gateway"),
    *("phone", "server", "far_phone"),
)
_OTHERS: tuple[TableName, ...] = ("checks", "streams", "silences", "changes", "findings")


def spec_of(row: Row, manifest: Manifest) -> TrialSpec:
    """The trial of a row of ``trials``, with named endpoints. A program as detector is given by its id."""
    return TrialSpec(
        **{name: row[name] for name in _SPEC},
        mitigations=tuple(each for each in row["mitigations"].split("+") if each),
        longest=row["longest_s"],
        model_paths=tuple(manifest.model_paths),
        detector_paths=tuple(manifest.detector_paths),
        scenario_paths=tuple(manifest.scenario_paths),
        # An invalid trial ends before reach is measured.
        reach=row["reach_touched"] is not None or (manifest.reach and row["outcome"] == "error"),
        changes=True,
    )


def results(store: Store, parts: Iterable[int] | None = None) -> Iterator[tuple[int, TrialResult]]:
    """Number and result of each stored trial, part by part. Raises ``UsageError``.

    What no table holds is missing: recordings, explanations, notes.
    """
    for part in sorted(store.parts() if parts is None else parts):
        others: dict[TableName, dict[int, list[Row]]] = {}
        for name in _OTHERS:
            by_trial: dict[int, list[Row]] = defaultdict(list)
            for row in store.rows(name, parts=[part]):
                by_trial[row["trial"]].append(row)
            others[name] = by_trial
        for row in store.rows("trials", parts=[part]):
            number = row["trial"]
            yield (
                number,
                _result(row, {name: others[name].get(number, []) for name in _OTHERS}, store.manifest),
            )


def _result(row: Row, of: dict[TableName, list[Row]], manifest: Manifest) -> TrialResult:
    spec = spec_of(row, manifest)
    texts = defaultdict(list)
    for each in of["findings"]:
        texts[each["kind"]].append(each["text"])
    errors = [row["first_error"]] if row["errors"] else []
    return TrialResult(
        spec,
        row["world"],
        checks=[
            Check(each["name"], each["passed"], each["symptom"], each["detail"], each["about"])
            for each in of["checks"]
        ],
        finding=None
        if row["verdict"] is None
        else Finding(
            row["verdict"],
            tuple(texts["changed"]),
            row["verdict_detail"],
            tuple(texts["fault"]),
            tuple(texts["evidence"]),
        ),
        errors=errors + [f"and {row['errors'] - 1} more"] * (row["errors"] > 1),
        unknown=row["outcome"] == "unknown",
        not_applicable=row["not_applicable"],
        duration=row["duration_s"],
        packets_changed=row["changed_packets"],
        reach=None
        if row["reach_touched"] is None
        else Reach(row["reach_touched"], tuple(texts["rewritten"]), row["reach_translation_only"]),
        media=[_stream(each, of["silences"]) for each in of["streams"]],
        models=dict(trial.setup_of(spec, trial.network_of(spec)).models),
        changes=[
            ChangedPart(each["gateway"], each["entered"], each["message"], each["part"], each["packets"])
            for each in of["changes"]
        ],
    )


def _stream(row: Row, silences: list[Row]) -> StreamReport:
    where = ("user", "call", "kind")
    place: list[Any] = [row[name] for name in where]
    return StreamReport(
        row["user"],
        row["call"],
        row["kind"],
        row["sent_packets"],
        row["received_packets"],
        row["lost_packets"],
        row["duplicate_packets"],
        row["reordered_packets"],
        row["first_packet_s"],
        tuple((each["begin_s"], each["end_s"]) for each in silences if [each[n] for n in where] == place),
        row["rtcp_sent"],
        row["rtcp_received"],
    )
