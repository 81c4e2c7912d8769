"""The command ``siplab``.

Exit status: 0 done, 1 something in a run went wrong (an invalid trial), 2 bad input or a machine that
can't; ``exec`` and ``shell`` give the program's own.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from siplab.alg_models import profiles
from siplab.experiments.commands import running, schemas, topologies
from siplab.experiments.commands.calibrate import calibrate
from siplab.experiments.commands.case import case
from siplab.experiments.commands.detect import app as detect_app
from siplab.experiments.commands.explain import explain
from siplab.experiments.commands.score import score
from siplab.experiments.explain import explained
from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.library import experiment
from siplab.experiments.output import cards, files, table, vendor_cards, vendor_compare
from siplab.experiments.trial import assignment, registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError

app = typer.Typer(
    name="siplab",
    help="A laboratory for SIP ALGs: emulated buggy routers between phones and servers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()
errors = Console(stderr=True)
# What the arguments' parser raises; which package it is in depends on the version of typer.
_ArgumentsError: Final[Any] = typer.BadParameter.__base__

World = Annotated[
    Literal["auto", "simulated", "emulated"],
    typer.Option(help="Where trials run: the real kernel (emulated), in memory, or what this machine can."),
]
ModelPath = Annotated[
    list[Path], typer.Option("--model-path", help="A .py file or folder with models of your own; repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Gateway = Annotated[
    Literal["queue", "kernel"],
    typer.Option(
        help="Who does the router's work: the lab's gateway (queue), or its own kernel (linux or none)."
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of all randomness in the trials.")]


# -- running -------------------------------------------------------------------------------------


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="An experiment's id, or a YAML file.")],
    world: Annotated[
        Literal["auto", "simulated", "emulated"] | None,
        typer.Option(help="Where trials run; default: what the experiment says, else what this machine can."),
    ] = None,
    seed: Seed = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trials side by side.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write results.json, traces and captures here.")] = None,
    resume: running.Resume = False,
    model_path: ModelPath = [],  # noqa: B006 - typer's way
) -> None:
    """Run an experiment and print its table."""
    running.check(resume=resume, out=out)
    chosen = experiment.load(name)
    try:
        specs = chosen.trials(_paths(model_path), seed)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    kind, why = runner.choose_world(world or chosen.world)
    if out is not None:
        files.prepare(out)
    reports = [path for path in (json_file, out / "results.json" if out else None) if path is not None]
    for path in reports:
        files.check_writable(path)
    errors.print(f"[bold]{chosen.id}[/]: {len(specs)} trials in the {kind} world ({why})", highlight=False)
    keep = running.keep_partly(chosen.id, kind, reports)
    results = running.run_trials(
        specs, world=kind, jobs=jobs, out=out, resume=resume, errors=errors, keep=keep
    )
    if chosen.summary:
        console.print(chosen.summary, style="italic")
    table.print_table(results, console)
    console.print(f"{len(results)} trials: {table.summary(results)}", highlight=False)
    _say_notes(note for result in results for note in result.notes)
    data = files.as_json(chosen.id, kind, results)
    for path in reports:
        files.write_json(path, data)
    if any(result.errors for result in results):
        raise typer.Exit(1)


@app.command()
def call(
    model: Annotated[
        str,
        typer.Option(
            help="The router's ALG: ID or ID(parameter=value). Default with --gateway kernel: linux."
        ),
    ] = "",
    scenario: Annotated[str, typer.Option(help="What happens: ID or ID(parameter=value).")] = "",
    detector: Annotated[str, typer.Option(help="A detector in the place of a scenario.")] = "",
    mitigation: Annotated[list[str], typer.Option(help="A remedy; repeatable.")] = [],  # noqa: B006
    phone: Annotated[str, typer.Option(help="The kind of the phone behind the router.")] = "",
    server: Annotated[str, typer.Option(help="The kind of the server.")] = "",
    topology: Annotated[str, typer.Option(help="The network.")] = "home",
    world: World = "auto",
    gateway: Gateway = "queue",
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="Write trace and capture here.")] = None,
    model_path: ModelPath = [],  # noqa: B006
    scenario_path: Annotated[
        list[Path],
        typer.Option("--scenario-path", help="A .py file or folder with scenarios of your own; repeatable."),
    ] = [],  # noqa: B006
    detector_path: Annotated[
        list[Path],
        typer.Option("--detector-path", help="A .py file or folder with detectors of your own; repeatable."),
    ] = [],  # noqa: B006
) -> None:
    """Run one trial and show it as a ladder, with every message that the router changed."""
    if bool(scenario) == bool(detector):
        raise UsageError("name one of --scenario and --detector")
    model = model or _default_model(gateway)
    if not model:
        raise UsageError("name the router's ALG with --model; `siplab models` lists them")
    spec = TrialSpec(
        topology,
        model,
        scenario,
        detector,
        tuple(mitigation),
        1 if seed is None else seed,
        _paths(model_path),
        _paths(detector_path),
        _paths(scenario_path),
        gateway=gateway,
        phone=phone,
        server=server,
    )
    trial.check_spec(spec)
    kind, why = runner.choose_world(world)
    if out is not None:
        files.prepare(out)
    result, trace = runner.run_traced(spec, kind, None if out is None else ExplainedFolder(out))
    from siplab.experiments.output import ladder

    console.print(
        f"{spec.name.replace('__', ', ')} in the {kind} world ({why})", highlight=False, style="dim"
    )
    ladder.render(explained(result, trace), trace, trial.network_of(spec), console)
    _say_notes(result.notes)
    if result.errors:
        raise typer.Exit(1)


app.command()(score)
app.command()(calibrate)
app.command(name="explain")(explain)
app.command(name="case")(case)


# -- other people's programs ---------------------------------------------------------------------

HostArgument = Annotated[str, typer.Argument(help="A host or router of the topology.")]
ModelOption = Annotated[
    str,
    typer.Option(help="The router's ALG. Default: none; with --gateway kernel: linux.", show_default=False),
]
TopologyOption = Annotated[str, typer.Option(help="The network.")]
Also = Annotated[
    list[str], typer.Option("--also", metavar="HOST=COMMAND", help="Another program beside it; repeatable.")
]
With = Annotated[
    list[str],
    typer.Option("--with", metavar="AGENT", help="The lab's server, far-phone or mirror; repeatable."),
]
Pcap = Annotated[Path | None, typer.Option(help="Write what the router's taps saw to this pcapng file.")]
TraceFile = Annotated[Path | None, typer.Option("--trace", help="Write the trace to this file.")]


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def execute(
    host: HostArgument,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The program and its arguments.")],
    topology: TopologyOption = "home",
    model: ModelOption = "",
    gateway: Gateway = "queue",
    also: Also = [],  # noqa: B006
    with_: With = [],  # noqa: B006
    pcap: Pcap = None,
    trace: TraceFile = None,
    model_path: ModelPath = [],  # noqa: B006
) -> None:
    """Run any program on a host of a running lab; its exit status is siplab's."""
    _foreground(host, tuple(command), topology, model, gateway, also, with_, pcap, trace, model_path)


