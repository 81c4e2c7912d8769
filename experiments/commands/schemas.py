"""``siplab schema``: JSON Schemas of the YAML files that users write, and of the JSON that comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter

from siplab.alg_models.vendors.schema import VendorProfile
from siplab.experiments.cases.schema import Case
from siplab.experiments.exercises.schema import Exercise
from siplab.experiments.library.experiment import Experiment
from siplab.experiments.output import console
from siplab.experiments.output.schemas import ResultsFile, TraceLine
from siplab.experiments.output.view import TrialDocument
from siplab.experiments.probe_pack.pair_file import PairFile
from siplab.experiments.programs.kind import ProgramKind
from siplab.lab import specs
from siplab.lab.worlds.topology import TopologyFile

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _card(kind: str) -> Any:
    from siplab.experiments.trial import kinds  # making it takes longer than most commands do

    return kinds.card_type(kind)


# What users write.
FILES: Final[dict[str, Callable[[], Any]]] = {
    "vendor": lambda: VendorProfile,
    "topology": lambda: TopologyFile,
    "experiment": lambda: Experiment,
    "case": lambda: Case,
    "exercise": lambda: Exercise,
    "phone": lambda: _card("phone"),
    "server": lambda: _card("server"),
    "program": lambda: ProgramKind,
}
KINDS: Final[dict[str, Callable[[], Any]]] = {
    **FILES,
    "trial": lambda: TrialDocument,
    "trace": lambda: TraceLine,
    "results": lambda: ResultsFile,
    "pair": lambda: PairFile,
}


app = typer.Typer(add_completion=False)


@app.command("schema")
def print_schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=" | ".join(KINDS))],
) -> None:
    """Print the JSON Schema of a kind of YAML file, or of what comes out."""
    console.print_json(schema(kind))


def schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of file. Raises ``UsageError`` for an unknown kind."""
    model = KINDS.get(kind)
    if model is None:
        raise specs.unknown("schema", kind, KINDS)
    return {"$schema": DIALECT, **TypeAdapter(model()).json_schema(by_alias=True), "title": f"siplab {kind}"}
