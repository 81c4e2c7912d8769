"""One action of a gateway: it changed or left one part of one message, or has one setting."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from siplab.lab.errors import UsageError


class ActionKind(StrEnum):
    """What kind of thing it is."""

    PART = "part"  # a part of a message left otherwise than the reference would have sent it
    DROP = "drop"
    ANSWER = "answer"  # the router answered in the peer's name
    DELIVERY = "delivery"  # to another inside endpoint than the binding's
    MAPPING = "mapping"  # the sender got another public endpoint
    STATE = "state"  # all that the ALG did with the message, including pinholes and its memory
    POLICY = "policy"  # a setting of the ALG: ``siplab.lab.gateway.alg.Policy``
    NAT = "nat"  # a setting of the router's NAT: ``siplab.lab.gateway.nat_config.NatConfig``

    @property
    def is_setting(self) -> bool:
        return self in (ActionKind.POLICY, ActionKind.NAT)


@dataclass(frozen=True)
class GatewayAction:
    """One action, or all similar ones: an empty field (``nth`` 0) stands for any value.

    ``direction``: ``out`` or ``in``, as seen from the router's inside. ``label``: of the message
    (``200 OK (INVITE)``). ``nth``: the message's number among those with this label and direction, from 1.
    ``part``: one of the names of ``lab.wire.compare``; the name of a setting, if the action is one.

    The other fields are for readers. ``before``: the part as it came to the router; ``after``: as the router
    left it; ``instead``: as the reference leaves it. ``now``: when, in seconds.
    """

    gateway: str
    kind: ActionKind
    direction: str = ""
    label: str = ""
    nth: int = 0
    part: str = ""
    before: str = ""
    after: str = ""
    instead: str = ""
    now: float = 0.0

    def covers(self, other: GatewayAction) -> bool:
        """Whether ``other`` is this action, or one of those that this action stands for."""
        return (
            self.kind is other.kind
            and self.part in ("", other.part)
            and self.direction in ("", other.direction)
            and self.label in ("", other.label)
            and self.nth in (0, other.nth)
            and self.gateway in ("", other.gateway)
        )

    def touches(self, gateway: str, direction: str, label: str, nth: int) -> bool:
        """Whether the action is about this message, or may be."""
        return (
            not self.kind.is_setting
            and self.direction in ("", direction)
            and self.label in ("", label)
            and self.nth in (0, nth)
            and self.gateway in ("", gateway)
        )

    @property
    def is_omission(self) -> bool:
        """Whether the router left a part as it came, although the reference would have changed it."""
        return self.kind is ActionKind.PART and self.before == self.after

    @property
    def bare(self) -> GatewayAction:
        """The same action without the fields for readers."""
        return replace(self, before="", after="", instead="", now=0.0)

    @property
    def of_label(self) -> GatewayAction:
        """All such actions on messages with this label."""
        return replace(self.bare, nth=0)

    @property
    def of_class(self) -> GatewayAction:
        """All such actions in this direction; for ``state``, only on messages with this label."""
        return self.of_label if self.kind is ActionKind.STATE else replace(self.bare, label="", nth=0)

    def __str__(self) -> str:
        """The action as text that ``parse`` reads."""
        words = [self.kind.value] if self.kind is not ActionKind.PART else []
        words += [self.part] if self.part else []
        words += [f"of {self.label}"] if self.label else []
        words += [self.direction] if self.direction else []
        return " ".join(words)


_FORM = re.compile(
    r"(?:(?P<setting>policy|nat) (?P<name>\w+)"
    r"|(?P<what>.+?)(?: of (?P<label>.+?))?(?: (?P<direction>in|out))?)"
)
_KINDS = {each.value: each for each in ActionKind if not each.is_setting and each is not ActionKind.PART}


def parse(text: str) -> GatewayAction:
    """The action that a text names.

    Examples: ``Record-Route in``, ``SDP c= of 200 OK (INVITE) in``, ``drop of ACK``, ``policy fragments``.
    Raises ``UsageError``.
    """
    found = _FORM.fullmatch(" ".join(text.split()))
    if found is None:
        raise UsageError(
            f"'{text}' is no action of a router: that is like 'Record-Route in', 'drop of ACK out', "
            "'SDP c= of 200 OK (INVITE) in', 'policy fragments'"
        )
    if found["setting"]:
        return GatewayAction("", ActionKind(found["setting"]), part=found["name"])
    kind = _KINDS.get(found["what"], ActionKind.PART)
    part = found["what"] if kind is ActionKind.PART else ""
    return GatewayAction("", kind, found["direction"] or "", found["label"] or "", part=part)