@app.command()
def shell(
    host: HostArgument = "phone",
    topology: TopologyOption = "home",
    model: ModelOption = "",
    gateway: Gateway = "queue",
    also: Also = [],  # noqa: B006
    with_: With = [],  # noqa: B006
    pcap: Pcap = None,
    trace: TraceFile = None,
    model_path: ModelPath = [],  # noqa: B006
) -> None:
    """Open a shell on a host of a running lab."""
    command = ("bash", "--norc", "--noprofile")
    _foreground(host, command, topology, model, gateway, also, with_, pcap, trace, model_path)


def _foreground(
    host: str,
    command: tuple[str, ...],
    topology: str,
    model: str,
    gateway: str,
    also: list[str],
    agents: list[str],
    pcap: Path | None,
    trace: Path | None,
    model_path: list[Path],
) -> None:
    from siplab.experiments.commands.foreground import Program
    from siplab.lab.worlds.emulated import kernel
    from siplab.lab.worlds.emulated.bubble import Bubble

    beside = []
    for each in also:
        where, equals, line = each.partition("=")
        if not equals or not line.strip():
            raise UsageError(f"--also '{each}' is not written HOST=COMMAND")
        try:
            shlex.split(line)
        except ValueError as error:
            raise UsageError(f"--also '{each}': {error}") from None
        beside.append((where.strip(), line))
    net = trial.network(topology)
    model = model or _default_model(gateway) or "none"
    if gateway == "kernel":
        kernel.check_network(net)
        for each in assignment.models_of(model, net.topology).values():
            kernel.check_model(each)
    known = trial.models(_paths(model_path))
    _say_notes(profiles.note(known.get(each)) for each in assignment.models_of(model, net.topology).values())
    for each in (host, *(where for where, _ in beside)):
        if each not in net.node_addresses:
            raise UsageError(
                f"no host '{each}' in topology '{topology}'; there are {', '.join(net.node_addresses)}"
            )
    for path in (pcap, trace):
        if path is not None:
            files.check_writable(path)
    runner.choose_world("emulated")
    if gateway == "kernel":
        runner.require_kernel("emulated")
    program = Program(
        topology,
        model,
        host,
        command,
        _paths(model_path),
        tuple(beside),
        tuple(agents),
        pcap,
        trace,
        gateway=gateway,
    )
    # Ctrl-C belongs to the program. A handler, not SIG_IGN: that would be inherited.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    with Bubble("siplab.experiments.commands.foreground:execute", attached=True) as bubble:
        bubble.connection.send(program)
        status = bubble.wait()
    raise typer.Exit(status)


# -- what there is ---------------------------------------------------------------------------------


