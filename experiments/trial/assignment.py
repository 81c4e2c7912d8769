"""Assigns models to gateways: what ``--model`` may say on a network with several gateways.

``SPEC``: the model of every gateway for which the topology names none. ``GATEWAY=SPEC,...``: models of the
named gateways. Both: ``correct,hub=none``. A gateway that is not named has the topology's model, or none.
"""

from __future__ import annotations

import re
from typing import Final

from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import Topology

NO_MODEL: Final = "none"
_NAMED: Final = re.compile(r"\s*([a-z][a-z0-9-]*)\s*=(.*)", re.DOTALL)


def split(text: str) -> tuple[str, dict[str, str]]:
    """The spec for all other gateways (may be empty), and the specs of named gateways.

    Raises ``UsageError`` if there is more than one for all other gateways.
    """
    rest: list[str] = []
    named: dict[str, str] = {}
    for part in _parts(text):
        found = _NAMED.fullmatch(part)
        if found is None:
            rest.append(part.strip())
        else:
            named[found[1]] = found[2].strip()
    if len(rest) > 1 or "" in named.values() or (named and "" in rest):
        raise UsageError(f"model '{text}' is not written SPEC or GATEWAY=SPEC,GATEWAY=SPEC")
    return rest[0] if rest else "", named


def models_of(text: str, topology: Topology) -> dict[str, str]:
    """The model spec of each gateway that has one. Raises ``UsageError`` if ``text`` does not fit."""
    rest, named = split(text)
    gateways = {name: router for name, router in topology.gateways.items() if router.image is None}
    for name in named:
        if name not in gateways:
            known = ", ".join(gateways) or "none"
            raise UsageError(
                f"model '{text}': topology '{topology.id}' has no gateway '{name}' (it has: {known})"
            )
    ours = [name for name, router in gateways.items() if router.takes_trials_model]
    if rest not in ("", NO_MODEL) and not ours:
        raise UsageError(
            f"topology '{topology.id}' has no router that could have the model '{rest}': use 'none'"
        )
    return {
        name: named.get(name, (rest or NO_MODEL) if name in ours else router.alg)
        for name, router in gateways.items()
    }


def specs_in(text: str) -> list[str]:
    """The model specs that ``text`` names."""
    rest, named = split(text)
    return [each for each in (rest, *named.values()) if each]


def _parts(text: str) -> list[str]:
    """The parts between commas. Commas in parentheses do not separate."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
