"""Vendors' cards as models: what ``--model mikrotik`` puts into the router.

The rules of this file:

- A profile runs the card's ``model`` and adds nothing. ``unknown`` runs as plain NAT without an ALG, and
  ``note`` says so wherever results are shown.
- The catalogue finds a profile by the card's id, after its own models. Its lists do not have profiles,
  since they already have the models that the profiles run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from siplab.alg_models import vendors
from siplab.alg_models.controls import NONE
from siplab.alg_models.vendors.schema import MAIN, UNKNOWN, Hypothesis, Sourced, VendorProfile
from siplab.lab import specs
from siplab.lab.counting import plural
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Evidence, Model, Source

_UNDOCUMENTED: Final = "nobody has documented what its ALG does to messages"
_AWAITED: Final = "no model does yet what is documented of its ALG"
_INSTEAD: Final = "it runs as a router without one"
_BLOCKED: Final = "sip-blocked"
_OFF: Final = {
    "all-flows": "no message is touched any more",
    "new-flows": "flows that were up keep the ALG until they end",
    "reboot": "after a restart of the router",
    "drops-sip": "SIP over UDP port 5060 is dropped",
    "no-effect": "the switch has no effect",
}


@dataclass(frozen=True, kw_only=True)
class Profile(Model):
    """The model of a vendor's card.

    ``models``: the model of the card (``main``) and of each variant, ``None`` for an unknown one.
    ``guesses``: the models of the card's hypotheses. ``after_off``: by variant, the model once the ALG is
    switched off. ``note``: what a reader of results must know about the profile.

    Parameters: ``variant`` and ``hypothesis``, if the card has some, ``alg`` (``on`` or ``off``), and those
    of the model that runs.
    """

    vendor: VendorProfile
    models: Mapping[str, Model | None]
    guesses: Mapping[str, Model]
    after_off: Mapping[str, Model]
    variant: str = MAIN
    hypothesis: str = ""
    off: bool = False
    note: str = ""

    @property
    def behind(self) -> Model | None:
        """The model that runs; ``None`` if it is unknown what the router does."""
        if self.hypothesis:
            return self.guesses[self.hypothesis]
        known = self.models[self.variant]
        return self.after_off.get(self.variant, known) if self.off else known

    @property
    def parameters(self) -> dict[str, Any]:
        """Name and value of each parameter."""
        own: dict[str, Any] = {"variant": self.variant} if len(self.models) > 1 else {}
        own |= {"hypothesis": self.hypothesis} if self.guesses else {}
        return {**own, "alg": "off" if self.off else "on", **(self.behind.parameters if self.behind else {})}

    def with_parameters(self, values: Mapping[str, Any]) -> Model:
        """This profile with parameters set. Raises ``UsageError`` naming a wrong one."""
        if not values:
            return self
        rest = dict(values)
        variant = str(rest.pop("variant", self.variant)) if len(self.models) > 1 else self.variant
        hypothesis = str(rest.pop("hypothesis", self.hypothesis)) if self.guesses else ""
        off = _switched_off(self.vendor.id, rest.pop("alg")) if "alg" in rest else self.off
        self._check(variant, "variant", self.models)
        if hypothesis:
            self._check(hypothesis, "hypothesis", self.guesses)
        chosen = replace(self, variant=variant, hypothesis=hypothesis, off=off)
        model = chosen.behind
        own = [name for name in ("variant", "hypothesis", "alg") if name in chosen.parameters]
        names = [*own, *(model.parameters if model else ())]
        for name in rest:  # the error must name the profile, which the user wrote, not the model behind
            if name not in names:
                known = ", ".join(names) or "none"
                raise UsageError(f"model '{self.vendor.id}' has no parameter '{name}' (parameters: {known})")
        models, guesses = self.models, self.guesses
        if model is not None and rest:
            name, given = specs.parse(model.id, "model")
            model = replace(model.with_parameters(rest), id=specs.written(name, {**given, **rest}))
            if hypothesis:
                guesses = {**guesses, hypothesis: model}
            else:
                models = {**models, variant: model}
        made = _profile(self.vendor, models, guesses, self.after_off, variant, hypothesis, off=off)
        return replace(made, id=specs.written(self.vendor.id, values), variants=())

    def _check(self, name: str, what: str, known: Mapping[str, Any]) -> None:
        if name not in known:
            raise UsageError(
                f"model '{self.vendor.id}' has no {what} '{name}' ({plural(what)}: {', '.join(known)})"
            )


def _switched_off(vendor: str, value: object) -> bool:
    """Whether ``alg=`` says off. YAML reads the words on and off as booleans."""
    if value in (True, "on", False, "off"):
        return value in (False, "off")
    raise UsageError(f"model '{vendor}', parameter 'alg': '{value}' is neither on nor off")


def find(name: str, resolve: Callable[[str], Model]) -> Profile | None:
    """The profile of the card with this id, or ``None``; ``resolve`` gives the model of a spec.

    Raises ``UsageError`` if the name is an alias of a card; the message has the card's id.
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
    guesses = {each.id: resolve(each.model) for each in card.hypotheses}
    after = {name: _after_off(card, name, model, resolve) for name, model in models.items()}
    return _profile(card, models, guesses, {name: each for name, each in after.items() if each}, MAIN)


