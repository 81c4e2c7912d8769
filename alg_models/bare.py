"""A fault of the catalogue without the correct ALG under it: a router that has only the fault.

Most faults run on top of the correct ALG, whose translation any detector sees. A bare fault shows whether a
detector sees the fault itself: ``bare-semicolon-loss`` loses semicolons and translates nothing. The catalogue
finds these models by id; of its lists only ``bare`` has them.

Some faults only omit or change a part of the correct translation. They have no bare form, since without the
translation they would do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from siplab.lab import specs
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model, Policy, Recipe

PREFIX: Final = "bare-"


@dataclass(frozen=True, kw_only=True)
class Bare(Model):
    """The bare form of ``whole``, with the same parameters."""

    whole: Model

    @property
    def parameters(self) -> dict[str, Any]:
        return self.whole.parameters

    def with_parameters(self, values: Mapping[str, Any]) -> Model:
        """This model with parameters set. Raises ``UsageError`` naming a wrong one."""
        return _bare(self.whole.with_parameters(values)) if values else self


def of(model: Model) -> Model | None:
    """The bare form of a model; ``None`` where it has none, or is bare already."""
    if model.card.kind != "fault" or not model.recipe.base:
        return None
    made = _bare(model)
    does_something = made.steps or made.policy != Policy() or made.after_restart.steps
    return made if does_something else None


def find(name: str, resolve: Callable[[str], Model]) -> Model | None:
    """The model that an id with the prefix names. Raises ``UsageError`` if the rest names no fault."""
    if not name.startswith(PREFIX):
        return None
    whole = resolve(name.removeprefix(PREFIX))
    if whole.card.kind != "fault":
        raise UsageError(f"model '{name}': '{whole.id}' is no fault, so there is no bare form of it")
    return _bare(whole)


def _alone(recipe: Recipe) -> Recipe:
    """The recipe without its base: only the steps that it adds."""
    again = None if recipe.restarted is None else _alone(recipe.restarted)
    return replace(recipe, base=(), replace={}, exemptions=(), restarted=again)


def _bare(whole: Model) -> Model:
    name, values = specs.parse(whole.id, "model")
    card = replace(
        whole.card,
        summary=f"Only the fault, no translation. {whole.card.summary}",
        kind="bare",
        examples=(),
        breaks=(),
        sufferers=(),
        shows=(),
        not_shown=None,
    )
    return Bare(
        specs.written(PREFIX + name, values),
        card,
        _alone(whole.recipe),
        whole=whole,
    )
