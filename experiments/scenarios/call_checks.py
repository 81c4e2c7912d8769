"""The steps and checks of calls, the same whoever calls whom.

Each step plays a part of a call flow and records its checks; it gives ``None`` or ``False`` when the
scenario can't go on from there.
"""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.trial.stage import Stage
from siplab.lab.counting import number_of
from siplab.lab.media.session import Hold, Kind
from siplab.lab.phone.call import Call, CallState, Direction
from siplab.lab.phone.phone import Phone

# A caller waits this long for an answer before it gives up, in seconds.
PATIENCE = 35.0
# A greater share of lost packets than this is called choppy.
_HOLES = 0.05


@dataclass(frozen=True)
class Talk:
    """A call that is up, with both of its ends."""

    caller: Phone
    callee: Phone
    outgoing: Call
    incoming: Call

    @property
    def ends(self) -> tuple[tuple[str, Call, Call], tuple[str, Call, Call]]:
        """Who listens, its end, and the end that speaks: the callee first."""
        return ("callee", self.incoming, self.outgoing), ("caller", self.outgoing, self.incoming)


def connect(stage: Stage, *, caller: Phone, callee: Phone, target: str, name: str = "") -> Talk | None:
    """Call and wait for the answer: ``rings`` and ``answered``."""
    before = len(callee.calls)
    stage.do(caller, lambda now: caller.call(target, now))
    outgoing = caller.calls[-1]
    stage.until(lambda: outgoing.over or outgoing.state is CallState.ESTABLISHED, PATIENCE)
    return answered(stage, caller, outgoing, callee, before, name)


def answered(
    stage: Stage, caller: Phone, outgoing: Call, callee: Phone, before: int, name: str = ""
) -> Talk | None:
    """Whether the callee's phone rang, and whether the call is up."""
    incoming = next((each for each in callee.calls[before:] if each.direction is Direction.INCOMING), None)
    stage.check(
        f"{name}rings",
        incoming is not None and incoming.ringing_at is not None,
        "The called phone does not ring; the caller reaches voicemail.",
        outgoing.reason,
    )
    up = stage.check(
        f"{name}answered",
        outgoing.established_at is not None,
        "The call is never set up: the caller hears nothing, or an error tone.",
        outgoing.reason or f"status {outgoing.status}",
    )
    if not up or incoming is None:
        return None
    return Talk(caller, callee, outgoing, incoming)


def check_call(stage: Stage, *, caller: Phone, callee: Phone, target: str, duration: float) -> None:
    """Call, talk for ``duration`` seconds, hang up; seven checks, each with its symptom."""
    talk = connect(stage, caller=caller, callee=callee, target=target)
    if talk is None:
        return
    stays_up(stage, talk, duration)
    for who, listener, speaker in talk.ends:
        stage.check(
            f"{who} hears",
            listener.rtp_received > 0,
            f"One-way audio: the {who} hears nothing.",
            f"{listener.rtp_received} of {speaker.rtp_sent} RTP packets",
            "media",
        )
    hang_up(stage, talk)


_DROPS = "The call drops by itself, typically after 32 seconds."


def stays_up(stage: Stage, talk: Talk, seconds: float, name: str = "stays up", symptom: str = _DROPS) -> bool:
    """Talk for so long."""
    stage.talk(talk.callee, seconds)
    ended_early = _first_end(talk.outgoing, talk.incoming) or stage.doomed(talk.callee)
    return stage.check(
        name,
        ended_early == "",
        symptom,
        ended_early,
    )


def hold(stage: Stage, phone: Phone, call: Call, how: Hold, name: str) -> bool:
    """Hold a phone's call in that way, or resume it with ``""``: whether the other side agreed."""
    outcome: list[int] = []
    stage.do(phone, lambda now: phone.hold(call, how, now, lambda status, later: outcome.append(status)))
    stage.until(lambda: bool(outcome) or call.over, PATIENCE)
    symptom = "The hold key has no effect." if how else "A held call does not come back."
    return stage.check(name, outcome == [200], symptom, f"status {outcome[0] if outcome else 'none'}")


def both_hear(
    stage: Stage, talk: Talk, seconds: float = 4.0, name: str = "", *, kind: Kind = "audio"
) -> None:
    """Talk for so long, the first second of which may be lost; both sides hear all the rest."""
    stage.idle(1.0)
    begin = stage.now
    stage.idle(seconds)
    for who, listener, _ in talk.ends:
        hears(stage, listener, begin, stage.now, who, name, kind=kind)


def hears(
    stage: Stage,
    listener: Call,
    begin: float,
    end: float,
    who: str,
    name: str = "",
    *,
    kind: Kind = "audio",
) -> bool:
    """Whether one end has heard the other all the time."""
    heard = listener.heard[kind]
    silences = heard.silences(begin, end)
    nothing = not heard.between(begin, end)
    what = {"audio": "audio", "video": "video", "image": "fax"}[kind]
    if kind == "audio":
        symptom = f"One-way audio: the {who} hears nothing{f' {name}' if name else ''}."
        if silences and not nothing:
            symptom = f"The sound breaks off: the {who} hears gaps{f' {name}' if name else ''}."
    elif kind == "video":
        symptom = f"The {who} sees a frozen picture or none."
    else:
        symptom = "The fax does not get through."
    seconds = sum(last - first for first, last in silences)
    return stage.check(
        f"{who} {'hears' if kind == 'audio' else 'gets ' + what}{f' {name}' if name else ''}",
        not silences and not nothing,
        symptom,
        f"{number_of(heard.between(begin, end), 'packet')} in {end - begin:g} s, {seconds:.1f} s of silence",
        "media",
    )


def whole(stage: Stage, listener: Call, who: str) -> bool:
    """Whether what one end heard of the other came without holes: the lab's line is one packet in twenty."""
    heard = listener.heard["audio"]
    expected = heard.received + heard.lost
    return stage.check(
        f"{who} hears every word",
        heard.lost <= expected * _HOLES,
        f"The sound is choppy: the {who} misses syllables.",
        f"{heard.lost} of {expected} packets lost",
        "media",
    )


def is_silent(stage: Stage, listener: Call, begin: float, end: float, name: str, symptom: str) -> bool:
    """Whether one end heard nothing, as it should be."""
    count = listener.heard["audio"].between(begin, end)
    return stage.check(
        name, count == 0, symptom, f"{number_of(count, 'packet')} in {end - begin:g} s", "media"
    )


def hang_up(stage: Stage, talk: Talk, *, by: str = "caller", name: str = "hangs up") -> bool:
    """One side hangs up, and the other notices."""
    if by == "caller":
        phone, own, other = talk.caller, talk.outgoing, talk.incoming
    else:
        phone, own, other = talk.callee, talk.incoming, talk.outgoing
    was_over = other.over
    stage.do(phone, lambda now: phone.hang_up(now, own))
    stage.until(lambda: other.over, PATIENCE)
    # One that gives up by itself meanwhile, for want of an ACK, has not noticed anything.
    return stage.check(
        name,
        was_over or other.ended_by == "remote",
        "The other side does not notice the end of the call: a dead line stays open.",
        other.reason,
    )


def _first_end(*calls: Call) -> str:
    ended = [(call.ended_at, call) for call in calls if call.ended_at is not None]
    if not ended:
        return ""
    when, call = min(ended, key=lambda row: row[0])
    return f"{call.reason} {when - (call.established_at or when):.1f} s after the answer"
