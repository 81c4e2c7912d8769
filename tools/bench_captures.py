"""How long a capture of 100,000 packets takes to read: a call's RTP, with SIP in between."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from siplab.alg_models import samples
from siplab.experiments import captures
from siplab.experiments.output import pcapng
from siplab.lab.wire import ip

PACKETS: Final = 100_000
LIMIT: Final = 5.0
"""CPU seconds that it may take."""
_EVERY: Final = 50  # one of so many is SIP


def captures_bench(spread: Callable[[list[float]], dict[str, float]], rounds: int) -> dict[str, float]:
    """CPU seconds for all of them."""
    message = samples.all_samples()["register"].packets[0].data
    media = ip.udp(samples.PHONE._replace(port=40000), samples.REGISTRAR, b"\x80\0" + bytes(170))
    rows = [
        pcapng.CapturedPacket("eth0", number / 50, media if number % _EVERY else message, pcapng.OUTBOUND)
        for number in range(PACKETS)
    ]
    times = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call.pcapng"
        pcapng.write_packets(rows, path)
        for _ in range(rounds):
            start = time.process_time()
            capture = captures.read(path)
            times.append(time.process_time() - start)
            assert len(capture.messages) == PACKETS // _EVERY
    return spread(times)
