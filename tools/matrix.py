"""What every model and variant breaks, as text that a reviewer can read in a diff.

``python -m tools.matrix`` prints it; ``--write`` puts it into ``tests/golden/matrix.txt``. A test compares it
with that file, so it shows when a model stops breaking something or breaks more. The data shipped with
the models (``Card.sufferers``) is made from that file. ``--new`` plays only models that have
no row yet, and removes the rows of models that are gone.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from siplab.alg_models import catalogue
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT, STRICT, Pair
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from tools import agreement

GOLDEN: Final = Path(__file__).parents[1] / "tests" / "golden" / "matrix.txt"
PAIRS: Final = (DEFAULT, STRICT)
"""The default one first."""
# The simplest detector and the most thorough one; the scoreboard has the others. They send their own
# messages, so the endpoints do not matter.
DETECTORS: Final = ("mirror", "combined")
NO_ALG: Final = "none"
_SEEN: Final = "seen: "
_NOTHING: Final = "nothing fails"
_BOTH: Final = " and ".join(map(str, PAIRS))
_HEAD: Final = f"""\
# Each model in the topology home: what detectors say, and of each scenario that fails the first check that
# does, with the default endpoints ({DEFAULT}) and with the strict ones ({STRICT}).
# Scenarios that are not named pass. "seen": what real software came to (tests/data/real-cells.tsv).
# python -m tools.matrix --write
#
# What the default endpoints change against the strict ones, and the evidence:
# - none, media-silence: the router's binding ends in the silence, and rtpengine stays latched to where the
#   media came from before (card proxy-detect: latch_window). It is no ALG's doing; no model's card names it.
# - contact-wrong-port and others that make the Contact wrong: incoming calls fail, because a wrong public
#   Contact under a right Via is believed (card proxy-detect: store, nat_tests).
# - content-length-stale: sooner, for kamailio.cfg compares it with the body (card proxy-detect: udp_length).
# - sdp-c-only and others that make the description wrong: nothing, because rtpengine latches (card
#   proxy-detect: relay_when, latch).
# - response-not-translated-back, ruri-not-restored and others that leave wrong what hardly anybody compares:
#   nothing (card desk: response_match, request_uri_check).
"""


def models() -> list[str]:
    """The models and variants that have a row, in order."""
    return [model.id for model in trial.models().runnable()]


def detections(model: str) -> list[TrialSpec]:
    """The trials in which detectors look at a model."""
    return [TrialSpec("home", model, detector=each) for each in DETECTORS]


def specs(model: str, pair: Pair = DEFAULT) -> list[TrialSpec]:
    """The trials of one model's row with one pair of endpoints."""
    found = [TrialSpec("home", model, item.id) for item in registry.scenarios()]
    return found if pair == DEFAULT else [each.between(pair) for each in found]


def seen(results: Sequence[TrialResult]) -> dict[str, str]:
    """What the detectors say about one model."""
    return {each.spec.played: outcome(each) for each in results}


def failing(results: Sequence[TrialResult]) -> dict[str, str]:
    """The scenarios that fail with one model and pair of endpoints, in short ``all`` or ``all but NAME``."""
    played = {each.spec.played: outcome(each) for each in results}
    failed = {name: outcome for name, outcome in played.items() if outcome != "pass"}
    passed = [name for name in played if name not in failed]
    if len(passed) <= 1 and len(set(failed.values())) == 1:
        return {f"all but {passed[0]}" if passed else "all": next(iter(failed.values()))}
    return failed


def row(model: str, detected: Mapping[str, str], failed: Mapping[Pair, Mapping[str, str]]) -> str:
    """The text about one model, from the result of ``seen``, and of ``failing`` for each pair."""
    parts = [f"{model}\n", _lines(detected)]
    if len({_lines(each) for each in failed.values()}) == 1:
        parts += [f"  {_BOTH}\n", _lines(failed[DEFAULT])] if failed[DEFAULT] else []
    else:
        for pair, cells in failed.items():
            parts += [f"  {pair}\n", _lines(cells) or f"    {_NOTHING}\n"]
    for programs, cells in _real(model).items():
        parts += [f"  {_SEEN}{programs}\n", _lines(cells)]
    return "".join(parts)


def golden() -> dict[str, str]:
    """The rows of the golden file, by model."""
    return _rows(GOLDEN.read_text(encoding="utf-8"))


