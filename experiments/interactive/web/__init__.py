"""The live page of a running lab: hosts, taps, messages as they pass, another model, older bindings.

The rules of this file:

- It listens at 127.0.0.1 only, and answers only if the address has the token; everything else gives 404.
- It asks the lab over the same connection as the commands do, and can do no more than they can.
- Data from the network becomes text by ``escape``. The page runs only its own two scripts.
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from siplab.experiments.interactive.line import Caller
from siplab.experiments.interactive.passed import AT_ONCE
from siplab.lab.errors import UsageError

_FOLDER: Final = Path(__file__).parent
_FILES: Final = {"htmx.js": ("htmx.min.js", "text/javascript"), "page.css": ("page.css", "text/css")}
_LONGEST: Final = 4096  # bytes that a form may send
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@contextmanager
def served(lab: str, models: list[str]) -> Iterator[str]:
    """Serve the page of a lab, and yield its address. Raises ``UsageError``."""
    try:
        import uvicorn
    except ImportError as error:
        raise UsageError(f"the Python package '{error.name}' is missing: pip install 'siplab[web]'") from None
    token = secrets.token_urlsafe(24)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            application(lab, token, models), log_config=None, access_log=False, server_header=False, ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/{token}/"
        finally:
            server.should_exit = True
            thread.join(5)


def application(lab: str, token: str, models: list[str]) -> Any:
    """The ASGI application. Raises ``UsageError`` if starlette is missing."""
    try:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.requests import Request
        from starlette.responses import Response
        from starlette.routing import Route
    except ImportError as error:
        raise UsageError(f"the Python package '{error.name}' is missing: pip install 'siplab[web]'") from None

    async def answer(request: Request) -> Response:
        if not secrets.compare_digest(request.path_params["token"].encode(), token.encode()):
            return Response("no such page", 404, headers=_HEADERS)
        name = request.path_params.get("part", "")
        if name in _FILES and request.method == "GET":
            file, kind = _FILES[name]
            return Response((_FOLDER / file).read_bytes(), headers=_HEADERS, media_type=kind)
        asked = _POSTS if request.method == "POST" else _GETS
        if name not in asked:
            return Response("no such page", 404, headers=_HEADERS)
        values = dict(request.query_params)
        if request.method == "POST":
            body = b""
            async for piece in request.stream():
                body += piece
                if len(body) > _LONGEST:
                    return Response("that is too long", 413, headers=_HEADERS)
            values = dict(parse_qsl(body.decode("utf-8", "replace")))
        html = await run_in_threadpool(_said, lab, asked[name], values, models)
        return Response(html, headers=_HEADERS, media_type="text/html")

    routes = [Route("/{token}/", answer), Route("/{token}/{part}", answer, methods=["GET", "POST"])]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def _said(lab: str, make: Any, values: Mapping[str, str], models: list[str]) -> str:
    try:
        with Caller(lab) as caller:
            return str(make(caller, values, models))
    except (UsageError, ValueError) as error:
        return f'<p role="alert">{escape(str(error))}</p>'


# -- the parts of the page ----------------------------------------------------------------------------------


def _page(caller: Caller, values: Mapping[str, str], models: list[str]) -> str:
    choice = "".join(f'<option value="{escape(each)}">' for each in models)
    html = (_FOLDER / "page.html").read_text(encoding="utf-8")
    return html.replace("@MODELS@", choice).replace("@STATUS@", _status(caller, values, models))


def _status(caller: Caller, values: Mapping[str, str], models: list[str]) -> str:
    row = caller.ask("status")
    parts = [f"<p>{escape(row['topology'])}, up for {row['seconds']:.0f} s</p>"]
    parts += [
        _table("Routers", [(name, model) for name, model in row["models"].items()], ("router", "model"))
    ]
    parts += [_table("Hosts", list(row["hosts"].items()), ("host", "address"))]
    parts += [_list("Taps", row["taps"])]
    bindings = [
        (each["gateway"], each["protocol"], each["inside"], each["outside"], f"{each['seconds']:g} s")
        for each in row["bindings"]
    ]
    parts += [_table("Bindings", bindings, ("router", "protocol", "inside", "outside", "left"))]
    parts += [_list("Containers", [f"{host}: {state}" for host, state in row["containers"].items()])]
    parts += [_list("Programs", row["programs"])]
    return "".join(parts)


def _messages(caller: Caller, values: Mapping[str, str], models: list[str]) -> str:
    """The messages after a number, and the element that asks for the next ones."""
    since = int(values.get("since", "0"))
    rows = caller.ask("messages", since=since)
    latest = rows[-1]["number"] if rows else since
    return "".join(map(_message, rows)) + _asks(latest, "50ms" if len(rows) == AT_ONCE else "1s")


def _asks(since: int, when: str) -> str:
    way = f'hx-trigger="load delay:{when}" hx-swap="outerHTML"'
    return f'<li class="next" hx-get="messages?since={since}" {way}></li>'


def _message(row: Mapping[str, Any]) -> str:
    first = (row["before"] or (row["after"] or [""])[0]).lstrip("\r\n").partition("\n")[0].strip()
    became = row["after"]
    words = "changed" if row["changed"] else "unchanged" if became else "went no further"
    arrow = "&rarr;" if row["from"] == "inside" else "&larr;"
    head = (
        f"<time>{row['seconds']:.3f}</time> {escape(row['gateway'])} {arrow} "
        f'<code>{escape(first)}</code> <span class="mark">{words}</span>'
    )
    texts = [("as it came", row["before"]), *(("as it left", each) for each in became if row["changed"])]
    panes = "".join(
        f"<figure><figcaption>{name}</figcaption><pre>{escape(text)}</pre></figure>" for name, text in texts
    )
    kind = "changed" if row["changed"] else "same"
    inner = f'<summary>{head}</summary><div class="panes">{panes}</div>'
    return f'<li class="{kind}"><details>{inner}</details></li>'


def _set_model(caller: Caller, values: Mapping[str, str], models: list[str]) -> str:
    flows = values.get("flows", "all")
    chosen = caller.ask("alg", model=values.get("model", "") or "none", flows=flows)
    return f"<p>{escape(', '.join(f'{name} has {spec}' for name, spec in chosen.items()))}</p>"


def _age(caller: Caller, values: Mapping[str, str], models: list[str]) -> str:
    seconds = float(values.get("seconds", "0"))
    caller.ask("age", seconds=seconds)
    return f"<p>what the routers remember is {seconds:g} s older</p>"


def _table(title: str, rows: Sequence[tuple[str, ...]], heads: tuple[str, ...]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(each))}</td>' for each in row)}</tr>" for row in rows)
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _list(title: str, rows: list[str]) -> str:
    items = "".join(f"<li>{escape(each)}</li>" for each in rows)
    return f"<h2>{title}</h2><ul>{items}</ul>" if rows else ""


_GETS: Final = {"": _page, "status": _status, "messages": _messages}
_POSTS: Final = {"alg": _set_model, "age": _age}
