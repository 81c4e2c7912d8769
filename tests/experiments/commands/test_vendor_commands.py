"""``siplab vendors`` and ``siplab schema`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from siplab.alg_models import vendors
from siplab.experiments.commands import schemas
from siplab.experiments.output import vendor_cards
from siplab.lab.errors import UsageError
from tests.command import one_line_error, siplab


def test_the_list() -> None:
    rows = json.loads(siplab("vendors", "--json").stdout)
    assert [row["id"] for row in rows] == vendors.available()
    columns = ["id", "default", "can be disabled", "best evidence", "behaviour", "model", "lineage"]
    assert all(list(row) == columns for row in rows)
    table = siplab("vendors").stdout
    for row in rows:
        assert row["id"] in table
    for column in columns:
        assert column in table
    byid = {row["id"]: row for row in rows}
    assert byid["draytek"]["default"] == "off"
    assert byid["virgin-superhub"]["can be disabled"] == "no"
    assert byid["tp-link"]["lineage"] == "tplink-mt7628"
    assert byid["pfsense"]["model"] == "none"
    assert byid["linux-netfilter"]["best evidence"] == "source-code"
    assert byid["linux-netfilter"]["model"] == "linux"


def test_a_card() -> None:
    shown = siplab("vendors", "show", "draytek")
    assert shown.returncode == 0, shown.stderr
    for part in (
        "sys sip_alg 0",
        "sys commit",
        "Vigor 2750 and Vigor 2130 (telnet)",
        "kmodule_ctl nf_nat_sip disable",
        "kmodule_ctl nf_conntrack_sip disable",
        "[seed]",
        'The article "What is SIP ALG?"',
        "https://www.draytek.co.uk/support/guides/kb-sip-alg",
        "model: unknown",
    ):
        assert part in shown.stdout, part


@pytest.mark.parametrize("word", ["fritzbox", "FRITZ!Box", "avm-fritzbox"])
def test_found_by_another_name(word: str) -> None:
    assert json.loads(siplab("vendors", "show", word, "--json").stdout)["id"] == "avm-fritzbox"


def test_json_has_the_shape_of_the_file() -> None:
    data = json.loads(siplab("vendors", "show", "asus", "--json").stdout)
    steps = [row["steps"] for row in data["switch_off"]["procedures"] if row["kind"] == "telnet"]
    assert steps == [["nvram set nf_sip=0", "nvram commit", "Reboot"]]
    assert data["switch_off"]["procedures"][1]["for"] == "firmware without that option"


def test_commands_are_never_broken_into_lines() -> None:
    for identifier in ("fortinet-fortigate", "juniper", "openwrt"):
        shown = siplab("vendors", "show", identifier, COLUMNS="40").stdout
        profile = vendors.load(identifier)
        for procedure in profile.switch_off.procedures:
            for step in procedure.steps:
                assert f". {step}\n" in shown
            assert procedure.url is None or procedure.url in shown


@pytest.mark.parametrize("identifier", vendors.available())
def test_every_card_prints_all_that_it_has(identifier: str, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    data = vendor_cards.vendor(identifier)
    vendor_cards.print_card(data, Console(width=10000))
    shown = capsys.readouterr().out
    for text in _texts({name: value for name, value in data.items() if name not in ("id", "name")}):
        assert text in shown or text == "sourced"  # such a note has its source behind it


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def test_a_card_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(
        "id: acme\nname: Acme\nmodel: unknown\ndefault: {state: unknown}\nswitch_off: {possible: unknown}\n"
    )
    assert "nobody has documented" in siplab("vendors", "show", str(file)).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vendors", "show", "draytec"], ["unknown vendor 'draytec'", "did you mean draytek"]),
        (["vendors", "show", "qqqq"], ["unknown vendor 'qqqq'", "siplab vendors"]),
        (["vendors", "show", "/nonexistent.yaml"], ["/nonexistent.yaml", "no such file"]),
        (["schema", "vendr"], ["unknown schema 'vendr'", "vendor"]),
        (["schema", "qqqq"], ["known are vendor, topology, experiment"]),
    ],
)
def test_bad_names_are_refused_in_one_line(
    arguments: list[str],
    words: list[str],
) -> None:
    one_line_error(siplab(*arguments), *words)


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_schemas(kind: str) -> None:
    done = siplab("schema", kind)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert data["title"] == f"siplab {kind}"
    if kind not in schemas.FILES:
        return
    # A file of some kinds may be written in one shape or another.
    shapes = [data["$defs"][each["$ref"].rpartition("/")[2]] for each in data.get("anyOf", ())] or [data]
    for shape in shapes:
        assert shape["type"] == "object"
        assert shape["additionalProperties"] is False
        assert "id" in shape["required"] or kind == "exercise"  # whose id is the name of its file


def test_schema_of_vendors_speaks_the_files_language() -> None:
    defs = schemas.schema("vendor")["$defs"]
    assert "for" in defs["Procedure"]["properties"]
    assert "seed" in defs["Evidence"]["enum"]
    assert "as shipped" in defs["Default"]["properties"]["state"]["description"]
    with pytest.raises(UsageError):
        schemas.schema("card")
