"""Header fields of the corpus: usual ones, and all spellings on which parsers are known to fail."""

from __future__ import annotations

from typing import Final

from siplab.experiments.calibration.places import View, hostport
from siplab.experiments.calibration.weights import Dice

_COMPACT: Final = {"From": "f", "To": "t", "Via": "v", "Contact": "m", "Call-ID": "i", "Content-Length": "l",
                   "Content-Type": "c", "Subject": "s", "Supported": "k"}  # fmt: skip
_SPELLINGS: Final = ((80, "usual"), (10, "compact"), (4, "lower"), (3, "upper"), (3, "compact upper"))
_SEPARATORS: Final = (
    (88, ": "),
    (4, ":"),
    (2, " : "),
    (2, ":  "),
    (1, ":\t"),
    (2, ":{eol} "),
    (1, ":{eol}\t"),
)
_SCHEMES: Final = ((88, "sip:"), (4, "sips:"), (2, "tel:"), (3, "SIP:"), (1, "Sip:"), (1, ""), (1, "im:"))
_USERS: Final = (
    (76, "alice@"), (8, ""), (3, "alice:secret@"), (3, "alice;phone-context=lab@"), (3, "%61lice@"),
    (2, "alice.o'hara_1@"), (2, "+15551234@"), (1, "a@b@"), (1, "alice @"), (1, "@"),
)  # fmt: skip
_URI_PARAMETERS: Final = (
    (66, ""), (8, ";transport=udp"), (4, ";transport=tcp"), (2, ";transport=UDP"), (2, ";Transport=udp"),
    (5, ";ob"), (4, ";lr"), (2, ";user=phone"), (2, ";maddr=192.168.1.102"), (3, ";line=abc;x=1"),
    (1, "?Subject=hi"), (1, ";transport=tls"),
)  # fmt: skip
_ADDRESS_FORMS: Final = (
    (58, "<{uri}>"), (15, '"Alice" <{uri}>'), (6, "Alice <{uri}>"), (12, "{uri}"),
    (3, '"sip:x@192.168.1.102:5060" <{uri}>'), (2, "< {uri} >"), (2, '"A, B" <{uri}>'), (2, "<{uri}"),
)  # fmt: skip
_CONTACT_PARAMETERS: Final = (
    (56, ""), (14, ";expires=3600"), (4, ";expires=0"), (2, ";expires=60;q=0.8"), (1, ";expires=abc"),
    (1, ";expires="), (6, ";q=0.5"), (6, ';+sip.instance="<urn:uuid:0-1-2-3>"'), (2, ";Expires=120"),
    (2, " ; expires = 90"), (3, ";reg-id=1"), (3, ';expires="60"'),
)  # fmt: skip
_CONTACT_LISTS: Final = (
    (72, "one"),
    (9, "comma"),
    (3, "comma folded"),
    (6, "lines"),
    (4, "star"),
    (6, "none"),
)
_VIA_TRANSPORTS: Final = (
    (90, "SIP/2.0/UDP "), (3, "SIP/2.0/TCP "), (2, "SIP/2.0/TLS "), (2, "SIP/2.0/udp "), (1, "sip/2.0/UDP "),
    (1, "SIP/2.0/UDP  "), (1, "SIP / 2.0 / UDP "),
)  # fmt: skip
_CSEQ_FORMS: Final = (
    (93, "{n} {m}"), (1, "{n}  {m}"), (1, "{n}\t{m}"), (1, " {n} {m}"), (1, "0 {m}"), (1, "{m}"),
    (1, "99999999999 {m}"), (1, "{n} x{m}"),
)  # fmt: skip
_EXPIRES_FORMS: Final = (
    (80, "3600"),
    (8, "0"),
    (4, "60"),
    (2, "abc"),
    (2, ""),
    (2, "4294967296"),
    (2, " 300"),
)
_EXTRAS: Final = (
    "Max-Forwards: 70", "User-Agent: bench/1.0", "Allow: INVITE, ACK, BYE, CANCEL",
    "Supported: path, outbound",
    "Subject: sip:alice@192.168.1.102:5060", "X-Contact: <sip:alice@192.168.1.102:5060>",
    "Record-Route: <sip:198.51.100.10:5060;lr>", "Route: <sip:198.51.100.10;lr>",
    "Refer-To: <sip:bob@192.168.1.102:5060>", "P-Asserted-Identity: <sip:alice@192.168.1.102:5060>",
    'Authorization: Digest username="alice", realm="lab", uri="sip:192.168.1.102:5060"', "k: timer",
    "o: presence",
    "Accept-Contact: *;audio", "Privacy: none", "Path: <sip:192.168.1.102:5060;lr>",
    "Via-Something: UDP 192.168.1.102",
)  # fmt: skip


