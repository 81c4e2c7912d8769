"""``make fuzz``: feeds bytes to each reader for a while, from a corpus that is kept and grows.

With atheris, if there is a wheel of it, the fuzzing is guided by code coverage; otherwise seeds are mutated.
Input that raises an exception is written to ``tests/corpus/TARGET/``; everything there is a test. ``--keep``
adds input that reached new code to the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import time
import traceback
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"
_MOST = 40  # files of one target that are kept
_LONGEST = 4096  # bytes of an input


def _atheris() -> bool:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


def _guided(name: str, seconds: int, keep: bool) -> int:
    """Run libFuzzer in its own process, because it ends the process that it runs in."""
    from tools.fuzz_targets import TARGETS

    grown = Path("out/fuzz") / name
    grown.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds):
        (kept / f"seed-{number}").write_bytes(seed)
    command = [
        *(sys.executable, "-m", "tools.fuzz", "--child", name),
        *(f"-max_total_time={seconds}", f"-max_len={_LONGEST}", "-timeout=20", "-verbosity=0"),
        *(f"-artifact_prefix={kept}/found-", str(grown), str(kept)),
    ]
    status = subprocess.run(command, check=False).returncode
    if keep:
        child = [sys.executable, "-m", "tools.fuzz", "--child", name]
        subprocess.run([*child, "-merge=1", str(kept), str(grown)], check=False, capture_output=True)
        for each in sorted(kept.iterdir(), key=lambda each: (each.stat().st_size, each.name))[_MOST:]:
            if not each.name.startswith(("found-", "seed-")):
                each.unlink()
    return status


def _child(name: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["siplab"]):
        from tools import fuzz_targets as instrumented
    atheris.Setup([sys.argv[0], *arguments], instrumented.TARGETS[name].run)
    atheris.Fuzz()


def _mutating(name: str, seconds: int) -> int:
    from tools.fuzz_targets import TARGETS, mutated

    rng, end, found = random.Random(name), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = mutated(name, rng)
        try:
            TARGETS[name].run(data)
        except Exception:
            found += 1
            traceback.print_exc()
            file = CORPUS / name / f"found-{hashlib.sha256(data).hexdigest()[:16]}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    return found


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], sys.argv[3:])
    # Imported late: in the child, atheris must instrument the modules first.
    from tools.fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="add what led to new code to the corpus")
    given = parser.parse_args()
    unknown = sorted(set(given.target) - set(TARGETS))
    if unknown:
        parser.error(f"there is no target {unknown[0]}")
    guided = _atheris()
    failed = []
    for name in given.target or TARGETS:
        print(f"fuzz: {name}, {given.seconds} s, {'atheris' if guided else 'mutations'}", flush=True)
        if _guided(name, given.seconds, given.keep) if guided else _mutating(name, given.seconds):
            failed.append(name)
    print(f"fuzz: found something in {', '.join(failed)}" if failed else "fuzz: nothing found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
