"""Pages in a real browser: what a reader sees, hears and reaches; hostile text becomes text, and no more.

One browser does everything, once (``tests/browser/page.mjs``), and says what it found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from siplab.experiments.output import book
from siplab.experiments.output.compatibility import Plan, refused, subjects, table
from siplab.experiments.output.document import document
from siplab.experiments.output.page.render import Entry, page
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from tests.browsing import found_by, keep_pictures, lacking
from tests.conftest import missing

EVIL: Final = "<img src=x onerror=window.PWNED=1><script>window.PWNED=2</script>"
# The router changes c= and leaves m=: the provider's relay sends media to a port that nobody opened.
SPEC: Final = TrialSpec("home", "sdp-c-only", "outgoing-call", server="hosted(latch=untrusted)")
FINDINGS: Final = (
    "side by side, row by row",
    "a changed row shows its lines and marked bytes",
    "a broken rule stands with its RFC",
    "show it selects the guilty message",
    "the hash brings the same back",
    "keys lead from row to row and from change to change",
    "sound plays and its time goes on",
    "a box of the network leads to its messages",
    "the keyboard alone reaches everything",
    "axe finds nothing serious: light, outcome",
    "axe finds nothing serious: dark, message",
    "axe finds nothing serious: light, sound",
    "axe finds nothing serious: light, network",
    "prints whole",
    "reads well at 390 px",
    "hostile text stays text",
    "any hash opens the page",
    "an index leads to trials and back",
    "the table of compatibility: unknown is grey, a cell leads to its report",
    "no errors, no requests",
)


def poisoned(value: Any) -> Any:
    """The same with hostile text behind everything that is shown, but for names by which things are found."""
    kept = {"kind", "outcome", "gateway", "path", "aim", "world", "voices", "content", "verdict", "streams"}
    if is_dataclass(value) and not isinstance(value, type):
        given = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
        return replace(
            value, **{name: each if name in kept else poisoned(each) for name, each in given.items()}
        )
    if isinstance(value, tuple):
        return tuple(poisoned(each) for each in value)
    if isinstance(value, Mapping):
        return value
    return f"{value}{EVIL}" if isinstance(value, str) and value else value


def test_in_a_browser(tmp_path: Path) -> None:
    """One test, so that there is one browser, however many workers play tests."""
    if lack := lacking():
        missing(f"{lack}; tools/setup.sh test installs it")
    folder = tmp_path
    result, trace = trial.run(SPEC)
    shown = document(result, trace)
    view = shown.variants[0].trial
    (failed,) = (each for each in view.checks if not each.passed)
    assert failed.cause is not None
    guilty = failed.cause.message
    assert guilty is not None
    lines = [
        line
        for altered in view.message(guilty).altered
        for pair in altered.lines
        for line in (pair.before, pair.after)
        if line is not None
    ]
    result, trace = trial.run(TrialSpec("home", "semicolon-loss", "register"))
    broken = document(result, trace, try_remedies=False)
    rule = broken.variants[0].trial.changes[0].broken[0]
    expected = {
        "changed": {
            "number": guilty,
            "lines": [each.text for each in lines],
            "marks": [each.text[start:end] for each in lines for start, end in each.marks],
        },
        "guilty": guilty,
        "heard": next(number for number, each in enumerate(view.streams) if each.received),
        "broken": {"reference": rule.reference},
    }
    (folder / "call.html").write_text(book.of_one(*trial.run(SPEC)), encoding="utf-8")
    (folder / "broken.html").write_text(page("broken", "", [Entry("broken", "fail", "", broken)]))
    (folder / "hostile.html").write_text(
        page(f"x{EVIL}", EVIL, [Entry(f"x{EVIL}", "fail", EVIL, poisoned(shown))]), encoding="utf-8"
    )
    specs = [TrialSpec("home", model, "register") for model in ("none", "correct", "semicolon-loss")]
    results = runner.run_all(specs, world="simulated")
    (folder / "index.html").write_text(book.of_many("Three trials", "For tests.", results), encoding="utf-8")
    plan = Plan(
        subjects(["semicolon-loss", "sdp-c-only"], ["asus", "avm-fritzbox", "broadcom-bcm963xx"]),
        ("register", "outgoing-call", "incoming-call", "message"),
        ("", "pseudo-tls"),
        (("home", "", ""),),
        (1,),
    )
    left = refused(plan)
    known = [spec for key, _ in plan.cells() if key not in left for spec in plan.specs(key)]
    results = runner.run_all(known, world="simulated")
    failures = {
        key: result
        for (key, _), result in zip([one for one in plan.cells() if one[0] not in left], results, strict=True)
        if result.outcome == "fail"
    }
    (folder / "matrix.html").write_text(
        book.of_matrix(table(plan, results, left), failures, None), encoding="utf-8"
    )
    expected |= {"trials": 3, "documents": 1, "router": "semicolon-loss"}
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    found: dict[str, object] = found_by("page.mjs", folder, timeout=300)
    keep_pictures(folder)
    assert {name: what for name, what in found.items() if what is not True} == {}
    assert list(found) == list(FINDINGS)


def test_a_call_with_four_variants_and_sound_is_below_400_kb() -> None:
    result, trace = trial.run(SPEC)
    made = document(result, trace)
    assert len(made.variants) == 4
    assert len(made.voices) == 2
    assert len(book.of_one(result, trace).encode()) < 400_000


def test_what_trials_say_is_packed_and_nothing_of_it_is_html() -> None:
    result, trace = trial.run(TrialSpec("home", "semicolon-loss", "register"))
    made = poisoned(document(result, trace, try_remedies=False))
    text = page(f"x{EVIL}", EVIL, [Entry(EVIL, "fail", EVIL, made)])
    assert EVIL not in text
    assert text.count("<img") == 0
    assert text.count("<script") == 3  # the book, the trial, and the page's own


def test_a_page_that_is_full_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST", 1)
    specs = [TrialSpec("home", "semicolon-loss", "register", seed=seed) for seed in (1, 2, 3)]
    seen: list[object] = []
    monkeypatch.setattr(book, "page", lambda *arguments: str(seen.extend(arguments)))  # type: ignore[func-returns-value]
    book.of_many("t", "", runner.run_all(specs, world="simulated"))
    entries, words = seen[2], seen[3]
    assert [each.document is not None for each in entries] == [True, False, False]  # type: ignore[attr-defined]
    assert any("2 more failing trials left out" in each for each in words)  # type: ignore[attr-defined]
