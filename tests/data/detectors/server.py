"""The other half of client.py: returns each request, Base64 encoded, in the body of its answer.

Usage: server.py IP PORT
"""

import base64
import socket
import sys

COPIED = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind((sys.argv[1], int(sys.argv[2])))
    print("listening", flush=True)
    while True:
        data, source = sock.recvfrom(65535)
        image = base64.b64encode(data)
        head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        lines = [b"SIP/2.0 200 OK"] + [line for line in head if line.lower().startswith(COPIED)]
        lines.append(b"Content-Length: %d" % len(image))
        sock.sendto(b"\r\n".join(lines) + b"\r\n\r\n" + image, source)
