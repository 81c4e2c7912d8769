"""Makes a model that does the same as another one, except that some of its actions are undone.

Undone means: done as a *reference* would do it in the same state of the NAT. The reference is the correct
ALG, or none.

- A part of a message is replaced by what the reference writes. The ALG's other work on the message stays.
- If ``state`` is undone, the reference handles the message instead of the ALG. So the ALG opens no pinhole
  for it and remembers nothing of it.
- A setting that is undone has its default value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.experiments.trial.counterfactual.actions import ActionKind, GatewayAction
from siplab.experiments.trial.counterfactual.parts import merged, text_of
from siplab.experiments.trial.counterfactual.pinholes import changes, pinholes_of
from siplab.experiments.trial.counterfactual.writers import is_description, writers
from siplab.lab.gateway.alg import Context, Dropped, Model, Policy, Recipe, Step
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire.compare import differences
from siplab.lab.wire.labels import label_of
from siplab.lab.wire.sip import SipMessage

Reference = tuple[Step, ...]
CORRECT: Final[Reference] = CORRECT_STEPS
NONE: Final[Reference] = ()


@dataclass
class Undoing:
    """What is undone in one run of a trial, and which of these actions occurred.

    ``chosen`` but not ``kept`` are undone. ``done``: the single actions that were undone, with what they did.
    ``watched``: nothing of these messages is undone; ``done`` says what the ALG did to the table of pinholes
    at each. Each run needs a new object, since it counts messages.
    """

    chosen: Sequence[GatewayAction]
    kept: Sequence[GatewayAction] = ()
    reference: Reference = CORRECT
    watched: Sequence[GatewayAction] = ()
    done: list[GatewayAction] = field(default_factory=list)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def undoes(self, action: GatewayAction) -> bool:
        """Whether an action is to be undone. If so, it is added to ``done``."""
        if not any(each.covers(action) for each in self.chosen) or any(
            each.covers(action) for each in self.kept
        ):
            return False
        self.done.append(action)
        return True

    def model(self, gateway: str, model: Model) -> Model:
        """The model of a gateway, with these actions undone."""
        return Model(model.id, model.card, self._recipe(gateway, model))

    def _recipe(self, gateway: str, model: Model) -> Recipe:
        policy = self._settings(gateway, ActionKind.POLICY, model.recipe.policy, Policy())
        nat = self._settings(gateway, ActionKind.NAT, model.recipe.nat, NatConfig())
        # A model without steps must not look at messages now either.
        steps: tuple[Step, ...] = (_Replaced(gateway, model.steps, self),) if model.steps else ()
        after = model.after_restart
        restarted = None if after is model else self._recipe(gateway, after)
        return Recipe(steps, policy=policy, nat=nat, restarted=restarted)

    def _settings(
        self, gateway: str, kind: ActionKind, settings: Mapping[str, Any], defaults: object
    ) -> dict[str, Any]:
        kept = {}
        for name, value in settings.items():
            usual = getattr(defaults, name)
            if value == usual:
                continue
            action = GatewayAction(gateway, kind, part=name, after=_written(value), instead=_written(usual))
            if not self.undoes(action):
                kept[name] = value
        return kept


def _written(value: object) -> str:
    """A setting's value for readers."""
    if isinstance(value, frozenset):
        return ", ".join(sorted(str(each) for each in value)) or "none"
    return str(value)


class _FixedMapping(Context):
    """A context in which the ALG can't give the sender another public endpoint."""

    __slots__ = ("was_asked",)

    def renew_mapping(self) -> None:
        self.was_asked = True


@dataclass(frozen=True, eq=False)
class _Replaced:
    """The only step of such a model. It runs the original steps, or the reference's."""

    gateway: str
    steps: tuple[Step, ...]
    undoing: Undoing

    def apply(self, message: SipMessage, context: Context) -> None:
        undoing, direction, label = self.undoing, "out" if context.outbound else "in", label_of(message)
        place = self.gateway, direction, label
        undoing.counts[place] += 1
        nth = undoing.counts[place]
        action = GatewayAction(self.gateway, ActionKind.STATE, direction, label, nth)
        if any(each.covers(action) for each in undoing.watched):
            before = pinholes_of(context.nat, context.now)
            try:
                _run(self.steps, message, context)
            finally:
                said = changes(before, pinholes_of(context.nat, context.now))
                undoing.done.append(replace(action, after=said, now=round(context.now, 6)))
            return
        here = [each for each in undoing.chosen if each.touches(*place, nth)]
        if here:
            _OneMessage(self, message, context, action).undo(here)
        else:
            _run(self.steps, message, context)


