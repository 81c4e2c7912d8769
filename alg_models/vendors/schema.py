"""A vendor's card: what is known about its SIP ALG, from which sources, and how well.

The rules of this file:

- Every statement has a source and an evidence level. An ``unknown`` has neither: it means that no source
  was found, not that a source says "unknown".
- A guess is not a statement. A conclusion from something documented is ``inference``, and its source says
  what it follows from. What somebody remembers goes into ``notes``, with the kind ``unverified``.
- ``model`` names a model of the catalogue only if documentation supports it. Otherwise it is
  ``unknown``, which runs as a router without an ALG.
- Texts are in the project's own words; commands and names of menus are the vendor's, letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from siplab.lab import specs
from siplab.lab.gateway.alg import Evidence, NotShownReason

UNKNOWN: Final = "unknown"
MAIN: Final = "main"
"""The variant id for what a card says of the device itself, beside its named variants."""


def _word(yes: str, no: str) -> BeforeValidator:
    # YAML 1.1 reads the bare words on, off, yes and no as booleans, but here they mean the words.
    return BeforeValidator(lambda value: (yes if value else no) if isinstance(value, bool) else value)


Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]


class _Strict(BaseModel):
    # Docstrings of fields become their descriptions in the JSON Schema.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Sourced(_Strict):
    """A statement with its source."""

    source: Text
    """Who says this, as a citation that a reader can look up."""
    url: Url | None = None
    evidence: Evidence
    """How well it is known, see docs/vendors.md."""


class Claim(Sourced):
    """One statement about what a device does."""

    text: Text


class Lineage(Sourced):
    """Whose ALG the device contains, if it is not the vendor's own."""

    of: Identifier
    """The family: ``linux``, ``broadcom``, ``tplink-mt7628``..."""
    claim: Text


class Default(_Strict):
    """Whether the ALG is on in a new device."""

    state: Annotated[Literal["on", "off", "varies", "absent", "unknown"], _word("on", "off")]
    """``absent``: as shipped, the device has no ALG, though one may be installable."""
    text: Text | None = None
    """Which devices or versions the state holds for, if not for all on this card."""
    source: Text | None = None
    url: Url | None = None
    evidence: Evidence | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Default:
        _needs_source(self.source, self.evidence, self.state != UNKNOWN, f"a default that is '{self.state}'")
        return self


class Procedure(Sourced):
    """A way to do something to a device: exact commands, or menu steps, in order."""

    for_: Annotated[Text, Field(alias="for")]
    """Which devices or firmware it is for."""
    kind: Literal["web", "cli", "telnet", "other"]
    steps: Annotated[tuple[Text, ...], Field(min_length=1)]
    check: tuple[Text, ...] = ()
    """How to see whether the ALG is on."""


class SwitchOff(_Strict):
    """Whether and how the ALG can be switched off."""

    possible: Annotated[Literal["yes", "no", "varies", "not-applicable", "unknown"], _word("yes", "no")]
    text: Text | None = None
    """What ``varies`` depends on, or another remark."""
    source: Text | None = None
    """Who says whether it is possible, if no procedure shows it."""
    url: Url | None = None
    evidence: Evidence | None = None
    procedures: tuple[Procedure, ...] = ()
    workarounds: tuple[Procedure, ...] = ()
    """What helps while the ALG stays on."""

    @model_validator(mode="after")
    def _consistent(self) -> SwitchOff:
        if self.procedures and self.possible not in ("yes", "varies"):
            raise ValueError(f"there are procedures, yet 'possible' is '{self.possible}'")
        shown = self.possible == UNKNOWN or bool(self.procedures)
        if not shown or self.source or self.evidence:
            _needs_source(self.source, self.evidence, self.possible != UNKNOWN, f"'{self.possible}'")
        return self


class Timer(Sourced):
    """A documented time after which something idle ends."""

    name: Identifier
    """``udp`` and ``udp-stream`` (the NAT's), ``sip`` (signalling), ``sip-media``..."""
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    text: Text | None = None


class Repository(_Strict):
    """Where to read the source code of a device's firmware."""

    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    """``owner/name`` on GitHub."""
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{6,40}$")]
    place: Text
    """The files in the repository."""


Effect = Literal["all-flows", "new-flows", "reboot", "drops-sip", "no-effect"]
"""What happens when an ALG's switch is set to "off".

``all-flows``: the ALG changes no message any more. ``new-flows``: existing flows keep the ALG until they end.
``reboot``: "off" takes effect after a restart. ``drops-sip``: the router drops SIP. ``no-effect``: nothing
changes.
"""
ON_AGAIN: Final = ("reset", "power-loss", "update", "cloud")


