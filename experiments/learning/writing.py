"""Writes a learnt model as files: a Python module for ``--model-path``, and plain data."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from enum import Enum
from typing import Any, Final

from siplab.experiments.learning.learning import Learnt
from siplab.lab.gateway.nat_config import NatConfig

_ID: Final = re.compile(r"[^a-z0-9.-]+")


def as_data(learnt: Learnt) -> dict[str, Any]:
    """Everything that was learnt, as plain data."""
    found, held_out = learnt.found, learnt.held_out
    return {
        "tie": [each.id for each in found.tie],
        "distance": found.distance,
        "rules": learnt.rules.as_data() if learnt.rules is not None else None,
        "nat": {key: str(value) for key, value in _nat(learnt).items()},
        "messages": learnt.agreement.total,
        "equal": learnt.agreement.equal,
        "otherwise": dict(learnt.agreement.otherwise.most_common()),
        "held_out": None if held_out is None else {"messages": held_out.total, "equal": held_out.equal},
        "unshown": list(found.unshown),
        "tried": found.tried,
        "packets": found.packets,
        "ended": found.ended,
        "cpu_seconds": round(found.seconds, 1),
    }


def _nat(learnt: Learnt) -> dict[str, Any]:
    """The NAT's settings that are not the usual ones."""
    usual = NatConfig()
    changed = {}
    for each in fields(NatConfig):
        value = getattr(learnt.observed.nat, each.name)
        if value != getattr(usual, each.name):
            changed[each.name] = value
    return changed


def _literal(value: object) -> str:
    """A setting as Python source."""
    return f"{type(value).__name__}({value.value!r})" if isinstance(value, Enum) else repr(value)


def as_module(learnt: Learnt, name: str) -> str:
    """A Python module with the model, called ``learnt-NAME``, for ``--model-path``."""
    base = learnt.found.model.id
    rules = ""
    if learnt.rules is not None:
        data = json.dumps(learnt.rules.as_data(), indent=4, ensure_ascii=True)
        rules = f'\nRULES = Rules(**json.loads(r"""{data}"""))\n'
    nat = ", ".join(f"{key!r}: {_literal(value)}" for key, value in _nat(learnt).items())
    steps = "(*BASE.steps, RULES)" if rules else "BASE.steps"
    imports = "import json\n\n" if rules else ""
    rules_import = "from siplab.experiments.learning.rules import Rules\n" if rules else ""
    return (
        f'"""A router that was seen in captures: written by siplab learn, to be run with --model-path.\n\n'
        f"{_told(learnt)}\n"
        '"""\n\n'
        f"{imports}"
        "from siplab.alg_models.catalogue import load\n"
        f"{rules_import}"
        "from siplab.lab.gateway.nat_config import Dependence, PortAllocation, Refresh  # noqa: F401\n"
        "from siplab.model import Card, Evidence, Model, Recipe, Source\n\n"
        f"BASE = load(plugins=False).get({base!r})\n"
        f"NAT = {{{nat + ', ' if nat else ''}**BASE.recipe.nat}}\n"
        f"{rules}\n"
        "MODEL = Model(\n"
        f"    {model_id(name)!r},\n"
        "    Card(\n"
        '        summary="Learnt from captures of a real router.",\n'
        '        kind="combination",\n'
        '        sources=(Source("captures, by siplab learn", Evidence.CAPTURE),),\n'
        "    ),\n"
        f"    Recipe({steps}, policy=BASE.recipe.policy, nat=NAT),\n"
        ")\n"
    )


def model_id(name: str) -> str:
    """The model's id for a file's name."""
    return f"learnt-{_ID.sub('-', name.lower()).strip('-') or 'router'}"


def _told(learnt: Learnt) -> str:
    agreed = learnt.agreement
    lines = [f"{agreed.equal} of {agreed.total} messages come out as they were seen."]
    if learnt.held_out is not None:
        lines.append(
            "Of conversations that it was not learnt from: "
            f"{learnt.held_out.equal} of {learnt.held_out.total}."
        )
    ties = [each.id for each in learnt.found.tie]
    if len(ties) > 1:
        lines.append(f"As good: {', '.join(ties[1:])}.")
    return "\n".join(lines)
