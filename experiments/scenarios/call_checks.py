"""The checks of a plain call, the same whoever calls whom."""

from __future__ import annotations

from experiments.stage import Stage
from lab.agents.call import Call, CallState, Direction
from lab.agents.phone import Phone

# A caller waits this long for an answer before it gives up, in seconds.
PATIENCE = 35.0


def check_call(stage: Stage, *, caller: Phone, callee: Phone, target: str, duration: float) -> None:
    """Call, talk for ``duration`` seconds, hang up; seven checks, each with its symptom."""
    stage.do(caller, lambda now: caller.call(target, now))
    outgoing = caller.calls[-1]
    stage.until(lambda: outgoing.over or outgoing.state is CallState.ESTABLISHED, PATIENCE)
    incoming = _incoming(callee)
    stage.check(
        "rings",
        incoming is not None and incoming.ringing_at is not None,
        "The called phone does not ring; the caller reaches voicemail.",
        outgoing.reason,
    )
    answered = stage.check(
        "answered",
        outgoing.established_at is not None,
        "The call is never set up: the caller hears nothing, or an error tone.",
        outgoing.reason or f"status {outgoing.status}",
    )
    if not answered or incoming is None:
        return
    stage.idle(duration)
    ended_early = _first_end(outgoing, incoming)
    stage.check(
        "stays up",
        ended_early == "",
        "The call drops by itself, typically after 32 seconds.",
        ended_early,
    )
    for speaker, listener in ((outgoing, incoming), (incoming, outgoing)):
        who = "caller" if listener is outgoing else "callee"
        stage.check(
            f"{who} hears",
            listener.rtp_received > 0,
            f"One-way audio: the {who} hears nothing.",
            f"{listener.rtp_received} of {speaker.rtp_sent} RTP packets",
        )
    stage.do(caller, caller.hang_up)
    stage.until(lambda: incoming.over, PATIENCE)
    stage.check(
        "hangs up",
        incoming.over,
        "The other side does not notice the end of the call: a dead line stays open.",
        incoming.reason,
    )


def _incoming(callee: Phone) -> Call | None:
    for call in callee.calls:
        if call.direction is Direction.INCOMING:
            return call
    return None


def _first_end(*calls: Call) -> str:
    ended = [(call.ended_at, call) for call in calls if call.ended_at is not None]
    if not ended:
        return ""
    when, call = min(ended, key=lambda row: row[0])
    return f"{call.reason} {when - (call.established_at or when):.1f} s after the answer"
