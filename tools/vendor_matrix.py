"""What every vendor's router breaks, in all scenarios and with four servers: one digest per card.

``python -m tools.vendor_matrix`` prints it; ``--write`` puts it into ``tests/golden/vendors.txt``, and a test
compares it with that file. ``--new`` plays only models that have no row yet. A model behind several cards is
played once. The pages of docs/vendors/ are made from that file.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from siplab.alg_models import catalogue, profiles, vendors
from siplab.alg_models.profiles import Profile
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial.pairs import DEFAULT, Pair
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import specs as written

GOLDEN: Final = Path(__file__).parents[1] / "tests" / "golden" / "vendors.txt"
PAIRS: Final = (
    Pair("desk", "strict-addresses", "desk"),
    DEFAULT,
    Pair("desk", "pbx-nat", "desk"),
    Pair("desk", "hosted", "desk"),
)
NO_ALG: Final = "none"
_HEAD: Final = """\
# The vendors' cards: what their models come to in the topology home, of each scenario that fails the first
# check that does, between these endpoints. Scenarios that are not named pass.
# python -m tools.vendor_matrix --write
"""
_CARDS: Final = "# cards: digest of all that their models come to\n"


def known() -> dict[str, dict[str, Profile]]:
    """By card and variant: the profiles with known behaviour."""
    models = catalogue.load(plugins=False)
    found: dict[str, dict[str, Profile]] = {}
    for identifier in vendors.available():
        card = vendors.load(identifier)
        names = {"main": identifier} | {
            each.id: written.written(identifier, {"variant": each.id}) for each in card.variants
        }
        rows = {name: models.get(spec) for name, spec in names.items()}
        found[identifier] = {
            name: each
            for name, each in rows.items()
            if isinstance(each, Profile) and not profiles.is_unknown(each)
        }
    return found


def behind(profile: Profile) -> str:
    """The spec of the model that a known profile runs."""
    return profile.behind.id if profile.behind is not None else NO_ALG


def models() -> list[str]:
    """The models behind all cards; the first is the router without an ALG."""
    named = [behind(each) for card in known().values() for each in card.values()]
    return list(dict.fromkeys([NO_ALG, *sorted(named)]))


def specs(model: str, pair: Pair) -> list[TrialSpec]:
    """The trials of a model between one pair of endpoints."""
    return [TrialSpec("home", model, item.id).between(pair) for item in registry.scenarios()]


def failing(results: Sequence[TrialResult]) -> dict[str, str]:
    """The scenarios that fail, each with its first failed check."""
    return {each.spec.scenario: _outcome(each) for each in results if each.outcome != "pass"}


def _outcome(result: TrialResult) -> str:
    if result.errors:
        return f"error: {result.errors[0]}"
    return result.first_failure.name if result.first_failure is not None else result.outcome


def row(model: str, failed: Mapping[str, Mapping[str, str]]) -> str:
    """The text about one model: by pair, scenario and check."""
    text = f"{model}\n"
    for pair, cells in failed.items():
        text += f"  {pair}\n" + "".join(f"    {name:16} {check}\n" for name, check in cells.items())
    return text


def golden() -> dict[str, str]:
    """The rows of the golden file, by model."""
    text = GOLDEN.read_text(encoding="utf-8") if GOLDEN.exists() else ""
    found: dict[str, str] = {}
    name = ""
    for line in text.partition(_CARDS)[0].splitlines(keepends=True):
        if line.startswith("#"):
            continue
        name = name if line.startswith(" ") else line.strip()
        found[name] = found.get(name, "") + line
    return found


def broken(model: str, rows: Mapping[str, str]) -> dict[str, list[str]]:
    """By pair of endpoints, the scenarios that a model breaks; not those that fail without an ALG, too."""
    mine, bare = cells(rows.get(model, "")), cells(rows.get(NO_ALG, ""))
    return {
        pair: [name for name, check in cells.items() if bare.get(pair, {}).get(name) != check]
        for pair, cells in mine.items()
    }


def cells(text: str) -> dict[str, dict[str, str]]:
    """A row's text in the form that ``row`` takes: by pair, scenario and check."""
    found: dict[str, dict[str, str]] = {}
    pair = ""
    for line in text.splitlines()[1:]:
        cell = re.match(r"    (\S+) +(.*)", line)
        if cell is None:
            pair = line.strip()
            found[pair] = {}
        else:
            found[pair][cell[1]] = cell[2]
    return found


def digests(rows: Mapping[str, str]) -> dict[str, str]:
    """A digest per card, of the rows of its models; a card without known behaviour has none."""
    found = {}
    for identifier, profiles_ in known().items():
        text = "".join(f"{name}\n{rows[behind(each)]}" for name, each in profiles_.items())
        found[identifier] = hashlib.sha256(text.encode()).hexdigest()[:16] if text else "unknown"
    return found


def cards(rows: Mapping[str, str]) -> str:
    """The lines of the cards: the digest, and the model of each variant."""
    lines = []
    for identifier, digest in digests(rows).items():
        named = ", ".join(f"{name}: {behind(each)}" for name, each in known()[identifier].items())
        lines.append(f"{identifier:26} {digest:16} {named}".rstrip() + "\n")
    return "".join(lines)


def text_of(rows: Mapping[str, str]) -> str:
    """The whole file."""
    return _HEAD + "".join(rows[model] for model in models()) + _CARDS + cards(rows)


def main() -> int:
    """Print the matrix, or write the golden file."""
    rows = golden() if "--new" in sys.argv[1:] else {}
    played = [model for model in models() if model not in rows]
    asked = [[specs(model, pair) for pair in PAIRS] for model in played]
    flat = [each for model in asked for group in model for each in group]
    found = iter(runner.run_all(flat, world="simulated", jobs=os.cpu_count() or 1))
    for model, groups in zip(played, asked, strict=True):
        outcomes = [failing([next(found) for _ in group]) for group in groups]
        rows[model] = row(model, dict(zip(map(str, PAIRS), outcomes, strict=True)))
    if "--write" in sys.argv[1:]:
        GOLDEN.write_text(text_of(rows), encoding="utf-8")
    else:
        print(text_of(rows), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