def _after_off(
    card: VendorProfile, variant: str, model: Model | None, resolve: Callable[[str], Model]
) -> Model | None:
    """The model once the ALG is switched off, as its switch really works; ``None``: still unknown."""
    switch = card.switch_of(variant)
    if switch is not None and switch.effect == "drops-sip":
        return resolve(_BLOCKED)
    stays = switch.effect == "no-effect" if switch is not None else card.switch_off.possible == "no"
    if stays or model is None or switch is None or not set(switch.on_again) & {"reset", "power-loss"}:
        return model if stays else NONE
    return replace(NONE, recipe=replace(NONE.recipe, restarted=model.recipe))


def spec_switched_off(spec: str) -> str:
    """The spec of a vendor's router with its ALG switched off; ``none`` for any other model."""
    name, values = specs.parse(specs.split(spec, "model")[0], "model")
    if name not in vendors.available():
        return NONE.id
    kept = {each: value for each, value in values.items() if each in ("variant", "hypothesis")}
    return specs.written(name, {**kept, "alg": "off"})


def note(model: Model) -> str:
    """What a reader of results must know about a vendor's profile; empty for other models."""
    return model.note if isinstance(model, Profile) else ""


def is_unknown(model: Model) -> bool:
    """Whether the model is the profile of a router whose behaviour is unknown."""
    return isinstance(model, Profile) and model.behind is None


def about(model: Model) -> dict[str, str]:
    """What a result says about a vendor's profile: the card, and the level of evidence. Empty for others."""
    if not isinstance(model, Profile):
        return {}
    card, where = model.vendor, model.vendor.variant(model.variant)
    level = Evidence.INFERENCE if model.hypothesis else card.behaviour(model.variant)
    covers = (where.covers if where is not None else None) or card.covers
    found = {
        "id": card.id,
        "variant": model.variant if len(model.models) > 1 else "",
        "hypothesis": model.hypothesis,
        "alg": "off" if model.off else "",
        "model": model.behind.id if model.behind is not None else UNKNOWN,
        "evidence": level.value if level is not None else "",
        "covers": covers if covers and model.behind is not None else "",
        "as_of": card.as_of.isoformat() if card.as_of is not None else "",
    }
    return {name: text for name, text in found.items() if text}


def shortly(profile: Profile) -> str:
    """Two words on an unknown profile, for a narrow column."""
    return "no model yet" if _documented(profile.vendor) else "nothing documented"


def why_unknown(*, documented: bool) -> str:
    """Why a card names no model, and what runs in its place."""
    return f"{_AWAITED if documented else _UNDOCUMENTED}; {_INSTEAD}"