class Switch(Sourced):
    """How the switch of an ALG really works."""

    effect: Effect
    text: Text | None = None
    """How the switch works, and which names of settings mislead."""
    on_again: tuple[Literal["reset", "power-loss", "update", "cloud"], ...] = ()
    """What switches the ALG on again."""


class Awaited(_Strict):
    """Documented behaviour that no model has yet."""

    model: Identifier
    """The id that such a model would get."""
    text: Text


class NotShown(_Strict):
    """Why no check of any scenario fails because of the model, with its default settings.

    ``harmless``: users notice nothing of it by itself. ``situation``: no scenario, with its default settings,
    creates the situation in which it fails. ``endpoint``: no phone and no server of the lab suffers from it.
    """

    because: NotShownReason
    text: Text


class Note(_Strict):
    """A remark that is not a claim about the device.

    ``contradiction``: sources say different things. ``sourced``: a remark with its source, as in a claim.
    ``gap``: something that was not found, or that this project does not know. ``unverified``: somebody
    remembers it, and nobody has checked it.
    """

    kind: Literal["contradiction", "sourced", "gap", "unverified"]
    text: Text
    source: Text | None = None
    url: Url | None = None
    evidence: Evidence | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Note:
        _needs_source(self.source, self.evidence, self.kind in ("contradiction", "sourced"), self.kind)
        return self

    def __str__(self) -> str:
        text = f"unverified: {self.text}" if self.kind == "unverified" else self.text
        return f"{text} [{self.evidence}: {self.source}]" if self.source is not None else text


class Confirmation(_Strict):
    """What the owner of such a router can try, to see whether a hypothesis holds."""

    probe: Text
    expect: Text


class Hypothesis(_Strict):
    """What a router may do. Its evidence level is ``inference``, and it never counts as known."""

    id: Identifier
    model: Text
    sure: Literal["likely", "possible"]
    because: Text
    """What the hypothesis follows from."""
    source: Text
    url: Url | None = None
    confirm: Annotated[tuple[Confirmation, ...], Field(min_length=1)]

    @field_validator("model")
    @classmethod
    def _spec(cls, value: str) -> str:
        if value == UNKNOWN:
            raise ValueError("a hypothesis names a model")
        return _model_spec(value)


class Variant(_Strict):
    """A version of the ALG that differs: other firmware, another kernel, another engine."""

    id: Identifier
    summary: Text
    devices: tuple[Text, ...] = ()
    """The devices that have it, with their firmware."""
    model: Text | None = None
    """The variant's model, if it differs from the card's."""
    covers: Text | None = None
    """Which known behaviour the model does not have."""
    not_shown: NotShown | None = None
    repository: Repository | None = None
    default: Default | None = None
    switch: Switch | None = None
    claims: tuple[Claim, ...] = ()

    @field_validator("model")
    @classmethod
    def _spec(cls, value: str | None) -> str | None:
        return value if value is None else _model_spec(value)


