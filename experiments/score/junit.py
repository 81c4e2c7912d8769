"""A scoreboard as JUnit XML, for CI: a suite per detector, a case per model or clean control."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import quoteattr

from siplab.experiments.score.tally import Row, Score

# What XML 1.0 can't hold at all (section 2.2), even escaped: a detector may print anything.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAILURES: Final = {
    "missed": "an ALG was called clean",
    "false-alarm": "a router that does nothing to SIP here was accused",
    "undecided": "no verdict",
}
_SKIPPED: Final = {
    "out-of-reach": "out of reach: nothing that the router did could be seen in this exchange",
    "unscored": "either answer is right: the fault is the NAT's, not an ALG's",
}


def as_xml(scores: Sequence[Score]) -> str:
    """The whole document."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for score in scores:
        counts = {
            "tests": len(score.rows),
            "failures": sum(row.outcome in _FAILURES for row in score.rows),
            "errors": sum(row.outcome in ("error", "invalid") for row in score.rows),
            "skipped": sum(row.outcome in _SKIPPED for row in score.rows),
        }
        attributes = " ".join(f'{name}="{count}"' for name, count in counts.items())
        lines.append(f"  <testsuite name={_quoted(score.detector)} {attributes}>")
        for row in score.rows:
            lines += _case(score.detector, row)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _case(detector: str, row: Row) -> list[str]:
    classname = f"siplab.{detector}.{row.subject.group}"
    opening = f"    <testcase classname={_quoted(classname)} name={_quoted(row.subject.id)}"
    verdicts = ", ".join(dict.fromkeys(row.verdicts))
    what = f"said {verdicts}, expected {row.subject.expected}"
    if row.detail:
        what += f": {row.detail}"
    if row.outcome in _FAILURES:
        message = f"{_FAILURES[row.outcome]} ({what})"
        return [
            f"{opening}>",
            f"      <failure type={_quoted(row.outcome)} message={_quoted(message)}/>",
            "    </testcase>",
        ]
    if row.outcome in _SKIPPED:
        return [
            f"{opening}>",
            f"      <skipped message={_quoted(_SKIPPED[row.outcome])}/>",
            "    </testcase>",
        ]
    if row.outcome in ("error", "invalid"):
        kind = _quoted(row.outcome)
        return [f"{opening}>", f"      <error type={kind} message={_quoted(what)}/>", "    </testcase>"]
    return [f"{opening}/>"]


def _quoted(text: str) -> str:
    return quoteattr(
        _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    )