def _profile(
    card: VendorProfile,
    models: Mapping[str, Model | None],
    guesses: Mapping[str, Model],
    after_off: Mapping[str, Model],
    variant: str,
    hypothesis: str = "",
    *,
    off: bool = False,
) -> Profile:
    model = guesses[hypothesis] if hypothesis else models[variant]
    if off and not hypothesis:
        model = after_off.get(variant, model)
    elif off:
        model = NONE
    told = model or NONE
    where = card.variant(variant)
    claims = (*(where.claims if where else ()), *card.claims)
    statements: list[tuple[str, Sourced]] = [(each.text, each) for each in claims]
    if card.lineage is not None:
        statements.insert(0, (card.lineage.claim, card.lineage))
    guess = next((each for each in card.hypotheses if each.id == hypothesis), None)
    sources = [Source(f"{text} ({each.source})", each.evidence, each.url or "") for text, each in statements]
    if guess is not None:
        words = f"{guess.because} ({guess.source})"
        sources.insert(0, Source(words, Evidence.INFERENCE, guess.url or ""))
    made = Profile(
        id=card.id,
        card=Card(
            summary=_summary(card, model, variant, guess, off=off),
            # A profile of a router without an ALG is a control: no fault can be added to it.
            kind="control" if told.card.kind == "control" else "profile",
            # A model's examples hold for its default parameters only.
            examples=() if "(" in told.id else told.card.examples,
            rules=told.card.rules,
            symptom=told.card.symptom if model else "Unknown.",
            sources=tuple(sources),
            breaks=told.card.breaks,
            sufferers=told.card.sufferers,
        ),
        recipe=told.recipe,
        variants=tuple({"variant": each} for each in models if each != MAIN) if variant == MAIN else (),
        vendor=card,
        models=models,
        guesses=guesses,
        after_off=after_off,
        variant=variant,
        hypothesis=hypothesis,
        off=off,
    )
    return replace(made, note=_why(card, models) if model is None else _known(made))


def _why(card: VendorProfile, models: Mapping[str, Model | None]) -> str:
    others = [f"{card.id}(variant={name})" for name, model in models.items() if model]
    instead = f"; {', '.join(others)} can run" if others else ""
    guesses = [f"{card.id}(hypothesis={each.id})" for each in card.hypotheses]
    instead += f"; {', '.join(guesses)} can run as a guess" if guesses else ""
    return f"'{card.id}' is unknown: {why_unknown(documented=_documented(card))}{instead}"


def _known(profile: Profile) -> str:
    """Which model a known profile runs, and how well that is known."""
    card, told = profile.vendor, about(profile)
    name = specs.written(card.id, {"variant": profile.variant} if profile.variant != MAIN else {})
    words = [f"'{name}' runs {told['model']}"]
    guess = next((each for each in card.hypotheses if each.id == profile.hypothesis), None)
    if guess is not None:
        words = [f"'{card.id}' is unknown, and {told['model']} is a hypothesis ({guess.sure})"]
    if profile.off:
        switch = card.switch_of(profile.variant)
        if switch is not None:
            words.append(f"its ALG is switched off: {_OFF[switch.effect]} ({switch.evidence})")
        elif card.switch_off.possible == "no":
            words.append("its ALG can't be switched off")
        else:
            words.append("its ALG is switched off")
    words.append(f"known by {told['evidence']}" if "evidence" in told else "")
    covers = f". {told['covers']}" if "covers" in told else ""
    words.append(f"as of {told['as_of']}" if "as_of" in told else "")
    return ", ".join(filter(None, words)) + covers


def _documented(card: VendorProfile) -> bool:
    return bool(card.claims or card.lineage)


def _summary(
    card: VendorProfile, model: Model | None, variant: str, guess: Hypothesis | None, *, off: bool
) -> str:
    name = card.name if variant == MAIN else f"{card.name}, variant {variant}"
    name += ", ALG switched off" if off else ""
    if model is None:
        return f"{name}: unknown; runs as a router without an ALG."
    if guess is not None:
        return f"{name}: unknown; a hypothesis ({guess.sure}), as the model {model.id}."
    level = card.behaviour(variant)
    where = card.variant(variant)
    covers = where.covers if where is not None else card.covers
    return f"{name}, as the model {model.id} ({level}).{f' {covers}' if covers else ''}"