class VendorProfile(_Strict):
    """The card of one vendor, or of one line of its devices."""

    id: Identifier
    """Also the name of the file, without ``.yaml``."""
    name: Text
    devices: tuple[Text, ...] = ()
    """The devices and systems that sources name."""
    aliases: tuple[Text, ...] = ()
    """Other words by which people look for this card; only letters and digits count."""
    model: Text
    """A model of the catalogue: ``ID``, ``ID(parameter=value)``, several joined by ``+``; or ``unknown``."""
    covers: Text | None = None
    """Which part of the known behaviour the model has, and what it adds; only if that needs to be said."""
    not_shown: NotShown | None = None
    lineage: Lineage | None = None
    claims: tuple[Claim, ...] = ()
    default: Default
    switch_off: SwitchOff
    switch: Switch | None = None
    repository: Repository | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    """What the router may do, most likely first; these models run only if asked for."""
    awaits: tuple[Awaited, ...] = ()
    as_of: date | None = None
    """When the card was last checked against its sources."""
    timers: tuple[Timer, ...] = ()
    nat: tuple[Claim, ...] = ()
    """How the NAT behaves, with or without the ALG."""
    variants: tuple[Variant, ...] = ()
    notes: tuple[Note, ...] = ()
    """Contradictions, gaps, and unverified statements."""

    @field_validator("model")
    @classmethod
    def _spec(cls, value: str) -> str:
        return _model_spec(value)

    @field_validator("aliases")
    @classmethod
    def _distinct(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        seen = {search_key(str(info.data.get("id")))}
        for alias in value:
            key = search_key(alias)
            if not key or key in seen:
                raise ValueError(f"'{alias}' finds nothing that id and other aliases don't")
            seen.add(key)
        return value

    @field_validator("hypotheses")
    @classmethod
    def _each_once(cls, value: tuple[Hypothesis, ...]) -> tuple[Hypothesis, ...]:
        names = [each.id for each in value]
        if len(set(names)) < len(names):
            raise ValueError("two hypotheses have one id")
        return value

    @field_validator("variants")
    @classmethod
    def _named_once(cls, value: tuple[Variant, ...]) -> tuple[Variant, ...]:
        names = [MAIN, *(variant.id for variant in value)]
        for name in names:
            if names.count(name) > 1:
                reason = (
                    f"a variant can't be called '{MAIN}'"
                    if name == MAIN
                    else f"two variants are called '{name}'"
                )
                raise ValueError(reason)
        return value

    @model_validator(mode="after")
    def _fits(self) -> VendorProfile:
        if self.model != UNKNOWN and not self.claims and self.lineage is None:
            raise ValueError(
                f"model '{self.model}' needs a claim or a lineage that supports it, or to be 'unknown'"
            )
        if self.covers is not None and self.model == UNKNOWN:
            raise ValueError("'covers' is about the model, and that is unknown")
        return self

    @property
    def search_keys(self) -> tuple[str, ...]:
        """The search keys of this card's id and aliases."""
        return tuple(search_key(word) for word in (self.id, *self.aliases))

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The evidence levels of this card's entries, best first."""
        defaults = [self.default, *(each.default for each in self.variants if each.default is not None)]
        found: list[Evidence | None] = [*(each.evidence for each in defaults), self.switch_off.evidence]
        found += [row.evidence for row in self.entries()]
        return tuple(level for level in Evidence if level in found)

    def entries(self) -> Iterator[Sourced]:
        """All statements on the card."""
        yield from (*self.claims, *self.timers, *self.nat)
        yield from (*self.switch_off.procedures, *self.switch_off.workarounds)
        yield from (claim for variant in self.variants for claim in variant.claims)
        switches = (self.switch, *(variant.switch for variant in self.variants))
        yield from (each for each in (self.lineage, *switches) if each is not None)

    def behaviour(self, variant: str = MAIN) -> Evidence | None:
        """The best evidence for what a variant's model does; ``None`` if there is no model."""
        chosen = self.variant(variant)
        model = (chosen.model if chosen is not None else None) or self.model
        if model == UNKNOWN:
            return None
        rows: list[Sourced] = list(chosen.claims) if chosen is not None and chosen.model else []
        if not rows:
            rows = [self.lineage] if self.lineage is not None else list(self.claims)
        return min((row.evidence for row in rows), key=list(Evidence).index)

    @property
    def behaves(self) -> bool:
        """Whether the model of some variant rests on more than inference."""
        levels = map(self.behaviour, (MAIN, *(each.id for each in self.variants)))
        return any(level not in (None, Evidence.INFERENCE) for level in levels)

    def variant(self, name: str) -> Variant | None:
        """The variant with this id; ``None`` for ``main``."""
        return next((each for each in self.variants if each.id == name), None)

    def switch_of(self, name: str) -> Switch | None:
        """How the switch of a variant works; ``None`` if that is unknown."""
        chosen = self.variant(name)
        return (chosen.switch if chosen is not None else None) or self.switch

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the card and its variants name, without ``unknown``."""
        named = [self.model, *(variant.model for variant in self.variants if variant.model is not None)]
        return tuple(dict.fromkeys(model for model in named if model != UNKNOWN))


def search_key(word: str) -> str:
    """The word in small letters and digits only, so that ``FRITZ!Box`` and ``fritz-box`` are the same."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def _model_spec(value: str) -> str:
    for part in specs.split(value, "model") if value != UNKNOWN else ():
        specs.parse(part, "model")
    return value


def _needs_source(source: str | None, evidence: Evidence | None, needed: bool, what: str) -> None:
    """Raises ``ValueError`` if a statement has no source, or an unknown has one."""
    if needed and (source is None or evidence is None):
        raise ValueError(f"{what} needs a 'source' and an 'evidence'")
    if not needed and (source is not None or evidence is not None):
        raise ValueError("what is unknown has neither 'source' nor 'evidence'")
