"""``python -m tools.learn``: how well routers are learnt and diagnosed; writes docs/measured/learn.md.

Each router counts as unknown: a model of the catalogue, a composition of its faults, or the kernel's
own ALG. The probe pack goes through it, and a model is learnt from the traffic on its two sides.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from siplab.alg_models import samples
from siplab.experiments.learning.candidates import Observed, agreement, distance, played
from siplab.experiments.learning.learning import learn
from siplab.experiments.probe_pack import pair_file
from siplab.experiments.probe_pack import script as packs
from siplab.experiments.trial import run as trial
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.worlds.open_loop import Script, play
from siplab.lab.worlds.pair import Pair
from tools import diagnoses

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "measured" / "learn.md"
STANDIN: Final = ROOT / "tests" / "experiments" / "bench" / "standin.py"
HELD_OUT_SEED: Final = 1009  # makes cases that the pack does not have
HELD_OUT: Final = 200  # datagrams


class Row(NamedTuple):
    """The result for one router.

    ``shows``: its output differs from that of a router without a fault. ``named``: the true model is among
    the equally good candidates; ``tie``: how many there are. ``accused``: a fault was named. ``probes``:
    held-out conversations; ``equal``: for how many the learnt model gives the same bytes. ``seconds``: of
    CPU.
    """

    truth: str
    shows: bool
    named: bool
    tie: int
    accused: bool
    distance: float
    equal: int
    probes: int
    seconds: float
    found: str


def router(model: Model, allocation: PortAllocation, seed: int) -> Gateway:
    """The router to observe. Its random generator is not that of the candidates' routers."""
    first = {PortAllocation.SEQUENTIAL: samples.PUBLIC.port, PortAllocation.RANDOM: 20000}
    return Gateway(
        model,
        public_ip=samples.PUBLIC.ip,
        inside_networks=["192.168.1.0/24"],
        inside_addresses=[samples.ROUTER],
        nat=NatConfig(port_allocation=allocation, first_port=first.get(allocation, 1024)),
        rng=random.Random(seed if allocation is PortAllocation.RANDOM else 0),
    )


@cache
def pack() -> Script:
    return packs.script()


@cache
def held_out() -> Script:
    return packs.other_cases(HELD_OUT_SEED, HELD_OUT)


def measured(truth: str, allocation: PortAllocation, seed: int) -> Row:
    """Learn one router from the probe pack."""
    model = trial.models().get(truth)
    pair = play(pack(), router(model, allocation, seed))
    begin = time.process_time()
    learnt = learn([pair], held_out=False)
    seconds = time.process_time() - begin
    found = learnt.found
    controls = [trial.models().get(each) for each in ("none", "correct")]
    parts = frozenset(truth.split("+"))
    unseen = play(held_out(), router(model, allocation, seed))
    wrong = _otherwise(Observed((unseen,), learnt.observed.nat), learnt.model)
    return Row(
        truth,
        all(distance(learnt.observed, each, 0.0) for each in controls),
        any(frozenset(each.id.split("+")) == parts for each in found.tie),
        len(found.tie),
        found.model.card.kind != "control",
        found.distance,
        len(unseen.conversations) - wrong,
        len(unseen.conversations),
        seconds,
        found.model.id,
    )


def _otherwise(observed: Observed, model: Model) -> int:
    """For how many conversations a router with the model gives other bytes than were seen."""
    every = (each for pair in observed.pairs for each in played(observed, model, pair))
    return len({each.entered.conversation for each in every if each.made != each.seen})


def compositions(count: int, seed: int) -> list[str]:
    """Two or three faults of the catalogue in one router each, with parameters at random."""
    rng = random.Random(seed)
    known = [each for each in trial.models() if each.card.kind == "fault"]
    found: list[str] = []
    while len(found) < count:
        chosen = [_at_random(each, rng) for each in rng.sample(known, rng.choice((2, 3)))]
        try:
            found.append(trial.models().get("+".join(each.id for each in chosen)).id)
        except (UsageError, ValueError):
            continue  # these faults exclude each other
    return found


def _at_random(model: Model, rng: random.Random) -> Model:
    """The same fault with one of its numeric parameters at random, if it has any."""
    numbers = {
        name: value
        for name, value in model.parameters.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value
    }
    if not numbers:
        return model
    name = rng.choice(sorted(numbers))
    value = type(numbers[name])(round(numbers[name] * rng.uniform(0.5, 2.0)))
    try:
        return model.with_parameters({name: value})
    except (UsageError, ValueError):
        return model


