"""Packet captures of real networks: reads them, and pairs the messages of a router's two sides."""

from __future__ import annotations

from siplab.experiments.captures.frames import CaptureError
from siplab.experiments.captures.reading import Capture, Captured, Datagram, read

__all__ = ["Capture", "CaptureError", "Captured", "Datagram", "read"]
