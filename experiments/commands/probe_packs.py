"""`score --probe-pack`, `detect run --probe-pack`: pair files, captures, and which models do the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from siplab.experiments.detect import probe_pack
from siplab.experiments.detect.probe_pack import PackRequest, Played
from siplab.experiments.detect.report import EXITS
from siplab.experiments.output import console, files, pcapng
from siplab.experiments.output.pcapng import INBOUND, OUTBOUND, CapturedPacket
from siplab.experiments.probe_pack import pair_file, script, ties
from siplab.experiments.probe_pack.routers import router_of
from siplab.experiments.probe_pack.ties import Tie
from siplab.experiments.trial import run as trial
from siplab.lab.counting import number_of
from siplab.lab.gateway.sides import Side
from siplab.lab.worlds.open_loop import play
from siplab.lab.worlds.pair import Pair

_MOST_NAMED: Final = 8


def score(
    names: Sequence[str],
    topology: str,
    model_paths: tuple[str, ...],
    out: Path | None,
    *,
    long: bool,
    pcap: bool,
    output: Console,
) -> None:
    """Play the pack through models, write what came out, and say which models do the same.

    Raises ``UsageError`` for an unknown model, ``OutputError`` for what can't be written.
    """
    known = trial.models(model_paths)
    chosen = known.select(names)
    make = router_of(topology)
    pack = script.script(script.HOUR if long else script.MINUTES)
    if out is not None:
        files.prepare(out)
    candidates = known.runnable()
    candidates += [each for each in chosen if each.id not in {other.id for other in candidates}]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("router's ALG")
    table.add_column("does the same as")
    same = {each.id: group for group in ties.classes(pack, candidates, make) for each in group}
    for model in chosen:
        if out is not None:
            write(play(pack, make(model)), out / f"{_file_name(model.id)}.pair.json", pcap=pcap)
        others = [each.id for each in same[model.id] if each.id != model.id]
        table.add_row(Text(model.id), Text(_listed(others) or "no other"))
    output.print(table)
    groups = {id(group) for group in same.values()}
    packets = number_of(len(pack.steps()), "packet")
    said = f"{packets} to tell {len(groups)} of {len(candidates)} models and variants apart"
    console.print_exact(said, output)


def live(request: PackRequest, out: Path | None, *, pcap: bool, as_json: bool, errors: Console) -> int:
    """Play the pack on a real network, write what came out, and say which models do the same.

    Returns the exit status. Raises ``UsageError`` for what can't be played here, ``OutputError`` for what
    can't be written.
    """
    if out is not None:
        files.prepare(out)
    played = probe_pack.play(request, lambda text: errors.print(text, style="dim"))
    if out is not None and played.pair.crossings:
        write(played.pair, out / "probe-pack.pair.json", pcap=pcap)
    tie = None
    if played.behind_nat:
        models = trial.models().runnable()
        errors.print(f"comparing with {len(models)} models and variants", style="dim")
        tie = probe_pack.tie_of(played, models)
    if as_json:
        console.print_json(played.as_json(tie))
    else:
        _print_played(played, tie, console.output())
    return EXITS["undecided" if played.problem else "clean"]


def _print_played(played: Played, tie: Tie | None, output: Console) -> None:
    pair = played.pair
    if played.problem:
        console.print_exact(played.problem, output, "bold yellow")
    if not pair.crossings:
        return
    console.print_exact(f"from {played.own}, seen as {pair.public}", output)
    console.print_exact(f"{len(pair.crossings)} of {played.packets} packets were sent", output)
    for why, count in sorted({**played.left_out, "no time was left": len(played.skipped)}.items()):
        if count:
            console.print_exact(f"  left out, {why}: {count} of the conversations", output)
    if tie is None:
        console.print_exact("no NAT on the way: the models are of NAT routers", output)
        return
    names = ", ".join(each.id for each in tie.models)
    if tie.exact:
        console.print_exact(f"the same to all {tie.of} packets: {names}", output)
    else:
        console.print_exact(f"most like it, but for {tie.differing} of {tie.of} packets: {names}", output)


def write(pair: Pair, path: Path, *, pcap: bool) -> None:
    """Write a pair file, and beside it a capture of each side. Raises ``OutputError``."""
    pair_file.write(path, pair)
    if pcap:
        stem = path.name.removesuffix(".json")
        for side in Side:
            rows = list(_packets(pair, side))
            pcapng.write_packets(rows, path.with_name(f"{stem}-{side.name.lower()}.pcapng"))


def _packets(pair: Pair, side: Side) -> Iterator[CapturedPacket]:
    tap = f"router/{side.name.lower()}"
    for each in pair.crossings:
        if each.side is side:
            yield CapturedPacket(tap, each.at, each.packet, INBOUND, each.conversation)
        for row in each.left:
            if row.side is side:
                yield CapturedPacket(tap, each.at, row.packet, OUTBOUND, each.conversation)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _file_name(spec: str) -> str:
    return re.sub(r"[^a-z0-9.=-]+", "_", spec).strip("_")
