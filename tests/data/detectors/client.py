"""A detector in Python: sends SIP requests, gets back what arrived at the server, and compares line by line.

Usage: client.py SERVER_IP PORT OWN_IP. Prints one line of JSON: {"result": {"alg": true, "changed": ["Via"]}}
"""

import base64
import json
import socket
import sys

SDP = "v=0\r\no=- 1 1 IN IP4 {own}\r\ns=-\r\nc=IN IP4 {own}\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n"


def request(method: str, server: str, own: str) -> bytes:
    body = SDP.format(own=own) if method == "INVITE" else ""
    lines = [
        f"{method} sip:probe@{server} SIP/2.0",
        f"Via: SIP/2.0/UDP {own}:5060;rport;branch=z9hG4bK-{method}-1",
        "Max-Forwards: 70",
        "From: <sip:probe@lab.test>;tag=1",
        "To: <sip:probe@lab.test>",
        f"Call-ID: {method}-1@{own}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:probe@{own}:5060>",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def names(sent: bytes, seen: bytes) -> list[str]:
    before, after = sent.split(b"\r\n"), seen.split(b"\r\n")
    changed = set(before).symmetric_difference(after)
    ordered = [line for line in before + after if line in changed]
    found = [line.partition(b":" if b":" in line else b"=")[0].decode("latin-1") for line in ordered]
    return list(dict.fromkeys(found)) or ["other"]


def main() -> None:
    server, port, own = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    changed: list[str] = []
    unanswered: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((own, 5060))
        sock.settimeout(0.5)
        for method in ("REGISTER", "INVITE"):
            sent = request(method, server, own)
            for _ in range(4):
                sock.sendto(sent, (server, port))
                try:
                    seen = base64.b64decode(sock.recv(65535).rpartition(b"\r\n\r\n")[2])
                except (TimeoutError, ValueError):
                    continue
                if seen != sent:
                    changed += names(sent, seen)
                break
            else:
                unanswered.append(method)
    verdict = True if changed else None if unanswered else False
    print(json.dumps({"result": {"alg": verdict, "changed": changed, "unanswered": unanswered}}))


main()
