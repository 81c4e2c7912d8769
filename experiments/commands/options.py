"""Options that several commands have, and how a command takes a group of them as one dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from siplab.lab.plain_data import LARGEST_EXACT


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command have parameters that are dataclasses: each field becomes an option of its own."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for each in inspect.signature(command).parameters.values():
        members = {each.name: (hints[each.name], each.default)}
        if each.name in groups:
            inner = get_type_hints(groups[each.name], include_extras=True)
            members = {part.name: (inner[part.name], _default(part)) for part in fields(groups[each.name])}
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
            for name, (hint, default) in members.items()
        ]

    @wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{part.name: values.pop(part.name) for part in fields(group)})
        command(**values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined, unused-ignore]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    del run.__wrapped__  # or its own signature would be looked at
    return run


def _default(part: Any) -> Any:
    if part.default_factory is not MISSING:
        return part.default_factory()
    return inspect.Parameter.empty if part.default is MISSING else part.default


# -- options that repeat -----------------------------------------------------------------------------


def split(values: Iterable[str]) -> list[str]:
    """``a,b(x=1,y=2)`` given twice is four names: commas in parentheses part nothing."""
    found: list[str] = []
    for value in values:
        depth, start = 0, 0
        for at, letter in enumerate(value):
            depth += (letter == "(") - (letter == ")")
            if letter == "," and depth == 0:
                found.append(value[start:at])
                start = at + 1
        found.append(value[start:])
    return [each.strip() for each in found if each.strip()]


def _names(values: list[str]) -> list[str]:
    return split(values or ())


def _paths(values: list[Path]) -> list[Path]:
    """As ``split``; a file whose name has a comma is one path."""
    return [
        Path(part)
        for value in values or ()
        for part in ([value] if Path(value).exists() else split([str(value)]))
    ]


def names(*declarations: str, **options: Any) -> Any:
    """An option that repeats, and takes several names with commas between them."""
    return typer.Option(*declarations, callback=_names, **options)


def paths(*declarations: str, **options: Any) -> Any:
    """The same for files and folders."""
    return typer.Option(*declarations, callback=_paths, **options)


def numbers(*declarations: str, **options: Any) -> Any:
    """The same for numbers; they arrive as text, for ``as_numbers``."""
    return typer.Option(*declarations, callback=_names, metavar="INTEGER", **options)


def as_numbers(values: Iterable[str], option: str, least: int = 0, most: int = 65535) -> list[int]:
    """The numbers of such an option. Raises ``UsageError``'s like, as the arguments' parser does."""
    for each in values:
        if not each.isdecimal() or len(each) > 9 or not least <= int(each) <= most:
            raise typer.BadParameter(
                f"{each!r} is no number from {least} to {most}", param_hint=f"'{option}'"
            )
    return [int(each) for each in values]


# -- options that several commands have ----------------------------------------------------------------

Choice = Literal["auto", "simulated", "emulated"]
World = Annotated[
    Choice,
    typer.Option(help="Where trials run: the real kernel (emulated), in memory, or what this machine can."),
]
# Each is a process of its own: a number that was mistyped must not be the end of the machine.
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=512, help="Trials side by side.")]
Share = Annotated[
    bool,
    typer.Option(
        "--share/--no-share",
        help="Run simulated trials that come out alike, byte for byte, only once; not with --traces all.",
    ),
]
TrialTimeout = Annotated[
    float,
    typer.Option(
        "--trial-timeout",
        min=0.1,
        help="Seconds of CPU after which a trial in a process of its own is ended.",
    ),
]
KeepCapabilities = Annotated[
    bool,
    typer.Option("--keep-capabilities", help="Let programs do all that root may do, in their network too."),
]
Longest = Annotated[
    float,
    typer.Option(
        min=0,
        max=3600,
        help="Seconds that anything is waited for where real programs take part. Default: 8.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=LARGEST_EXACT, help="Seed of all randomness in the trials.")
]
Vary = Annotated[
    bool,
    typer.Option(
        "--vary",
        help="Let the seed also decide what real phones differ in: order of headers, optional ones, "
        "User-Agent, lifetimes, codecs, ports.",
    ),
]
ModelPath = Annotated[
    list[Path], paths("--model-path", help="A .py file or folder with models of your own; repeatable.")
]
ScenarioPath = Annotated[
    list[Path],
    paths("--scenario-path", help="A .py file or folder with scenarios of your own; repeatable."),
]
DetectorPath = Annotated[
    list[Path],
    paths("--detector-path", help="A .py file or folder with detectors of your own; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Gateway = Annotated[
    Literal["queue", "kernel"],
    typer.Option(
        help="Who does the router's work: the lab's gateway (queue), or its own kernel (linux or none)."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from what the folder of --out has: run only what is missing.")
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write a page: one HTML file that needs a browser and no network.",
    ),
]
Sounds = Annotated[
    Literal["changes", "full"],
    typer.Option("--audio", help="With --out: record calls around what changes, or in full (two minutes)."),
]
KeptTraces = Annotated[
    Literal["none", "failed", "all"],
    typer.Option(
        "--traces",
        help="With --out: keep nothing of single trials; the packed traces of those that fail, and of what "
        "detectors saw; or of each its trace, captures and sound.",
    ),
]
PcapMedia = Annotated[
    Literal["carried", "short", "all"],
    typer.Option(
        "--pcap-media",
        help="Media in the captures of each side: only packets that were carried, all of streams below "
        "5 minutes, or all.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="With --resume: also results of programs whose inputs can't be known."),
]


def as_texts(values: Iterable[Path]) -> tuple[str, ...]:
    """Paths as trials have them."""
    return tuple(str(each) for each in values)


def default_model(gateway: str) -> str:
    """The model where none is named: a kernel has its own."""
    return "linux" if gateway == "kernel" else ""


def as_model(name: str) -> str:
    """The model's spec; the name of a vendor, as people write it, stands for the vendor's profile."""
    from siplab.alg_models import vendors

    return (vendors.search(name) if " " in name and not set("=+,") & set(name) else None) or name


def as_hypothesis(spec: str) -> str:
    """The spec of the likeliest hypothesis about a vendor. Raises ``UsageError`` where there is none."""
    from siplab.alg_models import vendors
    from siplab.lab import specs
    from siplab.lab.errors import UsageError

    name, values = specs.parse(spec, "model")
    if name not in vendors.available():
        raise UsageError(f"--hypothesis: '{spec}' is no vendor; 'siplab vendors' lists them")
    guesses = vendors.load(name).hypotheses
    if not guesses:
        raise UsageError(f"--hypothesis: the card '{name}' has no hypothesis")
    return specs.written(name, {"hypothesis": guesses[0].id, **values})


@dataclass
class Lab:
    """Which network, and what its router is."""

    topology: Annotated[str, typer.Option(help="The network.")] = "home"
    model: Annotated[
        str,
        typer.Option(
            help="The router's ALG. Default: none; with --gateway kernel: linux.", show_default=False
        ),
    ] = ""
    gateway: Gateway = "queue"


@dataclass
class Kinds:
    """Which endpoints meet the router: every combination is tried."""

    phones: Annotated[
        list[str], names("--phones", help="Kinds of the phones behind the router; repeatable.")
    ] = field(default_factory=list)
    servers: Annotated[list[str], names("--servers", help="Kinds of the server; repeatable.")] = field(
        default_factory=list
    )
    far_phones: Annotated[
        list[str], names("--far-phones", help="Kinds of the phones on the internet; repeatable.")
    ] = field(default_factory=list)


@dataclass
class Beside:
    """What else runs in a lab, and what is written of it."""

    also: Annotated[
        list[str],
        typer.Option("--also", metavar="HOST=COMMAND", help="Another program beside it; repeatable."),
    ] = field(default_factory=list)
    with_: Annotated[
        list[str],
        names(
            "--with",
            metavar="AGENT",
            help="The lab's server, far-phone or mirror, or program:coturn; repeatable.",
        ),
    ] = field(default_factory=list)
    pcap: Annotated[
        Path | None,
        typer.Option(
            help="Write what the router's taps saw to this pcapng file, and a file per side beside it."
        ),
    ] = None
    trace: Annotated[Path | None, typer.Option("--trace", help="Write the trace to this file.")] = None
    model_path: ModelPath = field(default_factory=list)


def only(command: Callable[..., None]) -> typer.Typer:
    """The app of a command that is all that there is in it."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return app
