"""Sends a datagram to a closed port: what a detector has at least to do to be believed. Usage: knock.py IP"""

import socket
import sys

with socket.socket(type=socket.SOCK_DGRAM) as sender:
    sender.sendto(b"x", (sys.argv[1], 9))
