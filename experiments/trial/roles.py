"""What scenarios may use of a phone, a call and a server, whether the lab or a real program plays them.

The lab's ``Phone``, ``Call`` and ``SipServer`` can do more. A scenario that uses more than this runs only
with the lab's own endpoints. With a real program it raises ``NotApplicableError``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from siplab.lab.media.session import Hold
from siplab.lab.phone.call import CallState, Direction
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.sip.base import Action
from siplab.lab.wire.ip import Endpoint


class NotApplicableError(Exception):
    """A scenario needs something that an endpoint can't do. The text says which endpoint, and what."""


class Hearing(Protocol):
    """What one end heard; times in seconds of the trial."""

    def between(self, begin: float, end: float) -> int: ...

    def silences(self, begin: float, end: float) -> list[tuple[float, float]]: ...


class CallRole(Protocol):
    """One call at one of its ends. The attributes mean what they mean in ``siplab.lab.phone.call.Call``."""

    @property
    def direction(self) -> Direction: ...
    @property
    def state(self) -> CallState: ...
    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def ended_by(self) -> Literal["local", "remote"] | None: ...
    @property
    def ringing_at(self) -> float | None: ...
    @property
    def established_at(self) -> float | None: ...
    @property
    def ended_at(self) -> float | None: ...
    @property
    def transfer_status(self) -> int: ...
    @property
    def digits(self) -> Sequence[str]: ...
    @property
    def over(self) -> bool: ...
    @property
    def rtp_received(self) -> int: ...
    @property
    def rtp_sent(self) -> int: ...
    @property
    def heard(self) -> Mapping[Literal["audio", "video", "image"], Hearing]: ...


class RegistrationRole(Protocol):
    """``status``: of the latest final response, 0 if there was none."""

    @property
    def state(self) -> RegistrationState: ...
    @property
    def status(self) -> int: ...


C = TypeVar("C", bound=CallRole)


class PhoneRole(Protocol[C]):
    """A phone. Each command returns the actions to carry out, for ``Stage.do``."""

    @property
    def calls(self) -> Sequence[C]: ...
    @property
    def registration(self) -> RegistrationRole: ...
    @property
    def local(self) -> Endpoint: ...
    def register(self, now: float) -> list[Action]: ...
    def call(self, target: str, now: float) -> list[Action]: ...
    def answer(self, now: float) -> list[Action]: ...
    def hang_up(self, now: float, call: C | None = None) -> list[Action]: ...
    def hold(self, call: C, how: Hold, now: float, done: Callable[[int, float], None]) -> list[Action]: ...
    def transfer(self, call: C, target: str, now: float, *, replaced: C | None = None) -> list[Action]: ...
    def dial(self, call: C, digits: str, now: float) -> list[Action]: ...


class BindingRole(Protocol):
    """Where a registrar believes a user to be."""

    @property
    def contact(self) -> bytes: ...


class RegistrarRole(Protocol):
    def lookup(self, user: str) -> Sequence[BindingRole]: ...


class ServerRole(Protocol):
    """A registrar and proxy."""

    @property
    def registrar(self) -> RegistrarRole: ...
