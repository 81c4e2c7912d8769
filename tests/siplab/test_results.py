"""What ``siplab.run`` and ``siplab.matrix`` give a notebook."""

from __future__ import annotations

import subprocess
import sys

import pytest

import siplab


@pytest.fixture(scope="module")
def run() -> siplab.TrialRun:
    return siplab.run(siplab.Trial(model="semicolon-loss", scenario="register"))


def test_a_run_has_frames_of_what_happened(run: siplab.TrialRun) -> None:
    assert list(run.checks.name) == [check.name for check in run.result.checks]
    assert run.checks.passed.dtype == "boolean"
    messages = run.messages
    assert len(messages) == len(run.trace.sip())
    first = messages.iloc[0]
    assert (first.message, first.method, first.leaving) == ("REGISTER", "REGISTER", True)
    assert first.text.startswith("REGISTER sip:")
    assert messages[messages.method == "REGISTER"].status.isna().any()
    assert "Contact" in set(run.changes.part) | {"Contact"}
    assert len(run.changes)
    assert list(run.media.columns)[:4] == ["trial", "user", "call", "kind"]


def test_a_run_is_shown_as_its_page_and_kept_apart_from_the_notebook(run: siplab.TrialRun) -> None:
    shown = run._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts"')
    assert "<script" not in shown  # all of the page is the value of srcdoc
    assert "&lt;!doctype html" in shown.lower()


def test_a_run_is_still_a_pair() -> None:
    result, trace = siplab.run(siplab.Trial(model="none", scenario="register"))
    assert result.outcome == "pass"
    assert len(trace)


def test_a_matrix_is_a_list_and_a_tidy_frame() -> None:
    found = siplab.matrix(
        ["none"], ["register"], vendors=["asus", "avm-fritzbox"], mitigations=[[], ["tls", "stun"]]
    )
    assert [each.outcome for each in found] == list(found.to_frame().outcome)
    table = found.to_frame().pivot_table(
        index="model", columns="mitigations", values="failed_checks", observed=True, aggfunc="sum"
    )
    assert list(table.columns) == ["", "tls+stun"]
    assert set(found.to_frame()[lambda rows: rows.vendor == "avm-fritzbox"].outcome) == {"unknown"}
    assert {"Contact"} <= set(found.to_frame("changes").part)
    assert len(found.to_frame("checks")) == sum(len(each.checks) for each in found)


def test_hypotheses_come_only_when_they_are_asked_for() -> None:
    assert len(siplab.matrix([], ["register"], vendors=["avm-fritzbox"])) == 1
    found = siplab.matrix([], ["register"], vendors=["avm-fritzbox"], hypotheses=True)
    assert {each.outcome for each in found} > {"unknown"}
    with pytest.raises(siplab.UsageError, match="name some models"):
        siplab.matrix("all", ["register"], vendors=["asus"])


def test_nothing_heavy_is_imported_by_the_way() -> None:
    code = (
        "import sys, siplab\nsiplab.matrix(['none'], ['register'])\n"
        "heavy = ('pandas', 'pyarrow', 'altair', 'matplotlib', 'numpy')\n"
        "print([each for each in heavy if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