class _OneMessage:
    """The handling of one message of which something is undone."""

    def __init__(self, step: _Replaced, message: SipMessage, context: Context, action: GatewayAction) -> None:
        self._steps, self._undoing = step.steps, step.undoing
        self._message, self._context = message, context
        self._before = bytes(message)
        self._action = replace(action, now=round(context.now, 6))
        self._reference = step.undoing.reference if message.is_sip else ()

    def _undoes(
        self, kind: ActionKind, part: str = "", before: str = "", after: str = "", instead: str = ""
    ) -> bool:
        action = replace(self._action, kind=kind, part=part, before=before, after=after, instead=instead)
        return self._undoing.undoes(action)

    def undo(self, here: Sequence[GatewayAction]) -> None:
        """Do what the ALG does, except for what ``here`` names."""
        context = self._context
        if any(each.kind is ActionKind.STATE for each in here) and self._undoes(ActionKind.STATE):
            before = pinholes_of(context.nat, context.now)
            _run(self._reference, self._message, context)
            said = changes(before, pinholes_of(context.nat, context.now))
            self._undoing.done[-1] = replace(self._undoing.done[-1], instead=said)
            return
        own, dropped = SipMessage.parse(self._before), None
        try:
            self._own(own, here)
        except Dropped as reason:
            dropped = reason
        if context.answers or dropped is not None:
            # To answer in the peer's name and to drop the message is one action.
            kind, said = ActionKind.DROP, str(dropped)
            if context.answers:
                kind, said = ActionKind.ANSWER, _first_line(context.answers[0])
            undone = self._undoes(kind, after=said)
            if undone:
                context.answers.clear()
            if dropped is not None:
                if not undone:
                    raise dropped
                _run(self._reference, self._message, context)
                return
        where = context.deliver_to
        if where is not None and self._undoes(
            ActionKind.DELIVERY, after=str(where), instead=str(context.inside)
        ):
            context.deliver_to = None
        parts = [each.part for each in here if each.kind is ActionKind.PART]
        if parts:
            other = self._as_reference(own, parts)
            own = self._with_parts(_as_it_leaves(own), other)
        self._message.become(bytes(own))

    def _own(self, message: SipMessage, here: Sequence[GatewayAction]) -> None:
        if not any(each.kind is ActionKind.MAPPING for each in here):
            _run(self._steps, message, self._context)
            return
        context = self._context
        fixed = _FixedMapping(**{each.name: getattr(context, each.name) for each in fields(Context)})
        fixed.was_asked = False
        try:
            _run(self._steps, message, fixed)
        finally:
            context.deliver_to = fixed.deliver_to
        if fixed.was_asked and not self._undoes(ActionKind.MAPPING, before=str(context.outside)):
            context.renew_mapping()

    def _as_reference(self, own: SipMessage, parts: Sequence[str]) -> SipMessage:
        """The message with these parts as the reference writes them.

        If the body stays the ALG's, Content-Length is right for that body.
        """
        message = SipMessage.parse(self._before)
        was_right = message.content_length == len(message.body)
        if not any(is_description(each) for each in parts):
            message.body, message.trailer = own.body, own.trailer
        _run(writers(self._reference, parts), message, self._context)
        if was_right:
            message.fit_content_length()
        return message

    def _with_parts(self, own: SipMessage, other: SipMessage) -> SipMessage:
        chosen, came = [], SipMessage.parse(self._before)
        for part in differences(bytes(own), bytes(other)):
            texts = (text_of(each, part) for each in (came, own, other))
            if self._undoes(ActionKind.PART, part, *texts):
                chosen.append(part)
        return merged(own, other, chosen) if chosen else own


def _run(steps: Sequence[Step], message: SipMessage, context: Context) -> None:
    for step in steps:
        step.apply(message, context)


def _as_it_leaves(message: SipMessage) -> SipMessage:
    """The message as its receiver parses it. Some ALGs misread names, or cut lines, on purpose."""
    trailer, message.trailer = message.trailer, b""
    read = SipMessage.parse(bytes(message))
    read.trailer = trailer
    return read


def _first_line(message: bytes) -> str:
    return message.partition(b"\r\n")[0].decode("utf-8", "backslashreplace")
