"""One user with two phones: a call rings both, one answers, the other stops ringing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from siplab.experiments.scenarios.call_checks import Talk, both_hear, hang_up
from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import PASSWORDS, Stage
from siplab.lab.phone.call import CallState


@dataclass(frozen=True)
class Fork:
    """Both phones are behind the router; the first one answers."""

    def run(self, stage: Stage) -> None:
        stage.with_phone(ring_time=3.0)
        first, far = stage.phone, stage.far_phone
        host, address = stage.host("second-phone" if stage.has("second-phone") else "phone")
        port = 5060 if stage.has("second-phone") else 5062
        source = first.config.source_port
        config = replace(
            first.config,
            ip=address,
            sip_port=port,
            source_port=source
            and source + 2,  # where it sends from a port of its own, that is the first one's
            rtp_port=first.rtp_local.port + 1000,
            ring_time=None,
        )
        if stage.setup.tunnel:
            config = stage.tunnelled(config, len(PASSWORDS) + 1)
        second = stage.place(host, config, "alice's other phone")
        stage.do(far, far.register)
        stage.idle(1.0)
        register(stage)
        register(stage, second, "second phone ")
        stage.do(far, lambda now: far.call("alice@lab.test", now))
        outgoing = far.calls[-1]
        stage.until(lambda: outgoing.over or outgoing.state is CallState.ESTABLISHED, 35.0)
        for phone, name in ((first, "first"), (second, "second")):
            stage.check(
                f"{name} phone rings",
                bool(phone.calls) and phone.calls[-1].ringing_at is not None,
                "Only one of two phones rings.",
            )
        if not stage.check(
            "answered",
            outgoing.established_at is not None and bool(first.calls),
            "The call is never set up: the caller hears nothing, or an error tone.",
            outgoing.reason or f"status {outgoing.status}",
        ):
            return
        stage.idle(1.0)
        stage.check(
            "second phone stops ringing",
            bool(second.calls) and second.calls[-1].over,
            "The other phone rings on though the call was answered.",
        )
        talk = Talk(far, first, outgoing, first.calls[-1])
        both_hear(stage, talk)
        hang_up(stage, talk)


ITEM = Item("fork", "A call rings two phones of one user; one answers.", Fork())
