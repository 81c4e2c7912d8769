"""A vendor's card: what is known about its SIP ALG, by whom, and how well.

The rules of this file:

- Nothing stands here without its source and its evidence level. An unknown needs neither, and has
  neither: ``unknown`` says that no source was found, not that somebody said so.
- A guess is no entry. What follows from something documented is ``inference``, and its source says
  from what. What somebody remembers goes into ``notes``, marked as unverified.
- ``model`` names a model of the catalogue only where documentation supports it. Everything else
  is ``unknown``, which runs as a router without an ALG.
- Wording is the project's own; commands and names of menus are the vendor's, letter by letter.
"""

from __future__ import annotations

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
from siplab.lab.gateway.alg import Evidence

UNKNOWN: Final = "unknown"
MAIN: Final = "main"
"""What a card says of itself stands beside its variants under this name."""


def _word(yes: str, no: str) -> BeforeValidator:
    # YAML 1.1 reads the bare words on, off, yes and no as booleans; who writes them means the words.
    return BeforeValidator(lambda value: (yes if value else no) if isinstance(value, bool) else value)


Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]


class _Strict(BaseModel):
    # Docstrings of fields become their descriptions in the JSON Schema.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Sourced(_Strict):
    """Something that somebody says."""

    source: Text
    """Who says so, as a citation that a reader can follow."""
    url: Url | None = None
    evidence: Evidence
    """How well it is known, see docs/vendors.md."""


class Claim(Sourced):
    """One statement about what a device does."""

    text: Text


class Lineage(Sourced):
    """Whose ALG this is, where a device contains somebody else's."""

    of: Identifier
    """The family: ``linux``, ``broadcom``, ``tplink-mt7628``..."""
    claim: Text


class Default(_Strict):
    """Whether the ALG is on in a device as it comes."""

    state: Annotated[Literal["on", "off", "varies", "absent", "unknown"], _word("on", "off")]
    """``absent``: as shipped there is none, though one may be installable."""
    text: Text | None = None
    """What the state is true of, where it is not true of everything on this card."""
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
    """What a ``varies`` depends on, or another word on it."""
    source: Text | None = None
    """Who says whether it is possible, where no procedure shows it."""
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


class Variant(_Strict):
    """A version of the ALG that differs: other firmware, another kernel, another engine."""

    id: Identifier
    summary: Text
    model: Text | None = None
    """Where it differs from the card's."""
    claims: tuple[Claim, ...] = ()

    @field_validator("model")
    @classmethod
    def _spec(cls, value: str | None) -> str | None:
        return value if value is None else _model_spec(value)


class VendorProfile(_Strict):
    """The card of one vendor, or of one line of its devices."""

    id: Identifier
    """The name of the file, too."""
    name: Text
    devices: tuple[Text, ...] = ()
    """The devices and systems that sources name."""
    aliases: tuple[Text, ...] = ()
    """Other words by which people look for it; letters and digits count, nothing else."""
    model: Text
    """A model of the catalogue: ``ID``, ``ID(parameter=value)``, several joined by ``+``; or ``unknown``."""
    covers: Text | None = None
    """How much of what is known the model does, and what it adds; beside a ``model`` that needs the words."""
    lineage: Lineage | None = None
    claims: tuple[Claim, ...] = ()
    default: Default
    switch_off: SwitchOff
    timers: tuple[Timer, ...] = ()
    nat: tuple[Claim, ...] = ()
    """How it translates addresses, ALG or not."""
    variants: tuple[Variant, ...] = ()
    notes: tuple[Text, ...] = ()
    """Contradictions, gaps, and what is unverified."""

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
        """What a search for this card is compared with."""
        return tuple(search_key(word) for word in (self.id, *self.aliases))

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Every level that an entry of this card has, best first."""
        found: list[Evidence | None] = [self.default.evidence, self.switch_off.evidence]
        rows: list[Sourced] = [*self.claims, *self.timers, *self.nat]
        rows += [*self.switch_off.procedures, *self.switch_off.workarounds]
        rows += [claim for variant in self.variants for claim in variant.claims]
        if self.lineage is not None:
            rows.append(self.lineage)
        found += [row.evidence for row in rows]
        return tuple(level for level in Evidence if level in found)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that card and variants name, ``unknown`` left out."""
        named = [self.model, *(variant.model for variant in self.variants if variant.model is not None)]
        return tuple(dict.fromkeys(model for model in named if model != UNKNOWN))


def search_key(word: str) -> str:
    """``FRITZ!Box`` and ``fritz-box`` are one word to somebody who searches."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def _model_spec(value: str) -> str:
    for part in specs.split(value, "model") if value != UNKNOWN else ():
        specs.parse(part, "model")
    return value


def _needs_source(source: str | None, evidence: Evidence | None, needed: bool, what: str) -> None:
    if needed and (source is None or evidence is None):
        raise ValueError(f"{what} needs a 'source' and an 'evidence'")
    if not needed and (source is not None or evidence is not None):
        raise ValueError("what is unknown has neither 'source' nor 'evidence'")
