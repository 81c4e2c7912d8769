"""``python -m tools.mitigations``: what each mitigation cures, as the table of docs/mitigations.md.

``--check`` writes nothing and exits with 1 if the page is out of date. If a situation works without a
mitigation, or a trial is invalid, the command ends with an error: the situations are badly chosen, or the
lab is wrong.
"""

from __future__ import annotations

import sys
from typing import Final

from siplab.experiments.trial import registry
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tools import trials
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "mitigations.md"
LATE: Final = "incoming-call(idle=70)"

# Trials that fail, each with a sentence that says what is wrong.
SITUATIONS: Final = (
    (TrialSpec("home", "none", LATE), "No ALG. The NAT's binding has ended before the call comes."),
    (TrialSpec("home", "semicolon-loss", "register"), "The ALG breaks the syntax of messages."),
    (
        TrialSpec("home", "via-rport-stripped", "register").between(STRICT),
        "The ALG takes `rport` out of Via.",
    ),
    (
        TrialSpec("home", "port5060-hijack", "register"),
        "The router has a proxy of its own, which intercepts everything to port 5060.",
    ),
    (
        TrialSpec("home", "ack-2xx-lost", "outgoing-call"),
        "The router loses the ACK; the call drops after 32 s.",
    ),
    (
        TrialSpec("home", "nat-hidden-no-keepalive", LATE, server="hosted"),
        "The ALG hides the NAT, so the provider sends no keep-alive.",
    ),
    (TrialSpec("home", "keepalive-crlf-swallowed", LATE), "The router swallows CRLF keep-alives."),
    (
        TrialSpec("home", "none", "register", phone="legacy", server="rport-aware"),
        "No ALG; a phone that knows nothing of NAT.",
    ),
    (
        TrialSpec("home", "none", "outgoing-call", phone="legacy", server="rport-aware"),
        "The same phone calls.",
    ),
    (
        TrialSpec("home", "correct", "outgoing-call", phone="legacy", server="rport-aware"),
        "A correct ALG; the phone sends media from another port, and the other side answers to that.",
    ),
    (
        TrialSpec("home", "none", "outgoing-call", server="strict-addresses"),
        "No ALG; a server that knows nothing of NAT.",
    ),
    (
        TrialSpec("nat-symmetric", "none", "outgoing-call", server="strict-addresses"),
        "The same behind a symmetric NAT.",
    ),
    (TrialSpec("two-sites", "none", "outgoing-call").between(STRICT), "No ALG; both phones are behind NAT."),
    (
        TrialSpec("home", "none", "media-silence", server="hosted"),
        "No ALG; after five minutes of silence the binding of the media has ended.",
    ),
    (
        TrialSpec("alg-behind-alg", "none,hub=via-branch-altered", "register"),
        "The provider's hub alters Via; the customer's own router has no ALG.",
    ),
    (TrialSpec("firewall-no-media", "none", "outgoing-call"), "No ALG. The firewall lets no media in."),
    (TrialSpec("dual-stack", "blind-ip-replace", "register"), "The ALG replaces addresses blindly."),
    (
        TrialSpec("nat-symmetric", "none", "outgoing-call", phone="plain", server="strict-media"),
        "No ALG; a symmetric NAT, and a callee that accepts media only from the announced address.",
    ),
    (TrialSpec("home", "call-id-rewrite", "register"), "The ALG replaces the phone's address in Call-ID."),
    (TrialSpec("home", "fragment-drop", "large-invite"), "The router drops fragments of a large message."),
)
PAIRS: Final = (
    ("rport", "symmetric-rtp"),
    ("pseudo-tls", "keep-alive"),
    ("non-standard-port", "keep-alive"),
    ("hosted-nat-traversal", "keep-alive"),
)


def cell(situation: TrialSpec, mitigations: tuple[str, ...]) -> str:
    """Whether the mitigations cure the situation; a dash if they can't be used there.

    Raises ``SystemExit`` for an invalid trial.
    """
    spec = TrialSpec(
        situation.topology,
        situation.model,
        situation.scenario,
        mitigations=mitigations,
        phone=situation.phone,
        server=situation.server,
    )
    try:
        result = trials.result(spec)
    except UsageError:
        return "–"
    if result.errors:
        raise SystemExit(f"{spec.name}: {result.errors[0]}")
    return "**yes**" if result.outcome == "pass" else "no"


def table() -> str:
    """The table in Markdown, with an explanation of its columns."""
    for situation, _ in SITUATIONS:
        if cell(situation, ()) != "no":
            raise SystemExit(f"{situation.name}: works with nothing done about it")
    lines = []
    for number, (situation, text) in enumerate(SITUATIONS, 1):
        spec = f"`--topology {situation.topology}" if situation.topology != "home" else "`"
        options = [spec, f"--model {situation.model}", f"--scenario '{situation.scenario}'"]
        options += [f"--{kind} {name}" for kind, name in situation.kinds.items()]
        lines.append(f"{number}. {text} {' '.join(options).replace('` ', '`')}`")
    numbers = range(1, len(SITUATIONS) + 1)
    lines += ["", f"| mitigation | {' | '.join(map(str, numbers))} |", "|---" * (len(SITUATIONS) + 1) + "|"]
    rows = [(each.id,) for each in registry.mitigations()]
    for mitigations in (*rows, *PAIRS):
        cells = [cell(situation, mitigations) for situation, _ in SITUATIONS]
        lines.append(f"| {' + '.join(f'`{each}`' for each in mitigations)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


PART: Final = MadePart(PAGE, "mitigations", lambda: table())
updated = PART.updated


if __name__ == "__main__":
    sys.exit(PART.main())
