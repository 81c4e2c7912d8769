"""How long a capture of 100,000 packets takes to read: a call's RTP, with SIP in between."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from siplab.alg_models import samples
from siplab.experiments import captures
from siplab.experiments.output import pcapng
from siplab.lab.wire import ip
from tools.bench.parts import Part, Row, show, spread

PACKETS: Final = 100_000
LIMIT: Final = 5.0
"""CPU seconds that it may take."""
_EVERY: Final = 50  # one packet of so many is SIP
_ROUNDS: Final = 3


def measure() -> dict[str, Any]:
    """CPU seconds to read all packets."""
    message = samples.all_samples()["register"].packets[0].data
    media = ip.udp(samples.PHONE._replace(port=40000), samples.REGISTRAR, b"\x80\0" + bytes(170))
    packets = [
        pcapng.CapturedPacket("eth0", number / 50, media if number % _EVERY else message, pcapng.OUTBOUND)
        for number in range(PACKETS)
    ]
    times = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call.pcapng"
        pcapng.write_packets(packets, path)
        for _ in range(_ROUNDS):
            start = time.process_time()
            capture = captures.read(path)
            times.append(time.process_time() - start)
            assert len(capture.messages) == PACKETS // _EVERY
    return spread(times)


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(f"a capture of {PACKETS} packets read", show(found, "s CPU"), f"at most {LIMIT:.0f} s")


PART: Final = Part("captures", measure, rows)
