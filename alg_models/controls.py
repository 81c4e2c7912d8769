"""The two controls that every fault is compared with: no ALG, and an ALG that makes no mistake."""

from __future__ import annotations

from siplab.alg_models.steps.headers import (
    EndBody,
    FitContentLength,
    HoldRegistration,
    TranslateIdentity,
    TranslateRequestUri,
    TranslateUris,
    TranslateVia,
)
from siplab.alg_models.steps.media import CloseDialog, TranslateSdp
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source, Step

CORRECT_STEPS: tuple[Step, ...] = (
    EndBody(),
    TranslateRequestUri(),
    TranslateVia(),
    TranslateUris(),
    TranslateIdentity(),
    TranslateSdp(),
    FitContentLength(),
    HoldRegistration(),
    CloseDialog(),
)

NONE = Model(
    id="none",
    card=Card(
        summary="No ALG: the router translates addresses of packets and leaves messages alone.",
        kind="control",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
        ),
        symptom="None with phones and servers that cope with NAT themselves (rport, symmetric RTP).",
        sources=(Source("RFC 3022 section 2.2: traditional NAPT", Evidence.VENDOR_DOCUMENTATION),),
    ),
)

CORRECT = Model(
    id="correct",
    card=Card(
        summary=(
            "An ALG without a fault: translates every address in both directions, "
            "with pinholes bound to registration and dialog."
        ),
        kind="control",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "register-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
        ),
        symptom="None. A detector may still notice it: the message changes on the way.",
        sources=(
            Source(
                "Catalogue of faults, 'When an ALG helps', item 4: the symmetric, stateful map",
                Evidence.INFERENCE,
            ),
            Source("RFC 2663 section 2.9: what an ALG is for", Evidence.VENDOR_DOCUMENTATION),
        ),
    ),
    recipe=Recipe(base=CORRECT_STEPS),
)

MODELS = (NONE, CORRECT)
