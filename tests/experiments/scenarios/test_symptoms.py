"""docs/symptoms.md, recomputed: every symptom occurs where the page says so, and not in its control."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tools import symptoms
from tools.symptoms import PAGE, PART, SYMPTOMS, Symptom


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda each: each.text)
def test_it_occurs_there_and_not_in_its_control(symptom: Symptom) -> None:
    for spec in symptom.producers():
        checks = symptoms.look(spec, symptom.checks)
        assert not any(each.passed for each in checks), spec.name
        assert all(each.symptom for each in checks)
    assert symptom.quiet_ones()
    for spec in symptom.quiet_ones():
        assert all(each.passed for each in symptoms.look(spec, symptom.checks)), spec.name
        assert spec not in symptom.producers()


def test_the_page_is_up_to_date() -> None:
    """If it is not: ``python -m tools.symptoms --write``."""
    page = PAGE.read_text(encoding="utf-8")
    assert PART.updated(page) == page


@pytest.mark.parametrize(
    "words",
    [
        "not registered",
        "straight to voicemail",
        "does not ring",
        "One-way audio",
        "No audio at all",
        "drop after a fixed time",
        "Hold fails",
        "Transfer fails",
        "conference fails",
        "Video is frozen",
        "Choppy",
        "lost connection",
        "incompatibility",
        "pinholes",
    ],
)
def test_what_the_articles_name_is_there(words: str) -> None:
    assert any(words in each.text for each in SYMPTOMS)


def test_what_is_not_so_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    true = SYMPTOMS[0]
    for wrong, why in (
        (replace(true, models=("correct",)), "'registered' does not fail"),
        (replace(true, controls=("blind-ip-replace",)), "fails in a control"),
        (replace(true, checks=("rings",)), "no check 'rings'"),
    ):
        monkeypatch.setattr(symptoms, "SYMPTOMS", (wrong,))
        with pytest.raises(SystemExit, match=why):
            symptoms.table()
