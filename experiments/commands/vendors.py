"""``siplab vendors``: what is known of vendors' ALGs."""

from __future__ import annotations

from typing import Annotated

import typer

from siplab.experiments.commands import listing
from siplab.experiments.commands.listing import Words
from siplab.experiments.commands.options import AsJson, ModelPath, as_texts, split
from siplab.experiments.output import kernel_timeline, vendor_cards, vendor_compare, vendor_off

app = listing.group()


@app.command("list")
def listed(words: Words = [], as_json: AsJson = False) -> None:  # noqa: B006 - typer's way
    """List them; this is what is done where no command is named."""
    listing.print_list(vendor_cards.vendors(), words, "vendors", as_json=as_json)


@app.command("show")
def shown(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="ID, another name, or a YAML file.")],
    as_json: AsJson = False,
) -> None:
    """Everything about one of them, by its id or as people call it."""
    listing.print_card(vendor_cards.vendor(identifier), as_json=as_json, show=vendor_cards.print_card)


@app.command("count")
def counted(as_json: AsJson = False) -> None:
    """How many cards behave, and how well that is known."""
    listing.print_card(vendor_cards.counted(), as_json=as_json, show=vendor_cards.print_counted)


@app.command("unknown")
def unknown(as_json: AsJson = False) -> None:
    """What nobody knows, what is guessed, and what somebody with that router should run."""
    listing.print_card(vendor_cards.unknown(), as_json=as_json, show=vendor_cards.print_unknown)


@app.command("off")
def off(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A vendor, a brand or a device.")],
    as_json: AsJson = False,
) -> None:
    """How to switch its ALG off, what the switch does, and what helps where it stays on."""
    listing.print_card(vendor_off.off(name), as_json=as_json, show=vendor_off.print_off)


@app.command("timeline")
def timeline(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="Whose versions: linux.")] = "linux",
    as_json: AsJson = False,
) -> None:
    """Which kernel's ALG has which fault, and whose routers have it."""
    listing.print_card(kernel_timeline.timeline(family), as_json=as_json, show=kernel_timeline.print_timeline)


@app.command("compare")
def compared(
    names: Annotated[
        list[str], typer.Argument(metavar="A B ...", help="Vendors, and models' specs; all: every card.")
    ],
    as_json: AsJson = False,
    model_path: ModelPath = [],  # noqa: B006
) -> None:
    """What each of them does to the same REGISTER, INVITE and answers, side by side."""
    data = vendor_compare.compare(split(names), as_texts(model_path))
    listing.print_card(data, as_json=as_json, show=vendor_compare.print_comparison)
