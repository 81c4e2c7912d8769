"""``siplab vendors off NAME``: how to switch off a router's ALG, what remains, and what else helps."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from siplab.alg_models import switch_off, vendors
from siplab.alg_models.vendors.schema import VendorProfile
from siplab.experiments.output.console import print_exact, print_folded
from siplab.lab import specs
from siplab.lab.errors import UsageError

Row = dict[str, Any]


def off(name: str) -> Row:
    """Everything about a card or a brand. Raises ``UsageError`` if neither has this name."""
    known = switch_off.load()
    card = _card(name)
    brand = known.brand(name) if card is None else None
    if card is None and brand is None:
        words = [*vendors.available(), *(alias for each in known.brands for alias in each.aliases)]
        raise specs.unknown("vendor", name, words)
    procedures = card.switch_off.procedures if card is not None else brand.procedures if brand else ()
    row: Row = {
        "name": card.name if card is not None else brand.name if brand else "",
        "possible": card.switch_off.possible if card is not None else "yes",
        "reach": [_dump(each) for each in known.reach],
        "procedures": [_dump(each) for each in procedures],
        "switches": _switches(card) if card is not None else [],
        "workarounds": [_dump(each) for each in (card.switch_off.workarounds if card is not None else ())],
        "general workarounds": [_dump(each) for each in known.workarounds],
    }
    return row


def _card(name: str) -> VendorProfile | None:
    try:
        return vendors.load(name)
    except UsageError:
        # If a name fits several cards, the error lists them. A name of no card may be a brand.
        if vendors.search(name) is not None:
            raise
        return None


def _switches(card: VendorProfile) -> list[Row]:
    """What the switch does, for the card and for each variant that has a switch of its own."""
    found = [("", card.switch)] + [(each.id, each.switch) for each in card.variants]
    return [{"variant": variant, **_dump(switch)} for variant, switch in found if switch is not None]


def _dump(thing: Any) -> Row:
    row: Row = thing.model_dump(mode="json", by_alias=True, exclude_none=True)
    return row


def print_off(data: Row, console: Console) -> None:
    """Print everything in the order in which a user does it."""
    console.print(Text.assemble((data["name"], "bold"), f"  can be switched off: {data['possible']}"))
    _title("How to reach a router's settings", console)
    _procedures(data["reach"], console)
    if data["procedures"]:
        _title("Switching it off", console)
        _procedures(data["procedures"], console)
    if data["switches"]:
        _title("What the switch does", console)
    for each in data["switches"]:
        who = f"{each['variant']}: " if each["variant"] else ""
        print_folded(f"[{each['evidence']}] {who}{each['effect']}: {each.get('text', '')}", console, 2)
    _title("Where it stays on", console)
    _procedures(data["workarounds"], console)
    for each in data["general workarounds"]:
        print_folded(f"{each['name']}, {each['for']}: {'; '.join(each['steps'])}", console, 2)
        print_folded(f"what the lab found: {each['found']}", console, 4)
        print_exact(f"    {each['tried']}", console, "bold")


def _title(text: str, console: Console) -> None:
    console.print()
    console.print(Text(text, style="bold cyan"))


def _procedures(rows: list[Row], console: Console) -> None:
    for row in rows:
        print_folded(f"[{row['evidence']}] {row['for']} ({row['kind']}):", console, 2)
        for number, step in enumerate(row["steps"], 1):
            print_exact(f"    {number}. {step}", console, "bold")
        for command in row.get("check", ()):
            print_exact(f"    to see its state: {command}", console)
        print_folded(row["source"], console, 4, "dim")
