"""A scoreboard as JUnit XML, for CI: one suite per detector, one case per model or clean control."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from siplab.experiments.score.tally import Row, Score

# Characters that XML 1.0 (section 2.2) does not allow even if escaped. A detector may print anything.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_FAILURES: Final = {
    "missed": "an ALG was called clean",
    "false-alarm": "a router that does nothing to SIP here was accused",
    "undecided": "no verdict",
}
_SKIPPED: Final = {
    "out-of-reach": "out of reach: nothing that the router did could be seen in this exchange",
    "unscored": "either answer is right: the fault is the NAT's, not an ALG's",
}


def as_xml(scores: Sequence[Score], captures: Path | None = None) -> str:
    """The whole document. ``captures``: the folder with the trials' captures, if they are kept.

    Times are seconds on the trials' clocks. Captures are attachments in the form that Jenkins and GitLab
    read.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for score in scores:
        counts = {
            "tests": len(score.rows),
            "failures": sum(row.outcome in _FAILURES for row in score.rows),
            "errors": sum(row.outcome in ("error", "invalid") for row in score.rows),
            "skipped": sum(row.outcome in _SKIPPED for row in score.rows),
            "time": f"{sum(row.seconds for row in score.rows):.3f}",
        }
        attributes = " ".join(f'{name}="{count}"' for name, count in counts.items())
        lines.append(f"  <testsuite name={_quoted(score.detector)} {attributes}>")
        for row in score.rows:
            lines += _case(score.detector, row, captures)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _case(detector: str, row: Row, captures: Path | None) -> list[str]:
    classname = f"siplab.{detector}.{row.subject.group}"
    names = f"classname={_quoted(classname)} name={_quoted(row.subject.id)}"
    inside = [*_verdict(row), *_attachments(row, captures)]
    opening = f'    <testcase {names} time="{row.seconds:.3f}"'
    return [f"{opening}>", *inside, "    </testcase>"] if inside else [f"{opening}/>"]


def _verdict(row: Row) -> list[str]:
    """The element that states a case's failure; none if the case is as it should be."""
    verdicts = ", ".join(dict.fromkeys(row.verdicts))
    what = f"said {verdicts}, expected {row.subject.expected}"
    if row.detail:
        what += f": {row.detail}"
    kind = _quoted(row.outcome)
    if row.outcome in _FAILURES:
        message = f"{_FAILURES[row.outcome]} ({what})"
        return [f"      <failure type={kind} message={_quoted(message)}/>"]
    if row.outcome in _SKIPPED:
        return [f"      <skipped message={_quoted(_SKIPPED[row.outcome])}/>"]
    if row.outcome in ("error", "invalid"):
        return [f"      <error type={kind} message={_quoted(what)}/>"]
    return []


def _attachments(row: Row, captures: Path | None) -> list[str]:
    """The captures of a case's trials, as attachments."""
    if captures is None:
        return []
    paths = "\n".join(f"[[ATTACHMENT|{captures / stem}.pcapng]]" for stem in row.stems)
    return [f"      <system-out>{escape(_NOT_XML.sub(_REPLACED, paths))}</system-out>"]


def _quoted(text: str) -> str:
    return quoteattr(_NOT_XML.sub(_REPLACED, text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
