"""Says in words what a router does because of an unusual setting."""

from __future__ import annotations

from typing import Final

from siplab.experiments.trial.counterfactual.actions import GatewayAction

# By the setting's name, and by its value if that matters.
_SAID: Final = {
    "checksum": "leaves the UDP checksum of what it changes as the sender computed it",
    "dscp": "gives SIP, and media at the ports that its ALG opened, the DSCP {}",
    "follow_pinholes": "looks at what comes in through its pinholes, whatever the port",
    "fragments=drop": "drops datagrams that come in fragments",
    "fragments=unprocessed": "passes messages that come in fragments on as they are",
    "growth": "drops messages that it has made larger than the network carries",
    "hairpinning": "does not turn back what inside hosts send to its public address",
    "match": "tells what SIP is by the port that a datagram is addressed to",
    "media_symmetry": (
        "sends the media of inside hosts from other ports than those that it wrote into their session "
        "descriptions"
    ),
    "non_sip": "looks at keep-alives as if they were SIP",
    "non_sip=drop": "swallows keep-alives, which are no SIP",
    "ports": "looks at messages only where one end has port {}",
    "refresh": "restarts the timer of a binding with packets of either direction",
    "signalling_timeout": "forgets a binding of SIP when nothing has passed for {} s",
    "tcp=payload": "looks at each TCP segment as if it were a message",
    "tcp=segment": "translates only messages over TCP that are whole in one segment",
    "tcp=unadjusted": "changes the length of messages over TCP, and not the sequence numbers behind them",
    "transports": "looks at SIP only over {}",
    "transports=none": "looks at no message at all",
    "udp_timeout": "forgets a UDP binding when nothing has left by it for {} s",
}


def said(action: GatewayAction) -> str:
    """What a setting's value means; empty if nothing is known about it."""
    words = _SAID.get(f"{action.part}={action.after}", _SAID.get(action.part, ""))
    return words.format(action.after)
