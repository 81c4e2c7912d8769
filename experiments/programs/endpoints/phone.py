"""A real program in place of a phone: scenarios' commands become orders, its events become calls.

The rules of this file:

- What a program reports itself comes first: registered, ringing, established, closed. What it does not report
  is read from the SIP at its host: the status of a response, who hung up, whether a call was put on hold.
- The class is among the world's agents only for their clock. It neither sends nor receives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from siplab.experiments.programs.endpoints.control import Control, Event
from siplab.experiments.programs.endpoints.recording import Ear, Listener
from siplab.experiments.programs.endpoints.sip_view import Seen, SipView
from siplab.experiments.programs.kind import Order
from siplab.experiments.trial.roles import NotApplicableError
from siplab.lab.errors import UsageError
from siplab.lab.media.rtp_receiver import RtpReceiver
from siplab.lab.media.session import Hold
from siplab.lab.phone.call import CallState, Direction
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.sip.base import Action, Agent
from siplab.lab.wire.ip import Endpoint

_LOOK: Final = 0.05  # seconds between two looks at things that no event announces


@dataclass(frozen=True)
class Config:
    """The settings of a phone that scenarios read."""

    user: str
    ip: str
    sip_port: int
    ring_time: float | None


class ProgramRegistration:
    """The registration of a real phone."""

    def __init__(self) -> None:
        self.state = RegistrationState.UNREGISTERED
        self.status = 0


class ProgramCall:
    """A call of a real phone. The attributes are those of ``CallRole``."""

    def __init__(self, phone: ProgramPhone, direction: Direction, call_id: str, now: float) -> None:
        incoming = direction is Direction.INCOMING
        self.phone = phone
        self.direction = direction
        self.state = CallState.RINGING if incoming else CallState.CALLING
        self.call_id = call_id
        self.status = 0
        self.reason = ""
        self.ended_by: Literal["local", "remote"] | None = None
        self.started = now
        self.ringing_at: float | None = now if incoming else None
        self.established_at: float | None = None
        self.ended_at: float | None = None
        self.transfer_status = 0
        self.hanging_up = False
        self.heard: dict[Literal["audio", "video", "image"], RtpReceiver] = {"audio": phone.ear.heard}

    @property
    def over(self) -> bool:
        return self.state in (CallState.ENDED, CallState.FAILED)

    @property
    def rtp_received(self) -> int:
        """Frames of 20 ms in which somebody was heard during this call."""
        end = self.phone.now if self.ended_at is None else self.ended_at
        return self.phone.ear.heard.between(self.established_at or self.started, end)

    @property
    def rtp_sent(self) -> int:
        """Frames of 20 ms that the phone could have sent in the call's time."""
        end = self.phone.now if self.ended_at is None else self.ended_at
        return round((end - (self.established_at or end)) / 0.02)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotApplicableError(f"{self.phone.name} does not tell '{name}' of a call")


