"""Counts what in a capture file could not be used, and why, so that nothing is skipped silently."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final


class LeftOutReason(StrEnum):
    """Why something in a capture file is not among its packets or its SIP messages."""

    NOT_IP = "not-ip"
    UNKNOWN_LINK_TYPE = "unknown-link-type"
    ENCRYPTED_LINK = "encrypted-link"
    CUT_BY_SNAPLEN = "cut-by-snaplen"
    MALFORMED = "malformed"
    FILE_CUT = "file-cut"
    TOO_LARGE = "too-large"
    FRAGMENTS_INCOMPLETE = "fragments-incomplete"
    TCP_INCOMPLETE = "tcp-incomplete"
    ENCRYPTED = "encrypted"


_WORDS: Final = {
    LeftOutReason.NOT_IP: "frames without IP (ARP and the like)",
    LeftOutReason.UNKNOWN_LINK_TYPE: "frames of a kind of interface that is not known here: "
    "capture on another interface",
    LeftOutReason.ENCRYPTED_LINK: "frames of encrypted Wi-Fi: capture on the wired side, or on the phone",
    LeftOutReason.CUT_BY_SNAPLEN: "packets of which the file has only the begin: capture with tcpdump -s 0",
    LeftOutReason.MALFORMED: "packets that are no sound IP, UDP or TCP",
    LeftOutReason.FILE_CUT: "places at which the file is cut or damaged; what follows is not read",
    LeftOutReason.TOO_LARGE: "places behind which more follows than is read of one file",
    LeftOutReason.FRAGMENTS_INCOMPLETE: "IP fragments of packets that are not there whole",
    LeftOutReason.TCP_INCOMPLETE: "pieces of TCP streams that are no whole SIP message",
    LeftOutReason.ENCRYPTED: "packets of TLS or IPsec, which may hold SIP that nobody can read here",
}


class LeftOut(Counter[LeftOutReason]):
    """How often each reason occurred."""

    def count(self, reason: LeftOutReason, number: int = 1) -> None:
        if number:
            self[reason] += number

    def lines(self) -> list[str]:
        """A line for each reason, the most frequent first."""
        return [f"{count} {_WORDS[reason]}" for reason, count in self.most_common()]
