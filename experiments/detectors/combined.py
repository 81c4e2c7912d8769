"""Everything that one conversation with a reflector shows: the technique to use when there is time for one.

The phone registers, calls, is called, transfers, sends messages, keep-alives and STUN, spells things
unusually and sends what fits no packet; the reflector answers and sends requests of its own. On another port
each says what it sent and what it got, so every byte of the conversation is compared, both ways. It accuses
for

- a message that arrives with other bytes, in either direction;
- an answer or a request that nobody sent;
- what arrives at another port of the phone, or a flow whose public port changes within two seconds;
- what never arrives in at least five copies while five twins on another port do (loss does not choose ports).

Where the network has an outbound proxy the conversation goes by way of it, and what an honest proxy may do
(RFC 3261 section 16.6) is no accusation. Without evidence it says ``clean``, and ``undecided`` when
something stayed missing that twins could not explain. It names the models of the catalogue whose
conversations look most like this one. What it can't see: timers (``binding-lifetime`` does), media beyond
their announcement (``rtp-port`` does), TCP and TLS, and what nothing in the conversation provokes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons, model_fingerprints
from siplab.experiments.detectors.probe_runs import (
    binding_request,
    finding_of,
    in_dialog,
    invite,
    keepalive,
    odd,
    plain,
    refer,
    register,
    run_probes,
    unregister,
)
from siplab.experiments.detectors.real_calls import real_calls
from siplab.experiments.detectors.unusual import unusual
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_messages import description
from siplab.lab.probing.probe_plan import Observations, Probe
from siplab.lab.wire.ip import Endpoint

_FILLER = 1400  # bytes: more than a packet holds, with the message around it


def conversation(local: Endpoint) -> Sequence[Probe]:
    """The probes, in the order in which they are sent."""
    hold = description(local, 2, direction=b"sendonly")
    probes = [
        register(local, "200"),
        plain(local, b"OPTIONS", "200"),
        invite(local, "100", "180", "183+sdp", "200+sdp"),
        in_dialog(local, b"ACK", 1),
        in_dialog(local, b"INFO", 2, "200", "in:UPDATE+sdp"),
        in_dialog(local, b"INVITE", 3, "200+sdp", body=hold, name="re-INVITE"),
        in_dialog(local, b"BYE", 4, "200"),
        # The call that the reflector makes goes on by itself: INVITE, ACK, BYE.
        plain(local, b"MESSAGE", "200", "INVITE+sdp", expects=4),
        plain(local, b"PROBE", "200", "OPTIONS", "PROBE"),
        refer(local, "200", "in:NOTIFY"),
        odd(local, "486"),
        keepalive(),
        binding_request(),
        *unusual(local),
        *real_calls(local),
        unregister(local),
    ]
    if ":" not in local.ip:  # IPv6 has no fragments under way
        probes.insert(-1, invite(local, "486", name="long INVITE", filler=_FILLER))
    return probes


@dataclass(frozen=True)
class Combined:
    """Run the whole conversation, and compare all that was sent with what arrived."""

    def observe(self, stage: Stage) -> Observations:
        """The conversation alone."""
        return run_probes(stage, conversation, by_proxy=True)

    def run(self, stage: Stage) -> Finding:
        seen = self.observe(stage)
        changed, evidence = comparisons.gather(seen, *comparisons.EVERY)
        return finding_of(seen, changed, evidence, model_fingerprints.likely(seen) if evidence else ())


ITEM = Item("combined", "Everything that a conversation with a reflector can show.", Combined())
