"""What ``siplab phones`` and ``servers`` show: the kinds, and each setting of a kind with its evidence."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from siplab.experiments.output import cards
from siplab.experiments.trial import registry
from siplab.experiments.trial.kinds import Shelf
from siplab.lab import specs

Row = dict[str, Any]
_REGISTRIES: Final = {"phone": registry.phones, "server": registry.servers}


def shelf(kind: str) -> Shelf:
    """The cards of phones, or of servers. Reading them takes longer than most commands."""
    from siplab.experiments.phones.cards import CARDS as PHONES
    from siplab.experiments.servers.cards import CARDS as SERVERS

    return PHONES if kind == "phone" else SERVERS


def rows(kind: str) -> list[Row]:
    """One row per kind of ``phone`` or ``server``. Kinds without a card have parameters instead."""
    found = []
    for item in _REGISTRIES[kind]():
        card = shelf(kind).get(item.id)
        share = f"{card.share:.0%}" if card is not None else ""
        found.append(
            {
                "id": item.id,
                "summary": item.summary,
                "card": card.kind if card is not None else "",
                "evidenced": share,
                "parameters": {} if card is not None else item.parameters,
            }
        )
    return found


def show(kind: str, spec: str) -> Row:
    """Everything about one kind, with the changes in a spec. Raises ``UsageError`` for an unknown kind."""
    known = _REGISTRIES[kind]()
    item = known.get(spec)
    name, given = specs.parse(spec, kind)
    card = shelf(kind).get(name)
    if card is None:
        return cards.item(known, spec)
    settings = []
    for setting, origin in shelf(kind).origins(card).items():
        value = getattr(item.settings, setting)
        row: Row = {"name": setting, "value": _data(value)}
        if setting in given:
            row["evidence"] = "chosen"
        elif origin.card == card.id and origin.known is not None:
            row |= origin.known.model_dump(mode="json", exclude={"value"}, exclude_none=True)
        else:
            row |= {"evidence": "unknown", "from": origin.card or "the lab's plain " + kind}
        settings.append(row)
    return {
        "id": item.id,
        "summary": card.summary,
        "about": card.about,
        "kind": card.kind,
        **({"family": card.family} if card.family else {}),
        "version": card.version,
        "evidenced": round(card.share, 2),
        "settings": settings,
    }


def _data(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# -- printing --------------------------------------------------------------------------------------


def print_card(card: Row, console: Console) -> None:
    """Print a card in full. A kind without a card is printed like any other item."""
    if "settings" not in card:
        cards.print_card(card, console)
        return
    console.print(Text(card["id"], style="bold"))
    for line in (card["summary"], card["about"]):
        _say(line, console, 2)
    family = f", what it does not know is from '{card['family']}'" if "family" in card else ""
    _say(f"{card['kind']}{family}; {card['evidenced']:.0%} of its settings have evidence", console, 2)
    _say(card["version"], console, 2, "dim")
    above = ""
    for row in card["settings"]:
        console.print()
        value = specs.value_text(row["value"]) or "none"
        known = row["evidence"] != "unknown"
        # If the value is unknown, the family's value follows the word.
        head: list[str | tuple[str, str]] = [(row["name"], "bold cyan"), ": ", value if known else "unknown"]
        head += [(f"  [{row['evidence']}]", "dim")] if known else []
        console.print(Text.assemble("  ", *head))
        if not known:
            _say(f"runs with {value}, from {row['from']}", console, 4, "dim")
        source = row.get("source", "")
        for line in ("(the source above)" if source and source == above else source, row.get("note", "")):
            if line:
                _say(line, console, 4, "dim")
        above = source or above


def _say(text: str, console: Console, indent: int, style: str = "") -> None:
    console.print(Padding(Text(text, style=style), (0, 0, 0, indent), expand=False))
