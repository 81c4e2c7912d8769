"""Tables of results: what the dictionary says of a column holds for every cell."""

from __future__ import annotations

import pytest

from siplab.experiments.tables import TABLES, Column, Row, TableName, rows, tables
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec

_TYPES = {"integer": int, "real": float, "boolean": bool, "text": str, "category": str}
SPECS = (
    TrialSpec(model="none", scenario="hold"),
    TrialSpec(model="semicolon-loss", scenario="register"),
    TrialSpec(model="sdp-c-only", scenario="outgoing-call", mitigations=("stun",), phone="plain"),
    TrialSpec(model="sip-blocked", scenario="tcp-call(framing=split)", server="rport-aware"),
    TrialSpec(model="mikrotik", scenario="incoming-call", seed=3),
    TrialSpec(model="blind-ip-replace+semicolon-loss", detector="mirror", reach=True),
    TrialSpec("branch-sbc", model="linux", scenario="outgoing-call"),
    TrialSpec(model="linux", scenario="tcp-call(framing=split)"),
    TrialSpec(model="growth-crosses-mtu", scenario="large-invite"),
)


@pytest.fixture(scope="module")
def results() -> list[TrialResult]:
    asked = [TrialSpec(**{**vars(each), "changes": True}) for each in SPECS]
    return [trial.run(each)[0] for each in asked]


@pytest.fixture(scope="module")
def made(results: list[TrialResult]) -> dict[TableName, list[Row]]:
    return tables(results)


def test_every_table_has_rows(made: dict[TableName, list[Row]]) -> None:
    assert [name for name, found in made.items() if not found] == []
    assert len(made["trials"]) == len(SPECS)


def _wrong(column: Column, value: object) -> str:
    if value is None:
        return "" if column.nullable else "null"
    if type(value) is not _TYPES[column.type]:
        return f"a {type(value).__name__}"
    return "" if not column.values or value in column.values else f"the unknown value {value}"


def test_cells_are_what_the_dictionary_says(made: dict[TableName, list[Row]]) -> None:
    for name, found in made.items():
        for row in found:
            assert list(row) == [each.name for each in TABLES[name]]
            wrong = {each.name: _wrong(each, row[each.name]) for each in TABLES[name]}
            assert not any(wrong.values()), (name, {at: text for at, text in wrong.items() if text})


def test_a_unit_stands_in_the_name_of_its_column() -> None:
    for columns in TABLES.values():
        assert len({each.name for each in columns}) == len(columns)
        for each in columns:
            assert each.meaning
            assert each.name.endswith("_s") == (each.unit == "s")
            assert ("null" in each.meaning) == each.nullable


def test_rows_are_those_of_the_results(made: dict[TableName, list[Row]], results: list[TrialResult]) -> None:
    for number, (row, result) in enumerate(zip(made["trials"], results, strict=True), 1):
        checks = [each for each in made["checks"] if each["trial"] == number]
        assert [(each["name"], each["passed"]) for each in checks] == [
            (each.name, each.passed) for each in result.checks
        ]
        assert (row["outcome"], row["checks"]) == (result.outcome, len(checks))
        streams = [each for each in made["streams"] if each["trial"] == number]
        assert [each["received_packets"] for each in streams] == [each.received for each in result.media]
        silent = sum(each["end_s"] - each["begin_s"] for each in made["silences"] if each["trial"] == number)
        assert silent == pytest.approx(sum(each["silent_s"] for each in streams))
        changed = [each for each in made["changes"] if each["trial"] == number]
        assert bool(changed) == (row["changed_packets"] > 0)


def test_changes_say_which_part_of_which_message() -> None:
    result, _ = trial.run(TrialSpec(model="via-rport-stripped", scenario="register", changes=True))
    found = rows(result, 7)["changes"]
    assert {(each["trial"], each["gateway"], each["entered"]) for each in found} == {(7, "router", "inside")}
    assert {(each["message"], each["part"]) for each in found} == {("REGISTER", "Via")}


def test_a_segment_with_a_part_of_a_message_says_that_it_can_not_be_told(
    made: dict[TableName, list[Row]],
) -> None:
    number = 1 + next(
        at for at, each in enumerate(SPECS) if each.model == "linux" and each.topology == "home"
    )
    assert None in {each["part"] for each in made["changes"] if each["trial"] == number}


def test_changes_are_looked_for_where_somebody_asks() -> None:
    result, _ = trial.run(TrialSpec(model="via-rport-stripped", scenario="register"))
    assert result.packets_changed
    assert result.changes == []


def test_endpoints_have_names_where_nobody_named_them(made: dict[TableName, list[Row]]) -> None:
    first = made["trials"][0]
    assert (first["phone"], first["server"], first["far_phone"]) == (
        DEFAULT.phone,
        DEFAULT.server,
        registry.servers().get(DEFAULT.server).settings.far_kind,
    )


@pytest.mark.parametrize("server", [each.id for each in registry.servers()])
def test_named_far_phones_are_those_that_a_trial_has(server: str) -> None:
    """Naming what stands in the table gives the same trial."""
    spec = TrialSpec(model="none", scenario="register", server=server)
    row = rows(trial.run(spec)[0], 1)["trials"][0]
    named = TrialSpec(
        model="none",
        scenario="register",
        phone=row["phone"],
        server=row["server"],
        far_phone=row["far_phone"],
    )
    net = trial.network_of(spec)
    assert trial.setup_of(named, net) == trial.setup_of(spec, net)


def test_routers_are_told_apart_by_what_is_known_of_them(made: dict[TableName, list[Row]]) -> None:
    by_model = {each["model"]: each for each in made["trials"]}
    assert by_model["none"]["evidence"] == by_model["none"]["model_kind"] == "control"
    assert by_model["semicolon-loss"]["fault_class"] == "rewriting"
    assert by_model["mikrotik"]["vendor"] == "mikrotik"
    assert by_model["mikrotik"]["model_kind"] == "profile"
    assert by_model["blind-ip-replace+semicolon-loss"]["model_kind"] == "combination"