def _listing(
    name: str,
    help_text: str,
    rows: Any,
    show: Any,
    *,
    takes_paths: bool = False,
    print_card: Any = cards.print_card,
) -> typer.Typer:
    """A command ``name`` that lists, with a sub-command ``show ID``."""
    group = typer.Typer(help=help_text, invoke_without_command=True, no_args_is_help=False)

    def listing(context: typer.Context, as_json: AsJson = False, model_path: ModelPath = []) -> None:  # noqa: B006
        if context.invoked_subcommand is not None:
            return
        data = rows(_paths(model_path)) if takes_paths else rows()
        if as_json:
            print(json.dumps(data, indent=2, ensure_ascii=False))
        else:
            cards.print_rows(data, console)

    def shown(
        identifier: Annotated[str, typer.Argument(metavar="ID")],
        as_json: AsJson = False,
        model_path: ModelPath = [],  # noqa: B006
    ) -> None:
        card = show(identifier, _paths(model_path)) if takes_paths else show(identifier)
        if as_json:
            print(json.dumps(card, indent=2, ensure_ascii=False))
        else:
            print_card(card, console)

    group.callback()(listing)
    group.command("show", help="Everything about one of them.")(shown)
    app.add_typer(group, name=name)
    return group


_listing("models", "The ALGs: list them, or show ID.", cards.models, cards.model, takes_paths=True)
_vendors = _listing(
    "vendors",
    "What is known of vendors' ALGs: list them, or show ID (or another name of it).",
    vendor_cards.vendors,
    vendor_cards.vendor,
    print_card=vendor_cards.print_card,
)


@_vendors.command("compare")
def compare_vendors(
    names: Annotated[list[str], typer.Argument(metavar="A B ...", help="Vendors, and models' specs.")],
    as_json: AsJson = False,
    model_path: ModelPath = [],  # noqa: B006
) -> None:
    """What each of them does to the same REGISTER, INVITE and answers, side by side."""
    data = vendor_compare.compare(names, _paths(model_path))
    if as_json:
        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        vendor_compare.print_comparison(data, console)


app.add_typer(topologies.group, name="topologies")
app.add_typer(detect_app, name="detect")
_listing(
    "scenarios",
    "What can happen: list, or show ID.",
    lambda: cards.items(registry.scenarios()),
    lambda name: cards.item(registry.scenarios(), name),
)
_listing(
    "detectors",
    "What looks for ALGs: list, or show ID.",
    lambda: cards.items(registry.detectors()),
    lambda name: cards.item(registry.detectors(), name),
)
_listing(
    "phones",
    "The kinds of phones: list, or show ID.",
    lambda: cards.items(registry.phones()),
    lambda name: cards.item(registry.phones(), name),
)
_listing(
    "servers",
    "The kinds of servers: list, or show ID.",
    lambda: cards.items(registry.servers()),
    lambda name: cards.item(registry.servers(), name),
)
_listing(
    "mitigations",
    "The remedies: list, or show ID.",
    lambda: cards.items(registry.mitigations()),
    lambda name: cards.item(registry.mitigations(), name),
)
_listing(
    "experiments", "The experiments that come along: list, or show ID.", cards.experiments, cards.experiment
)


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=" | ".join(schemas.KINDS))],
) -> None:
    """Print the JSON Schema of a kind of YAML file: vendor, topology or experiment."""
    print(json.dumps(schemas.schema(kind), indent=2, ensure_ascii=False))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What this machine can do, and how to fix what it can't."""
    from siplab.lab.worlds.emulated import capability

    abilities = (*capability.abilities(), capability.kernel_ability())
    if as_json:
        print(json.dumps([each._asdict() for each in abilities], indent=2))
        return
    rows = Table(show_header=False, box=None, padding=(0, 1))
    for each in abilities:
        mark = (
            Text("yes", "green")
            if each.present
            else Text("NO" if each.needed else "no", "red" if each.needed else "yellow")
        )
        rows.add_row(mark, each.name, each.detail, "" if each.present else f"-> {each.fix}")
    console.print(rows)
    obstacle = capability.obstacle()
    if obstacle is None:
        console.print("The emulated world runs here: real kernel, netfilter queue, real programs.")
    else:
        console.print("The simulated world runs here; the emulated one does not.")


# -- helpers -----------------------------------------------------------------------------------------


def _say_notes(notes: Iterable[str]) -> None:
    """Beside the results, not among them."""
    for note in dict.fromkeys(notes):
        if note:
            print(f"siplab: {note}", file=sys.stderr)


def _default_model(gateway: str) -> str:
    """The model where none is named: a kernel has its own."""
    return "linux" if gateway == "kernel" else ""


def _paths(paths: list[Path]) -> tuple[str, ...]:
    return tuple(str(path) for path in paths)


def main() -> None:
    """Entry point of the command."""
    try:
        sys.exit(app(standalone_mode=False))
    except _ArgumentsError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.exit(2)  # the help stands there already
        place = f"; see '{error.ctx.command_path} --help'" if error.ctx is not None else ""
        what = error.format_message().replace("Value error, ", "").rstrip(".")
        print(f"siplab: {what}{place}", file=sys.stderr)
        sys.exit(2)
    except UsageError as error:
        print(f"siplab: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (a pager that was closed): not an error of ours.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