def kernel_pair(kind: str = "sip-helper") -> Pair | None:
    """Both sides of the kernel's ALG for a part of the pack; ``None`` if the ALG can't be used here."""
    if os.getuid():
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.json"
        done = subprocess.run(
            ["unshare", "--net", sys.executable, str(STANDIN), kind, str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        return pair_file.read(path) if done.returncode == 0 else None


def kernel_line() -> str:
    """A sentence that says whether the kernel's ALG is recognized."""
    pair = kernel_pair()
    if pair is None:
        return "not measured: the kernel's ALG is not to be had here"
    learnt = learn([pair], held_out=False)
    agreed = agreement(learnt.observed, trial.models().get("linux"))
    named = "linux" in {each.id for each in learnt.found.tie}
    return f"`linux` {'is' if named else 'is not'} in the tie; {agreed.equal} of {agreed.total} messages"


# -- the page ------------------------------------------------------------------------------------------


def share(part: int, total: int) -> str:
    return f"{part} of {total}" + (f" ({100 * part / total:.0f} %)" if total else "")


def table(singles: list[Row], composed: list[Row], ports: list[Row], controls: list[Row]) -> list[list[str]]:
    """The table's cells: subject, goal, result."""
    shown, seen = ([each for each in rows if each.shows] for rows in (singles, composed))
    alone = sum(each.named and each.tie == 1 for each in shown)
    equal, probes = sum(each.equal for each in composed), sum(each.probes for each in composed)
    as_truth = sum(each.named or not (each.distance or each.probes - each.equal) for each in seen)
    return [
        ["faults, variants, references: the true one named", "all", share(_named(shown), len(shown))],
        ["the true one named alone", "115 of 140 (82 %)", share(alone, len(singles))],
        ["explained to the byte", "", share(_explained(singles), len(singles))],
        ["CPU seconds, median and most", "", _seconds(singles)],
        ["compositions explained to the byte", "95 %", share(_explained(composed), len(composed))],
        ["their held-out conversations equal", "90 %", share(equal, probes)],
        ["their faults named, or models equal on all of that", "", share(as_truth, len(seen))],
        ["their faults named", "", share(_named(seen), len(seen))],
        ["CPU seconds, median and most", "median 10", _seconds(composed)],
        ["routers without a fault that were given one", "none", share(_accused(controls), len(controls))],
        [
            "routers with random ports: the true one named",
            "95 %",
            share(_named([each for each in ports if each.shows]), sum(each.shows for each in ports)),
        ],
    ]


def _named(rows: list[Row]) -> int:
    return sum(each.named for each in rows)


def _explained(rows: list[Row]) -> int:
    return sum(not each.distance for each in rows)


def _accused(rows: list[Row]) -> int:
    return sum(each.accused for each in rows)


def _seconds(rows: list[Row]) -> str:
    times = [each.seconds for each in rows]
    return f"{statistics.median(times):.1f}, {max(times):.1f}" if times else "-"


def page(head: str, cells: list[list[str]], rows: Sequence[tuple[str, list[Row]]]) -> str:
    """The document."""
    lines = [
        "# How well routers are learnt",
        "",
        head,
        "",
        "| what | goal | found |",
        "|---|---|---|",
        *("| " + " | ".join(each) + " |" for each in cells),
        "",
        "Held-out conversations are cases of the calibration that the probe pack does not have. A fault that",
        "leaves everything as a router without a fault does is not counted among those that can be named.",
        "",
    ]
    for title, those in rows:
        missed = [each for each in those if each.shows and not each.named]
        said = "; ".join(f"`{each.truth}`: `{each.found}`, {each.distance:g} differences" for each in missed)
        lines += [f"{title}, not named (what is, and how far off): {said or 'none'}.", ""]
    quiet = ", ".join(f"`{each.truth}`" for _, those in rows for each in those if not each.shows)
    lines += [f"Show nothing: {quiet or 'none'}.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="learn", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="every so manieth model and variant")
    parser.add_argument("--compositions", type=int, default=60)
    parser.add_argument("--random-ports", type=int, default=60, help="models behind a NAT with random ports")
    parser.add_argument("--diagnoses", type=int, default=40, help="models, each in one scenario")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    known = [each.id for each in trial.models().runnable()]
    names = [each for each in known if each not in ("none", "correct")]
    rng = random.Random(given.seed)
    way, orders = PortAllocation.SEQUENTIAL, {}
    orders["singles"] = [(each, way) for each in names[:: given.every]]
    orders["compositions"] = [(each, way) for each in compositions(given.compositions, given.seed)]
    orders["ports"] = [
        (each, PortAllocation.RANDOM) for each in rng.sample(names, min(given.random_ports, len(names)))
    ]
    orders["controls"] = [(each, one) for each in ("none", "correct") for one in PortAllocation]
    with ProcessPoolExecutor(given.jobs) as pool:
        waiting = {
            name: [pool.submit(measured, *each, given.seed) for each in rows] for name, rows in orders.items()
        }
        diagnosed = [
            pool.submit(diagnoses.measured, *each) for each in diagnoses.chosen(given.diagnoses, given.seed)
        ]
        rows = {name: [each.result() for each in futures] for name, futures in waiting.items()}
        told = [each.result() for each in diagnosed]
    cells = table(rows["singles"], rows["compositions"], rows["ports"], rows["controls"])
    cells.append(["the kernel's ALG", "`linux`, 100 %", kernel_line()])
    cells += diagnoses.table(told)
    options = (
        f"--every {given.every} --compositions {given.compositions} --random-ports {given.random_ports} "
        f"--diagnoses {given.diagnoses}"
    )
    head = f"Written by `python -m tools.learn {options}`, with seed {given.seed}."
    titles = {"singles": "One fault", "compositions": "Several faults", "ports": "Random ports"}
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    text = page(head, cells, [(title, rows[name]) for name, title in titles.items()])
    PAGE.write_text(text + "\n" + "\n".join(diagnoses.missed(told)), encoding="utf-8")


if __name__ == "__main__":
    main()
