"""Broadcom's ALG for DSL routers: the card. ``_broadcom`` has what the ALG does."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.exact._broadcom import Broadcom
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Source

_URL: Final = "https://github.com/M0Rf30/linux-brcm963xx"
_FILES: Final = "net/netfilter/nf_conntrack_sip.c and net/ipv4/netfilter/nf_nat_sip.c at c21707ced167"

MODEL = Model(
    id="broadcom",
    card=Card(
        summary=(
            "The ALG of Broadcom's BCM963xx software for DSL routers: UDP only, a plain search in the text, "
            "Via of 100, 180, 183 and 200 left alone, nothing restored coming in but the Via of others."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "headers-contact-portless",
                b"Contact: <sip:alice@192.168.1.20>",
                b"Contact: <sip:alice@192.168.1.20>",
            ),
            Example(
                "register-ok",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;",
            ),
            Example(
                "headers-challenge",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport=61002;",
            ),
            Example(
                "incoming-invite",
                b"INVITE sip:alice@203.0.113.7:61002",
                b"INVITE sip:alice@203.0.113.7:61002",
            ),
            # The search for Contact ends inside the caller's display name.
            Example(
                "transport-quoted",
                b'From: "Contact: <sip:a@192.168.1.20:5060>"',
                b'From: "Contact: <sip:a@203.0.113.7:61002>"',
            ),
            Example("media-odd", b"m=audio 49171 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
            Example("media-refused", b"m=audio 0 RTP/AVP 0", b"m=audio 1024 RTP/AVP 0"),
            Example("media-streams", b"m=audio 49172 RTP/AVP 8", b"m=audio 49172 RTP/AVP 8"),
            Example("media-rtcp", b"a=rtcp:49171 IN IP4 192.168.1.20", b"a=rtcp:49171 IN IP4 203.0.113.7"),
            Example("media-ack", b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.20"),
            Example("media-named-connection", b"c=IN IP4 pc.example.org", None),
        ),
        rules=(
            "RFC 3261 18.1.2",
            "RFC 3261 7.3.1",
            "RFC 3261 8.1.1.8",
            "RFC 3261 8.2.2.1",
            "RFC 3264 5.1",
            "RFC 3264 6",
            "RFC 3605 2.1",
        ),
        symptom=(
            "Phones that check Via take challenges and ignore successes: they register over and over. Calls "
            "come in for the public address, which strict phones answer with 404. Fax, a second stream and "
            "late offers are one-way; hanging up one call cuts the pinholes of the others short."
        ),
        sources=(
            Source(f"Broadcom BCM963xx kernel, {_FILES}: generation b3", Evidence.SOURCE_CODE, _URL),
            Source(
                "TC72XX_LxG1.0.10mp5_OpenSrc, kernel 2.6.30, at ba09825a: generation b1",
                Evidence.SOURCE_CODE,
                "https://github.com/tch-opensrc/TC72XX_LxG1.0.10mp5_OpenSrc",
            ),
            Source(
                "DT_Hybrid_GPL, kernel 3.4.11, at b478c9bb: generation b2",
                Evidence.SOURCE_CODE,
                "https://github.com/Stricted/DT_Hybrid_GPL",
            ),
            Source(
                "speedport_neo_source at f489a95d, built with -D_SC_BUILD_: generation sercomm",
                Evidence.SOURCE_CODE,
                "https://github.com/steve-m/speedport_neo_source",
            ),
            Source(
                "DSL2750U_U1_GPL_IN_1.08_IN at 889d1b19: register_pinhole",
                Evidence.SOURCE_CODE,
                "https://github.com/cubieb/DSL2750U_U1_GPL_IN_1.08_IN",
            ),
            Source(
                "That generation sercomm gives a phone which names the public address its own port back, "
                "and others their own endpoint, by what the flow's phone wrote before",
                Evidence.INFERENCE,
            ),
            Source(
                "That a media pinhole which a BYE shortened is kept by traffic: 5 s are an idle time",
                Evidence.INFERENCE,
            ),
            Source(
                "That m=audio 0 becomes 1024: follows from the clamp of the port in the source",
                Evidence.INFERENCE,
                _URL,
            ),
        ),
    ),
    fault=Broadcom(),
    variants=(
        {"spare_via": False},
        {"generation": "b1"},
        {"generation": "b2"},
        {"generation": "sercomm"},
        {"generation": "b1", "register_pinhole": True},
    ),
)
