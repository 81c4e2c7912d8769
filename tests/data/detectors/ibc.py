"""Speaks the protocol of ibc's sip-alg-detector: a daemon that mirrors in Base64, and a client that compares.

Usage: ibc.py server OWN_IP PORT | ibc.py client SERVER_IP PORT OWN_IP. The client's exit status is 10 times
what UDP has plus what TCP has: 1 no ALG, 2 an ALG, 4 no answer.
"""

import base64
import selectors
import socket
import sys

USER = "sip-alg-detector-daemon"
CLEAN, ALG, FAILED = 1, 2, 4


def invite(server: str, port: int, own: str, transport: str) -> bytes:
    body = f"v=0\r\no=- 1 1 IN IP4 {own}\r\ns=-\r\nc=IN IP4 {own}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    lines = [
        f"INVITE sip:{USER}@{server}:{port} SIP/2.0",
        f"Via: SIP/2.0/{transport} {own}:5060;rport;branch=z9hG4bK{transport}1",
        "Max-Forwards: 5",
        f"To: <sip:{USER}@{server}:{port}>",
        "From: <sip:0123@lab.test>;tag=1",
        f"Call-ID: {transport}1@{own}",
        "CSeq: 1 INVITE",
        f"Contact: <sip:0123@{own}:5060;transport={transport.lower()}>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def fields(message: bytes) -> dict[str, bytes]:
    head = message.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    rows = (line.partition(b":") for line in head)
    return {name.strip().decode("latin-1").lower(): value.strip() for name, _, value in rows}


# -- the daemon ------------------------------------------------------------------------------------


def answers(request: bytes) -> list[bytes]:
    """A 180 with the headers and a 500 with the body; both name the daemon."""
    found = fields(request)
    head, empty, body = request.partition(b"\r\n\r\n")
    made = []
    for status, part in ((b"180 Headers", head + empty), (b"500 Body", body)):
        text = base64.b64encode(part)
        names = ("via", "from", "to", "call-id", "cseq")
        copied = [name.title().encode() + b": " + found.get(name, b"") for name in names]
        more = [b"Server: SipAlgDetectorDaemon", b"Content-Length: %d" % len(text)]
        made.append(b"\r\n".join([b"SIP/2.0 " + status, *copied, *more]) + b"\r\n\r\n" + text)
    return made


def serve(own: str, port: int) -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((own, port))
    tcp = socket.create_server((own, port))
    waiting = selectors.DefaultSelector()
    for each in (udp, tcp):
        waiting.register(each, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is udp:
                request, source = udp.recvfrom(65535)
                for part in answers(request):
                    udp.sendto(part, source)
            elif key.fileobj is tcp:
                waiting.register(tcp.accept()[0], selectors.EVENT_READ)
            else:
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                request = connection.recv(65535)
                if request:
                    connection.sendall(b"".join(answers(request)))
                else:
                    waiting.unregister(connection)
                    connection.close()


# -- the client ------------------------------------------------------------------------------------


def decoded(data: bytes) -> bytes | None:
    """The request as it arrived, of the bytes of both answers; ``None`` while one is missing."""
    parts: list[bytes] = []
    while len(parts) < 2:
        head, empty, rest = data.partition(b"\r\n\r\n")
        length = fields(head + empty).get("content-length", b"")
        if not empty or not length.isdigit() or len(rest) < int(length):
            return None
        parts.append(base64.b64decode(rest[: int(length)]))
        data = rest[int(length) :]
    return b"".join(parts)


def verdict(sock: socket.socket, sent: bytes) -> int:
    sock.settimeout(2)
    seen = b""
    try:
        sock.send(sent)
        while decoded(seen) is None:
            piece = sock.recv(65535)
            if not piece:
                return FAILED
            seen += piece
    except (OSError, ValueError):
        return FAILED
    return CLEAN if decoded(seen) == sent else ALG


def ask(server: str, port: int, own: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((own, 5060))
        udp.connect((server, port))
        by_udp = verdict(udp, invite(server, port, own, "UDP"))
    try:
        with socket.create_connection((server, port), 2) as tcp:
            by_tcp = verdict(tcp, invite(server, port, own, "TCP"))
    except OSError:
        by_tcp = FAILED
    print("UDP", by_udp, "TCP", by_tcp)
    return 10 * by_udp + by_tcp


if sys.argv[1] == "server":
    serve(sys.argv[2], int(sys.argv[3]))
sys.exit(ask(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
