"""The command ``siplab``: what there is, and how it ends.

Exit status: 0 it came to its end, 1 a claim failed, a detector got worse or trials are invalid, 2 bad input,
a file or a machine that can't, 3 undecided, 130 interrupted, 141 nobody reads the output any more; ``exec``
and ``shell`` give the program's own.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from typer.core import TyperGroup

import siplab
from siplab.lab import interrupts
from siplab.lab.errors import UsageError

_RUN, _SHOW, _MACHINE = "Trials", "What there is", "This machine, and other people's programs"
_CAPTURES = "Captures of real routers"
# Name, module, heading in the help, what it does: a command's module is imported only to run it.
COMMANDS: Final = (
    ("demo", "demo", _RUN, "Six routers, three situations, two remedies: what an ALG does to which phone."),
    ("run", "run", _RUN, "Run an experiment and print its table."),
    ("call", "call", _RUN, "Run one trial: what came of it, and every message that the router changed."),
    ("score", "score", _RUN, "Score detectors: every model of the catalogue, and routers without an ALG."),
    ("matrix", "matrix", _RUN, "Routers by scenarios by remedies: what works, and what nobody knows."),
    ("compare", "compare", _RUN, "What two runs of `siplab matrix` or `siplab score` say differently."),
    ("seeds", "seeds", _RUN, "How many seeds a claim needs."),
    ("reproduce", "reproduce", _RUN, "Run a stored result again and compare, trial by trial."),
    ("verify", "verify", _RUN, "What in a stored result may be answered differently today."),
    ("explain", "explain", _RUN, "Say why checks of a stored run failed, and what the router did."),
    ("case", "case", _RUN, "Run a story from the field, and check that what was reported is what comes out."),
    ("advise", "advise", _RUN, "What to do about a router: the remedies that help, by who has to act."),
    ("claims", "claims", _RUN, "What the founding articles claim, measured: list, or measure ID."),
    ("models", "models", _SHOW, "The ALGs: list them, or show ID."),
    ("vendors", "vendors", _SHOW, "What is known of vendors' ALGs: list them, show one, compare several."),
    ("topologies", "topologies", _SHOW, "The networks: list them, or show ID."),
    ("scenarios", "scenarios", _SHOW, "What can happen: list, or show ID."),
    ("detectors", "detectors", _SHOW, "What looks for ALGs: list, or show ID."),
    ("mitigations", "mitigations", _SHOW, "The remedies: list, or show ID."),
    ("phones", "phones", _SHOW, "The kinds of phones: list, or show ID."),
    ("servers", "servers", _SHOW, "The kinds of servers: list, or show ID."),
    ("experiments", "experiments", _SHOW, "The experiments that come along: list, or show ID."),
    ("report", "report", _RUN, "A page of a stored run: one HTML file, every failing trial in it."),
    ("pcap", "pcap", _RUN, "Make captures of the traces that a run has kept."),
    ("sandbox", "sandbox", _RUN, "The laboratory as one HTML file, for any browser, without a network."),
    ("schema", "schemas", _SHOW, "Print the JSON Schema of a kind of YAML file, or of what comes out."),
    ("diagnose", "diagnose", _CAPTURES, "What captures say of a router, whom that harms, and what cures it."),
    ("compare-captures", "compare_captures", _CAPTURES, "What captures from both sides of a router say."),
    ("replay", "replay", _CAPTURES, "A capture through a router with any model: what would come out."),
    ("learn", "learn", _CAPTURES, "Learn a model of a router from captures of both its sides."),
    ("bench-router", "bench_router", _CAPTURES, "Put a real router between two network cards."),
    ("detect", "detect", _MACHINE, "Detectors on a real network: a server outside, this machine inside."),
    ("exec", "execute", _MACHINE, "Run any program on a host of a running lab; its exit status is siplab's."),
    ("shell", "shell", _MACHINE, "Open a shell on a host of a running lab."),
    ("up", "up", _MACHINE, "Build a lab and keep it up, until Ctrl-C or `siplab down`."),
    ("status", "status", _MACHINE, "What is in a lab that is up: hosts, models, bindings, programs."),
    ("capture", "capture", _MACHINE, "Write the packets at a tap of a lab that is up to standard output."),
    ("logs", "logs", _MACHINE, "What a container of a lab that is up has printed."),
    ("copy", "copying", _MACHINE, "Copy files into a container of a lab that is up, or out of it."),
    ("alg", "alg", _MACHINE, "Put another model into the router of a lab that is up, or none."),
    ("age", "age", _MACHINE, "Make what the routers of a lab that is up remember older."),
    ("down", "down", _MACHINE, "End a lab that is up."),
    ("agree", "agree", _MACHINE, "Play models with real software too: does the same fail first?"),
    ("calibrate", "calibrate", _MACHINE, "Compare this kernel's SIP ALG with its model."),
    ("doctor", "doctor", _MACHINE, "What this machine can do, and how to fix what it can't."),
)  # fmt: skip
_PIPE_CLOSED: Final = 141  # as a shell says of SIGPIPE
_MODULES: Final = {name: module for name, module, *_ in COMMANDS}
# What the arguments' parser raises; which package it is in depends on the version of typer.
_ArgumentsError: Final[Any] = typer.BadParameter.__base__


class _Commands(TyperGroup):
    """The commands as the help has them; the one that is called is put in place of its line."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """The command of that name, with its options. Raises ``KeyError``."""
    return _literal(
        typer.main.get_command(import_module(f"siplab.experiments.commands.{_MODULES[name]}").app)
    )


def _literal(command: Any) -> Any:
    """The command with help texts that are text: neither brackets nor line ends in them are markup."""
    for each in (command, *command.params):
        if getattr(each, "help", None):
            paragraphs = (" ".join(text.split()) for text in each.help.split("\n\n"))
            each.help = escape("\n\n".join(paragraphs))
    for each in getattr(command, "commands", {}).values():
        _literal(each)
    return command


app = typer.Typer(
    name="siplab",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"siplab {siplab.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """A laboratory for SIP ALGs: emulated buggy routers between phones and servers."""


for _name, _, _panel, _help in COMMANDS:
    app.command(_name, help=_help, rich_help_panel=_panel, add_help_option=False)(lambda: None)


def main() -> None:
    """Entry point of the command."""
    from siplab.experiments.output import console

    console.tame_streams()
    try:
        with interrupts.watched():
            status = _run()
        sys.stdout.flush()
        sys.exit(status)
    except _ArgumentsError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.exit(2)  # the help stands there already
        place = f"; see '{error.ctx.command_path} --help'" if error.ctx is not None else ""
        message = " ".join(error.format_message().replace("Value error, ", "").split())
        console.say(message.rstrip(".") + place)
        sys.exit(2)
    except UsageError as error:
        console.say(str(error))
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output went away (a pager that was closed), and so did we, before the end.
        _drop_output()
        sys.exit(_PIPE_CLOSED)
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else "output: "
        with suppress(OSError):
            console.say(f"{where}{error.strerror or error}")
        sys.exit(2)


def _run() -> Any:
    try:
        return app(standalone_mode=False)
    except SystemExit as end:
        if isinstance(
            end.__context__, BrokenPipeError
        ):  # the arguments' parser has a status of its own for it
            raise end.__context__ from None
        raise


def _drop_output() -> None:
    """What is still to be printed can't be: Python would try again at its end."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())


if __name__ == "__main__":
    main()