class Writer:
    """Writes one message's header fields. ``eol`` ends its lines."""

    def __init__(self, rng: Dice, view: View, eol: str) -> None:
        self.rng = rng
        self.view = view
        self.eol = eol

    def field(self, name: str, value: str) -> str:
        """A field. Name and colon are written in one of the allowed ways, or in a nearly allowed one."""
        spelling = self.rng.pick(_SPELLINGS)
        compact = _COMPACT.get(name)
        if spelling.startswith("compact") and compact:
            name = compact.upper() if spelling == "compact upper" else compact
        elif spelling in ("lower", "upper"):
            name = name.lower() if spelling == "lower" else name.upper()
        return f"{name}{self.rng.pick(_SEPARATORS).format(eol=self.eol)}{value}"

    def uri(self, *, kind: str = "") -> str:
        """A URI that names the message's sender, or its receiver for ``kind`` ``to``."""
        rng, view = self.rng, self.view
        own, other = (view.source, view.destination) if kind != "to" else (view.destination, view.source)
        written = hostport(rng, own, other)
        return f"{rng.pick(_SCHEMES)}{rng.pick(_USERS)}{written}{rng.pick(_URI_PARAMETERS)}"

    def address(self, *, kind: str = "") -> str:
        """A ``name-addr`` or an ``addr-spec``."""
        return self.rng.pick(_ADDRESS_FORMS).format(uri=self.uri(kind=kind))

    def contacts(self) -> list[str]:
        """The Contact fields."""
        shape = self.rng.pick(_CONTACT_LISTS)
        if shape == "none":
            return []
        if shape == "star":
            return [self.field("Contact", "*")]
        values = [self._contact() for _ in range(1 if shape == "one" else self.rng.choice((2, 2, 3)))]
        if shape == "lines":
            return [self.field("Contact", value) for value in values]
        comma = f",{self.eol} " if shape == "comma folded" else self.rng.choice((", ", ",", " , "))
        return [self.field("Contact", comma.join(values))]

    def _contact(self) -> str:
        return self.address() + self.rng.pick(_CONTACT_PARAMETERS)

    def via(self, *, response: bool) -> str:
        """One Via value. In a response it names the receiver, and may have ``received`` and ``rport``."""
        rng = self.rng
        own, other = self.view.source, self.view.destination
        if response:
            own, other = other, own
        parameters = [f"branch=z9hG4bK{rng.randrange(1 << 32):x}"]
        if response:
            if rng.chance(60):
                parameters.append(f"received={own.ip if rng.chance(85) else other.ip}")
            if rng.chance(60):
                parameters.append(f"rport={own.port if rng.chance(85) else rng.choice((5061, 1, 70000))}")
        elif rng.chance(60):
            parameters.append(rng.choices(("rport", f"rport={own.port}", "rport="), (85, 10, 5))[0])
        if rng.chance(5):
            parameters.append(f"maddr={rng.choice((own.ip, other.ip, 'lab.test'))}")
        if rng.chance(4):
            parameters.append("ttl=16")
        if rng.chance(4):
            parameters.append("alias")
        if rng.chance(20):
            rng.shuffle(parameters)
        semicolon = rng.choices((";", "; ", " ;"), (94, 3, 3))[0]
        sent_by = hostport(rng, own, other)
        return semicolon.join([rng.pick(_VIA_TRANSPORTS) + sent_by, *parameters])

    def vias(self, *, response: bool) -> list[str]:
        """The Via fields: most often one, else two, as two fields or as one list."""
        shape = self.rng.pick(((84, "one"), (8, "lines"), (6, "comma"), (2, "none")))
        if shape == "none":
            return []
        first = self.via(response=response)
        if shape == "one":
            return [self.field("Via", first)]
        second = (
            f"SIP/2.0/UDP {hostport(self.rng, self.view.destination, self.view.source)};branch=z9hG4bK2nd"
        )
        if shape == "comma":
            return [self.field("Via", f"{first}, {second}")]
        return [self.field("Via", first), self.field("Via", second)]

    def cseq(self, number: int, method: str) -> str:
        return self.field("CSeq", self.rng.pick(_CSEQ_FORMS).format(n=number, m=method))

    def expires(self) -> str:
        return self.field("Expires", self.rng.pick(_EXPIRES_FORMS))

    def extras(self) -> list[str]:
        """Fields that an ALG should leave alone."""
        return self.rng.sample(_EXTRAS, self.rng.choice((0, 1, 1, 2, 3)))
