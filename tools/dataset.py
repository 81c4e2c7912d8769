"""``make dataset``: the reference matrix as a dataset that can be published, in ``out/dataset``.

    tables/              the results as Parquet, in parts (docs/scale.md)
    trials.csv.gz        one row per trial, for programs that can't read Parquet
    left-out.csv         what was not run, and why
    dictionary.md        tables and columns: types, units, meanings
    README.md, LICENSE (CC0), CITATION.cff, digest.txt

It has every vendor's card with known behaviour and every model of the catalogue, in all scenarios, without
a remedy and with each, between two pairs of endpoints. The same sources give the same digest on any machine.
To try it out, ``python -m tools.dataset --every 500`` takes every 500th setting only.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from siplab.alg_models import vendors
from siplab.alg_models.vendors.schema import UNKNOWN
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import DIGEST, Store
from siplab.experiments.sweep.executors import Say
from siplab.experiments.sweep.sweep import How, manifest_of, sweep
from siplab.experiments.tables import TABLES
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT, STRICT, Pair
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.outputs import replaced, write_text
from siplab.lab.version import __version__

ROOT: Final = Path(__file__).parents[1]
NAME: Final = "reference-matrix"
BATCH: Final = 5000
MOST_BYTES: Final = 50_000_000
_LEVEL: Final = 9

LICENCE: Final = """\
CC0 1.0 Universal

To the extent possible under law, the authors of siplab have waived all copyright and related or neighbouring
rights to this dataset. The legal text: https://creativecommons.org/publicdomain/zero/1.0/legalcode

SPDX-License-Identifier: CC0-1.0
"""


# -- the plan ----------------------------------------------------------------------------------------


def plan(every: int = 1) -> tuple[list[TrialSpec], list[tuple[str, str, str, str]]]:
    """The trials, and what is left out (model, endpoints, remedy, reason). ``every``: each n-th setting."""
    models = [each.id for each in trial.models().select(["variants", "vendors"])]
    left = [
        (each, "", "", "nobody has documented what it does, or no model does it yet")
        for each in vendors.available()
        if vendors.load(each).model == UNKNOWN and each not in models
    ]
    specs: list[TrialSpec] = []
    refused: dict[tuple[Pair, tuple[str, ...], str], str] = {}
    settings = [
        (pair, remedies, scenario)
        for pair in (DEFAULT, STRICT)
        for remedies in ((), *((each.id,) for each in registry.mitigations()))
        for scenario in (each.id for each in registry.scenarios())
    ]
    for pair, remedies, scenario in settings[::every]:
        for model in models:
            spec = TrialSpec(model=model, scenario=scenario, mitigations=remedies).between(pair)
            where = pair, remedies, model
            if where not in refused:  # the reason does not depend on the scenario
                refused[where] = _obstacle(spec)
            if not refused[where]:
                specs.append(spec)
    without = [
        (model, str(pair), "+".join(remedies), why) for (pair, remedies, model), why in refused.items() if why
    ]
    return specs, left + without


def _obstacle(spec: TrialSpec) -> str:
    """Why a trial is not possible; empty if it is."""
    try:
        trial.check_spec(spec)
        trial.setup_of(spec, trial.network_of(spec))
    except UsageError as error:
        return str(error)
    return ""


# -- the files ---------------------------------------------------------------------------------------


def build(folder: Path, every: int = 1, jobs: int = 2, say: Say = print) -> str:
    """Build the dataset in a folder, or continue there; returns its digest. Raises ``UsageError``."""
    specs, left = plan(every)
    say(f"{len(specs):,} trials, {len(left):,} left out")
    how = How("processes" if jobs > 1 else "local", jobs)
    place = Place(str(folder / "tables"))
    store = sweep(specs, place, manifest_of(NAME, "simulated", specs, BATCH), how, resume=True, say=say)
    write_csv(store, folder / "trials.csv.gz")
    _write_left_out(left, folder / "left-out.csv")
    write_text(folder / "dictionary.md", dictionary())
    write_text(folder / "LICENSE", LICENCE)
    write_text(folder / "CITATION.cff", citation())
    digest: str = json.loads(place.read(DIGEST) or b"{}")["digest"]
    write_text(folder / "digest.txt", f"{digest}\n")
    write_text(folder / "README.md", _readme(len(specs), len(left), digest))
    return digest


def write_csv(store: Store, path: Path) -> None:
    """Write the table of trials in order of their numbers. Same trials, same bytes. Null is an empty cell."""
    names = [each.name for each in TABLES["trials"]]
    rows = sorted(store.rows("trials"), key=lambda row: int(row["trial"]))
    with (
        replaced(path) as out,
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=_LEVEL, mtime=0, filename="") as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_plain(row) for row in rows)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(cell).lower() if isinstance(cell, bool) else cell for name, cell in row.items()}


def _write_left_out(left: Iterable[tuple[str, str, str, str]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "endpoints", "mitigations", "why"))
    writer.writerows(left)
    write_text(path, text.getvalue())


def dictionary() -> str:
    """The data dictionary as Markdown."""
    parts = ["# Tables and columns\n", "Null (an empty cell in CSV) is only what was not measured.\n"]
    for name, columns in TABLES.items():
        parts.append(f"## {name}\n\n| column | type | unit | meaning |\n|---|---|---|---|")
        for each in columns:
            values = f" ({', '.join(filter(None, each.values))})" if each.values else ""
            parts.append(f"| `{each.name}` | {each.type}{values} | {each.unit} | {each.meaning} |")
        parts.append("")
    return "\n".join(parts)


def citation() -> str:
    """CITATION.cff: how to cite the dataset (https://citation-file-format.github.io)."""
    return f"""\
cff-version: 1.2.0
message: If you use this dataset, please cite it as below.
type: dataset
title: "siplab reference matrix: SIP ALGs, scenarios and remedies"
authors:
  - name: The siplab authors
version: {__version__}
license: CC0-1.0
"""


def _readme(trials: int, left: int, digest: str) -> str:
    return f"""\
# The reference matrix of siplab {__version__}

{trials:,} simulated trials: each vendor's card of which something is known and each model of the catalogue,
with all scenarios, without a remedy and with each one, with the endpoints `{DEFAULT}` and `{STRICT}`,
in the network `home`, with seed 1. `left-out.csv` has {left:,} lines on what was not run, and why.

- `tables/`: Parquet, for DuckDB (`read_parquet('tables/trials/*.parquet')`), pandas, R, Spark.
- `trials.csv.gz`: the table of trials alone.
- `dictionary.md`: what each column means, with its unit. Column `trial` joins the tables.

Results are those of models of routers. Column `evidence` says how well each router's behaviour is known: mind
it before anything is said of a vendor.

Digest: `{digest}`. `siplab reproduce tables` runs all of it again and compares.
"""


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def main() -> None:
    """Entry of ``python -m tools.dataset``."""
    parser = argparse.ArgumentParser(prog="python -m tools.dataset")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--afresh", action="store_true", help="do not go on with what is there")
    asked = parser.parse_args()
    folder = ROOT / "out" / "dataset"
    if asked.afresh:
        shutil.rmtree(folder, ignore_errors=True)
    digest = build(folder, asked.every, asked.jobs)
    total = size(folder)
    print(f"{folder}: {total:,} bytes, digest {digest}")
    if total > MOST_BYTES:
        raise SystemExit(f"dataset: more than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
