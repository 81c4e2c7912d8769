"""``siplab verify``: what in a stored result may be answered differently today."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.commands import reproduce
from siplab.experiments.commands.options import Jobs, TrialTimeout
from siplab.experiments.output import console
from siplab.experiments.score.tally import Rate
from siplab.experiments.sweep import again
from siplab.experiments.sweep.again import SAMPLE, Compared, Stored
from siplab.experiments.sweep.sweep import How
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command()
def verify(
    place: Annotated[str, typer.Argument(metavar="FOLDER|URL", help="Results that --parquet wrote.")],
    sample: Annotated[
        int, typer.Option(min=1, help="Where only the lab changed: run so many of the other trials.")
    ] = SAMPLE,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of these.")] = 1,
    jobs: Jobs = 1,
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT,
) -> None:
    """What in a stored result may be answered differently today.

    Only that is run again.

    Trials that name a model, topology, scenario... that changed are run again, all of them. Where the lab
    itself changed, a sample of the others is run, and its share of differences is shown and decides.

    Exit status: 0 what was run came out as stored, 1 some did not or can't be run any more, 2 bad input.
    """
    if not reproduce.is_tables(place):
        if not Path(place).exists():
            raise UsageError(f"{place}: no such folder; it is what --parquet of `siplab run` was given")
        raise UsageError(
            f"{place}: no results of `siplab run --parquet`, which alone hold what they depend on;"
            f" `siplab reproduce {place}` takes others"
        )
    store = reproduce.opened(place)
    found = again.outlook(store)
    how = How("processes" if jobs > 1 else "local", jobs, limit=trial_timeout)
    world = reproduce.world_of(store)
    output = console.output()

    def run(trials: list[Stored]) -> Compared:
        with reproduce.progress(len(trials)) as advance:
            return again.run_again(trials, world, how, progress=advance, say=console.say)

    for kind, names in _by_kind(found.changed).items():
        console.print_exact(f"changed since: {kind} {', '.join(names)}", output)
    for why, count in Counter(why for _, why in found.gone).items():
        console.print_exact(f"{number_of(count, 'trial', ',')} not to be run any more: {why}", output, "red")
    differ: tuple[Stored, ...] = ()
    if found.affected:
        differ = run(list(found.affected)).differ
        reproduce.say_differences(differ)
        console.print_exact(
            f"named in {number_of(len(found.affected), 'trial', ',')}; "
            f"{len(differ):,} of them came out otherwise",
            output,
        )
    if found.engine_changed and found.others:
        chosen = again.sample(found.others, sample, seed)
        others = run(chosen).differ
        reproduce.say_differences(others)
        interval = Rate(len(others), len(chosen)).interval or (0.0, 1.0)
        bound = "" if len(chosen) == len(found.others) else f", at most {interval[1]:.1%} of all (95 %)"
        console.print_exact(
            f"the lab changed: of {number_of(len(found.others), 'other trial', ',')} {len(chosen):,} were "
            f"run again (seed {seed}); {len(others):,} came out otherwise: "
            f"{len(others) / len(chosen):.1%}{bound}",
            output,
        )
        differ += others
    elif found.others:
        console.print_exact(
            f"nothing changed for {number_of(len(found.others), 'trial', ',')}: what is stored holds", output
        )
    if differ or found.gone:
        raise typer.Exit(1)


def _by_kind(changed: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, name in changed:
        found.setdefault(kind, []).append(name)
    return found