class ProgramPhone(Agent):
    """A real phone. ``name``: its name in messages that it can't do something; ``can``: what it can do.

    ``launch`` starts the program and returns its control; it is called to register the phone. ``settled``
    serves the lab until a condition holds or so many seconds have passed.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        can: Collection[str],
        view: SipView,
        ear: Ear,
        launch: Callable[[], Control],
        listener: Listener,
        failure: Callable[[], str],
        wait: Callable[[Callable[[], bool]], bool],
    ) -> None:
        super().__init__()
        self.config = config
        self.local = Endpoint(config.ip, config.sip_port)
        self.name = name
        self.calls: list[ProgramCall] = []
        self.registration = ProgramRegistration()
        self.ear = ear
        self.view = view
        self.now = 0.0
        self._can = can
        self._launch, self._listener, self._failure, self._wait = launch, listener, failure, wait
        self._control: Control | None = None
        self._under_control = False
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._held: Callable[[int, float], None] | None = None
        self._answered: dict[str, int] = {}  # Call-ID -> CSeq of the first INVITE that was answered
        self._change: int | None = None  # CSeq of the re-INVITE that should be sent

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotApplicableError(f"{self.name} can't '{name}'")

    # -- orders ------------------------------------------------------------------------------------

    def register(self, now: float) -> list[Action]:
        """Start the program, which registers by itself. Returns once that has succeeded or failed."""
        self._able("register")
        if self._control is not None:
            raise NotApplicableError(f"{self.name} registers once, when it starts")
        self.registration.state = RegistrationState.REGISTERING
        self._control = self._launch()
        waiting = RegistrationState.REGISTERING
        self._wait(lambda: self._under_control and self.registration.state is not waiting)
        if self.registration.state is waiting:
            self.registration.state = RegistrationState.FAILED
        return []

    def call(self, target: str, now: float) -> list[Action]:
        self._able("call")
        uri = target if target.startswith(("sip:", "sips:")) else f"sip:{target}"
        self.calls.append(ProgramCall(self, Direction.OUTGOING, "", now))
        self._order("call", target=uri)
        return []

    def answer(self, now: float) -> list[Action]:
        self._able("answer")
        if any(
            each.state is CallState.RINGING and each.direction is Direction.INCOMING for each in self.calls
        ):
            self._order("answer")
        return []

    def hang_up(self, now: float, call: ProgramCall | None = None) -> list[Action]:
        self._able("hang-up")
        call = call or next((each for each in reversed(self.calls) if not each.over), None)
        if call is not None and not call.over:
            call.hanging_up = True
            self._order("hang-up")
        return []

    def hold(
        self, call: ProgramCall, how: Hold, now: float, done: Callable[[int, float], None]
    ) -> list[Action]:
        self._able("hold")
        if how not in ("", "sendonly"):
            raise NotApplicableError(f"{self.name} holds a call its own way, not with '{how}'")
        self._held, self._change = done, None
        self._order("hold" if how else "resume")
        return []

    def transfer(
        self, call: ProgramCall, target: str, now: float, *, replaced: ProgramCall | None = None
    ) -> list[Action]:
        self._able("transfer")
        if replaced is not None:
            raise NotApplicableError(f"{self.name} can't transfer to a call that it has")
        self._order("transfer", target=target if target.startswith("sip:") else f"sip:{target}")
        return []

    def dial(self, call: ProgramCall, digits: str, now: float) -> list[Action]:
        self._able("dial")
        for digit in digits:
            self._order("dial", digits=digit)
        return []

    def _able(self, what: str) -> None:
        if what not in self._can:
            raise NotApplicableError(f"{self.name} can't {what.replace('-', ' ')}")

    def _order(self, order: Order, **values: str) -> None:
        if self._control is None:
            raise UsageError(f"{self.name} has not been started: it must register first")
        self._control.order(order, **values)

    # -- what happens ------------------------------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        self.now = now
        return []

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        return []

    def next_timer(self) -> float | None:
        return self.now + _LOOK if self._control is not None else None

    def on_timer(self, now: float) -> list[Action]:
        self.now = now
        self._listener.poll(now)
        for each in self.view.update():
            self._saw(each)
        if self._control is not None:
            for event in self._control.poll():
                self._happened(event, now)
        due, self._due = (
            [each for each in self._due if each[0] <= now],
            [each for each in self._due if each[0] > now],
        )
        for _, act in due:
            act()
        return []

    def _happened(self, event: Event, now: float) -> None:
        registration = self.registration
        if event.kind == "control":
            self._under_control = True
        elif event.kind == "registered":
            registration.state = RegistrationState.REGISTERED
        elif event.kind == "refused" and registration.state is not RegistrationState.REGISTERED:
            registration.state = RegistrationState.FAILED
        elif event.kind == "incoming":
            self._incoming(event, now)
        else:
            call = self._call_of(event, now)
            if call is not None:
                self._went_on(call, event, now)

    def _incoming(self, event: Event, now: float) -> None:
        call = ProgramCall(self, Direction.INCOMING, event.call_id, now)
        self.calls.append(call)
        if self.config.ring_time is not None:
            self._due.append((now + self.config.ring_time, lambda: self._pick_up(call)))

    def _pick_up(self, call: ProgramCall) -> None:
        if call.state is CallState.RINGING and self._control is not None:
            self._control.order("answer")

    def _call_of(self, event: Event, now: float) -> ProgramCall | None:
        live = [each for each in self.calls if not each.over]
        if event.call_id:
            for each in live:
                if each.call_id == event.call_id:
                    return each
            for each in live:
                if not each.call_id and event.outgoing is not False:
                    each.call_id = event.call_id
                    return each
            if event.outgoing and event.kind != "closed":  # another party made it call: a transfer
                self.calls.append(ProgramCall(self, Direction.OUTGOING, event.call_id, now))
                return self.calls[-1]
            return None
        return live[-1] if live else None

    def _went_on(self, call: ProgramCall, event: Event, now: float) -> None:
        if event.kind == "ringing" and call.state is CallState.CALLING:
            call.state, call.ringing_at = CallState.RINGING, now
        elif event.kind == "established" and call.established_at is None:
            call.state, call.established_at = CallState.ESTABLISHED, now
        elif event.kind == "closed":
            call.state = CallState.FAILED if call.established_at is None else CallState.ENDED
            call.ended_at = now
            call.reason = event.text
            call.ended_by = "local" if call.hanging_up or not self._was_ended(call) else "remote"

    def _was_ended(self, call: ProgramCall) -> bool:
        """Whether a BYE or CANCEL has come since the call began. If TLS hides the SIP, one is assumed."""
        if not self.view.seen:
            return True
        return any(
            not each.leaving and each.message.method in (b"BYE", b"CANCEL") and each.now >= call.started
            for each in self.view.seen
        )

    def _saw(self, seen: Seen) -> None:
        message = seen.message
        if not seen.leaving and seen.is_final(b"REGISTER"):
            self.registration.status = message.status or 0
        if not seen.leaving and seen.is_final(b"INVITE"):
            latest = next((each for each in reversed(self.calls) if not each.over), None)
            if (
                latest is not None
                and latest.direction is Direction.OUTGOING
                and latest.established_at is None
            ):
                latest.status = message.status or 0
            if self._held is not None and seen.cseq == self._change and message.status not in (401, 407):
                done, self._held = self._held, None
                done(message.status or 0, seen.now)
        if self._is_further_answer(seen):
            self._listener.change()
        if message.method == b"INVITE" and message.is_request and b"tag=" in message.value(b"to"):
            self._listener.change()
            if seen.leaving and self._held is not None:
                self._change = seen.cseq
        if not seen.leaving and message.method == b"NOTIFY" and message.is_request:
            self._transferred(message.body)

    def _is_further_answer(self, seen: Seen) -> bool:
        """Whether an answered call is answered again. A re-INVITE in fragments is not seen itself."""
        if not seen.leaving or not seen.is_final(b"INVITE") or (seen.message.status or 0) >= 300:
            return False
        return self._answered.setdefault(seen.call_id, seen.cseq) != seen.cseq

    def _transferred(self, body: bytes) -> None:
        """A NOTIFY on the call that the other side placed for us (RFC 3515): message/sipfrag."""
        words = body.split(None, 2)
        live = [each for each in self.calls if each.established_at is not None]
        if live and len(words) > 1 and words[0] == b"SIP/2.0" and words[1].isdigit():
            live[-1].transfer_status = int(words[1])

    @property
    def trouble(self) -> str:
        """What is wrong with the program itself, in one line; empty if nothing is."""
        return self._failure() if self._control is not None else ""

    def close(self) -> None:
        """Close the program's control and what measures its media."""
        self._listener.close()
        if self._control is not None:
            self._control.close()
            self._control = None