def blocks(row: str) -> dict[str, dict[str, str]]:
    """The contents of a row: by endpoints the result of ``failing``; under ``""`` that of ``seen``."""
    found: dict[str, dict[str, str]] = {"": {}, **{str(pair): {} for pair in PAIRS}}
    at = [""]
    for line in row.splitlines()[1:]:
        cell = re.match(r"    (all but \S+|\S+) +(.*)", line)
        if cell is None:
            at = [str(pair) for pair in PAIRS] if line.strip() == _BOTH else [line.strip()]
        elif line.strip() != _NOTHING:
            for each in at:
                found.setdefault(each, {})[cell[1]] = cell[2]
    return found


def outcomes(cells: Mapping[str, str], scenarios: Iterable[str]) -> dict[str, str]:
    """The outcome of each of these scenarios, from the result of ``failing``; ``pass`` if not in it."""
    for name, failed in cells.items():
        if name == "all" or name.startswith("all but "):
            passed = name.removeprefix("all but ")
            return {each: "pass" if each == passed else failed for each in scenarios}
    return {each: cells.get(each, "pass") for each in scenarios}


def breaks(text: str) -> str:
    """What each model of this project breaks, from the text of a whole matrix, as the JSON in the package.

    A scenario that fails in the same way without an ALG is left out: the model is not the cause.
    """
    rows = {model: blocks(each) for model, each in _rows(text).items()}
    bare = rows[NO_ALG]
    own = {model.id for model in catalogue.load(plugins=False)}
    found: dict[str, list[dict[str, Any]]] = {}
    for model, tables in rows.items():
        if model not in own or model == NO_ALG:
            continue
        told = [_told(who, cells, bare.get(who, {})) for who, cells in tables.items() if who]
        if any(each["breaks"] for each in told):
            found[model] = told
    return json.dumps(found, indent=1) + "\n"


def _told(endpoints: str, cells: Mapping[str, str], bare: Mapping[str, str]) -> dict[str, Any]:
    real = endpoints.startswith(_SEEN)
    phone, server = endpoints.removeprefix(_SEEN).split(" + ", 1)
    broken = [name for name, check in cells.items() if check not in (agreement.WORKS, bare.get(name))]
    words: list[str] = []
    for name in broken:
        words += ["all", f"-{name[8:]}"] if name.startswith("all but ") else [name]
    told: dict[str, Any] = {"phone": phone, "server": server, "breaks": words}
    return {**told, "seen": True, "tried": list(cells)} if real else told


def _real(model: str) -> dict[str, dict[str, str]]:
    """The results of a model with real software, by the names of the programs."""
    found: dict[str, dict[str, str]] = {}
    for cell in agreement.cells():
        if cell.model == model:
            found.setdefault(agreement.PROGRAMS[cell.config], {})[cell.scenario] = cell.real
    return found


def _rows(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            name = line.strip()
        found[name] = found.get(name, "") + line
    return found


def _lines(cells: Mapping[str, str]) -> str:
    return "".join(f"    {name:16} {outcome}\n" for name, outcome in cells.items())


def outcome(result: TrialResult) -> str:
    if result.errors:
        return f"error: {result.errors[0]}"
    if result.first_failure is not None:
        return result.first_failure.name
    if result.finding is not None and result.finding.changed and result.spec.detector == "mirror":
        return f"{result.outcome}: {', '.join(result.finding.changed)}"
    return result.outcome


def main() -> int:
    """Print the matrix, or write the golden file."""
    known = golden() if "--new" in sys.argv[1:] else {}
    played = [model for model in models() if model not in known]
    asked = [[detections(model), *(specs(model, pair) for pair in PAIRS)] for model in played]
    flat = [each for model in asked for group in model for each in group]
    found = iter(runner.run_all(flat, world="simulated", jobs=os.cpu_count() or 1))
    rows: dict[str, str] = dict(known)
    for model, groups in zip(played, asked, strict=True):
        detected, *calls = ([next(found) for _ in group] for group in groups)
        rows[model] = row(model, seen(detected), dict(zip(PAIRS, map(failing, calls), strict=True)))
    text = _HEAD + "".join(rows[model] for model in models())
    if "--write" in sys.argv[1:]:
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
        catalogue.BREAKS.write_text(breaks(text), encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
