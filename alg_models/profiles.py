"""Vendors' cards as models: what ``--model mikrotik`` puts into the router.

The rules of this file:

- A card's ``model`` is what runs, nothing is added to it. ``unknown`` runs as plain NAT without an
  ALG, and ``note`` says so wherever results are shown.
- Profiles are found by a card's id, after the catalogue's own models, and are in no list of the
  catalogue: the models that they stand for are there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from siplab.alg_models import vendors
from siplab.alg_models.controls import NONE
from siplab.alg_models.vendors.schema import MAIN, UNKNOWN, Sourced, VendorProfile
from siplab.lab import specs
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Model, Source

_UNDOCUMENTED: Final = "nobody has documented what its ALG does to messages"
_AWAITED: Final = "no model does yet what is documented of its ALG"
_INSTEAD: Final = "it runs as a router without one"


@dataclass(frozen=True, kw_only=True)
class Profile(Model):
    """The model of a vendor's card.

    ``models`` has what stands behind the card (``main``) and behind each of its variants, ``None``
    for an unknown one. Parameters are ``variant``, where there are variants, and those of the
    model behind. ``note`` is empty, or says why the profile runs as a router without an ALG.
    """

    vendor: VendorProfile
    models: Mapping[str, Model | None]
    variant: str = MAIN
    note: str = ""

    @property
    def behind(self) -> Model | None:
        """The model that runs; ``None``: what the router does is unknown."""
        return self.models[self.variant]

    @property
    def parameters(self) -> dict[str, Any]:
        """Name and value of each parameter."""
        own = {"variant": self.variant} if len(self.models) > 1 else {}
        return {**own, **(self.behind.parameters if self.behind else {})}

    def with_parameters(self, values: Mapping[str, Any]) -> Model:
        """This profile with parameters set. Raises ``UsageError`` naming a wrong one."""
        if not values:
            return self
        rest, several = dict(values), len(self.models) > 1
        variant = str(rest.pop("variant", self.variant)) if several else self.variant
        if variant not in self.models:
            known = ", ".join(self.models)
            raise UsageError(f"model '{self.vendor.id}' has no variant '{variant}' (variants: {known})")
        model = self.models[variant]
        names = [*(["variant"] if several else []), *(model.parameters if model else ())]
        for name in rest:  # refused in the words of the profile, which is what the user wrote
            if name not in names:
                known = ", ".join(names) or "none"
                raise UsageError(f"model '{self.vendor.id}' has no parameter '{name}' (parameters: {known})")
        if model is not None and rest:
            name, given = specs.parse(model.id, "model")
            model = replace(model.with_parameters(rest), id=specs.written(name, {**given, **rest}))
        made = _profile(self.vendor, {**self.models, variant: model}, variant)
        return replace(made, id=specs.written(self.vendor.id, values), variants=())


def find(name: str, resolve: Callable[[str], Model]) -> Profile | None:
    """The profile of the card with this id; ``resolve`` gives the model of a spec.

    Raises ``UsageError`` for another name of a card, naming its id.
    """
    if name not in vendors.available():
        identifier = vendors.called(name) or vendors.search(name)
        if identifier is not None:
            raise UsageError(f"unknown model '{name}'; as a vendor's profile it is '{identifier}'")
        return None
    return of_card(vendors.load(name), resolve)


def of_card(card: VendorProfile, resolve: Callable[[str], Model]) -> Profile:
    """The profile of a card. Raises ``UsageError`` when it names a model that does not exist."""
    chosen = {MAIN: card.model, **{each.id: each.model or card.model for each in card.variants}}
    models = {name: None if spec == UNKNOWN else resolve(spec) for name, spec in chosen.items()}
    return _profile(card, models, MAIN)


def note(model: Model) -> str:
    """What a reader of results must know of a model: that it stands for an unknown. Else empty."""
    return model.note if isinstance(model, Profile) else ""


def shortly(profile: Profile) -> str:
    """Two words on an unknown profile, for a narrow column."""
    return "no model yet" if _documented(profile.vendor) else "nothing documented"


def why_unknown(*, documented: bool) -> str:
    """Why a card names no model, and what runs in its place."""
    return f"{_AWAITED if documented else _UNDOCUMENTED}; {_INSTEAD}"


def _profile(card: VendorProfile, models: Mapping[str, Model | None], variant: str) -> Profile:
    model = models[variant]
    why = "" if model else _why(card, models)
    told = model or NONE
    where = next((each for each in card.variants if each.id == variant), None)
    claims = (*(where.claims if where else ()), *card.claims)
    statements: list[tuple[str, Sourced]] = [(each.text, each) for each in claims]
    if card.lineage is not None:
        statements.insert(0, (card.lineage.claim, card.lineage))
    return Profile(
        id=card.id,
        card=Card(
            summary=_summary(card, model, variant),
            # One that stands for a router without an ALG is a control: no fault can be added to it.
            kind="control" if told.card.kind == "control" else "profile",
            # A model's examples are those of its defaults.
            examples=() if "(" in told.id else told.card.examples,
            rules=told.card.rules,
            symptom=told.card.symptom if model else "Unknown.",
            sources=tuple(
                Source(f"{text} ({each.source})", each.evidence, each.url or "") for text, each in statements
            ),
            breaks=told.card.breaks,
            sufferers=told.card.sufferers,
        ),
        recipe=told.recipe,
        variants=tuple({"variant": each} for each in models if each != MAIN) if variant == MAIN else (),
        vendor=card,
        models=models,
        variant=variant,
        note=why,
    )


def _why(card: VendorProfile, models: Mapping[str, Model | None]) -> str:
    others = ", ".join(f"{card.id}(variant={name})" for name, model in models.items() if model)
    instead = f"; {others} can run" if others else ""
    return f"'{card.id}' is unknown: {why_unknown(documented=_documented(card))}{instead}"


def _documented(card: VendorProfile) -> bool:
    return bool(card.claims or card.lineage)


def _summary(card: VendorProfile, model: Model | None, variant: str) -> str:
    name = card.name if variant == MAIN else f"{card.name}, variant {variant}"
    if model is None:
        return f"{name}: unknown; runs as a router without an ALG."
    level = f" (lineage: {card.lineage.evidence})" if card.lineage else ""
    covers = f" {card.covers}" if card.covers and variant == MAIN else ""
    return f"{name}, as the model {model.id}{level}.{covers}"
