"""``siplab schema``: JSON Schemas of the YAML files that users write, for editors and for other programs."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter

from siplab.alg_models.vendors.schema import VendorProfile
from siplab.experiments.cases.schema import Case
from siplab.experiments.library.experiment import Experiment
from siplab.experiments.output import console
from siplab.lab import specs
from siplab.lab.worlds.topology import TopologyFile

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
KINDS: Final[dict[str, Any]] = {
    "vendor": VendorProfile,
    "topology": TopologyFile,
    "experiment": Experiment,
    "case": Case,
}


app = typer.Typer(add_completion=False)


@app.command("schema")
def print_schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=" | ".join(KINDS))],
) -> None:
    """Print the JSON Schema of a kind of YAML file."""
    console.print_json(schema(kind))


def schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of file. Raises ``UsageError`` for an unknown kind."""
    model = KINDS.get(kind)
    if model is None:
        raise specs.unknown("schema", kind, KINDS)
    return {"$schema": DIALECT, **TypeAdapter(model).json_schema(by_alias=True), "title": f"siplab {kind}"}
