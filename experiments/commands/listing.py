"""What the commands that list have in common: ``siplab models WORDS``, ``siplab models show ID``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from siplab.experiments.commands.options import AsJson
from siplab.experiments.output import cards, console
from siplab.experiments.output.cards import Row
from siplab.experiments.trial.registry import Registry
from siplab.lab.errors import UsageError

Words = Annotated[
    list[str], typer.Argument(metavar="[WORDS]...", help="Only those with all of these words in their line.")
]
Identifier = Annotated[str, typer.Argument(metavar="ID")]
_LIST: Final = "list"


class _Listing(TyperGroup):
    """Lists where no other command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        wants_help = not {"-h", "--help"}.isdisjoint(args)
        if not wants_help and not any(each in self.commands for each in args):
            args = [_LIST, *args]
        return super().parse_args(ctx, args)


def group() -> typer.Typer:
    """A command that lists by ``list``, which need not be said."""
    return typer.Typer(cls=_Listing, add_completion=False, no_args_is_help=False)


def registered(kind: str, registry: Callable[[], Registry[Any]]) -> typer.Typer:
    """The command of one of the registries."""
    return simple(
        kind, lambda: cards.items(registry()), lambda identifier: cards.item(registry(), identifier)
    )


def simple(kind: str, rows: Callable[[], list[Row]], card: Callable[[str], Row]) -> typer.Typer:
    """A command that lists ``rows``, and shows a card."""
    app = group()

    @app.command(_LIST, help="List them; this is what is done where no command is named.")
    def listed(words: Words = [], as_json: AsJson = False) -> None:  # noqa: B006 - typer's way
        print_list(rows(), words, kind, as_json=as_json)

    @app.command("show", help="Everything about one of them.")
    def shown(identifier: Identifier, as_json: AsJson = False) -> None:
        print_card(card(identifier), as_json=as_json)

    return app


def print_card(card: Row, *, as_json: bool, show: Callable[..., None] = cards.print_card) -> None:
    """One of them in full."""
    if as_json:
        console.print_json(card)
    else:
        show(card, console.output())


def print_list(rows: Sequence[Row], words: Sequence[str], kind: str, *, as_json: bool) -> None:
    """Those that have all the words. Raises ``UsageError`` when there are none."""
    found = [row for row in rows if _has(row, words)]
    if words and not found:
        wanted = " and ".join(f"'{each}'" for each in words)
        raise UsageError(f"none of the {kind} has {wanted} in its line; see 'siplab {kind} --help'")
    if as_json:
        console.print_json(found)
    else:
        cards.print_rows(found, console.output())


def _has(row: Row, words: Sequence[str]) -> bool:
    text = " ".join(str(each) for each in row.values()).casefold()
    return all(each.casefold() in text for each in words)
