"""`guardrail serve`: answer decisions over HTTP, on TCP or a Unix socket."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, Literal

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT, find_config, positive
from guardrail.cli._words import counted

if TYPE_CHECKING:
    import socket

    import uvicorn

    from guardrail.config import Config, ServiceConfig
    from guardrail.guard import Guard
    from guardrail.service._peers import Idle

_DESCRIPTION: Final = """Answer decisions over HTTP.

One line on standard output says that it is ready and where; everything else goes to standard error.
On TCP clients must send the token in [service] of the configuration. A Unix socket needs none: who may enter its
directory may ask, so the directory is made with mode 0750, and one that others could enter or change is refused.
With `service.review_socket` or `service.review_host` those who review are answered there, and nowhere else.
SIGTERM lets calls that are being judged finish, for at most `service.shutdown_seconds`.
"""

MAX_CONNECTIONS: Final = 1024
"""Most connections at one time; the server itself refuses further ones with 503, before anything is read."""

KEEP_ALIVE_SECONDS: Final = 60
"""How long an idle connection is kept, in seconds."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "serve",
        help="answer decisions over HTTP",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--socket", metavar="PATH", help="listen on this Unix socket instead of TCP")
    sub.add_argument("--host", help="address to listen on; default 127.0.0.1")
    sub.add_argument("--port", type=int, help="port to listen on, 0 for any free one; default 8765")
    sub.add_argument(
        "--insecure-no-token",
        action="store_true",
        help="answer everybody on this machine without a token; loopback addresses only",
    )
    sub.add_argument("--own-user", action="store_true", help="with a Unix socket: answer this user and root only")
    sub.add_argument(
        "--idle-seconds", type=positive, metavar="N", help="end when nobody has asked for N seconds and nothing is owed"
    )
    sub.add_argument("--check", action="store_true", help="ask the service of this configuration whether it is ready")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; see the module."""
    from guardrail import config as _config

    config = _config.load(find_config(args.config))
    settings = _settings(config, args)
    if args.check:
        return _ask_whether_ready(settings)
    from guardrail import telemetry
    from guardrail.errors import ConfigError

    try:
        import uvicorn as _uvicorn
    except ImportError as missing:
        raise ConfigError(f"`{missing.name}` is not installed: install `guardrail-runtime[service]`") from None
    del _uvicorn
    telemetry.configure_logging()
    recorder = telemetry.configure_from_environment("guardrail")
    try:
        return _serve(config, settings, args)
    finally:
        recorder.shutdown()


def _settings(config: Config, args: argparse.Namespace) -> ServiceConfig:
    """`[service]`, with what the command line says instead."""
    import msgspec

    from guardrail.errors import ConfigError
    from guardrail.service._listen import is_loopback

    if args.socket and (args.host or args.port is not None):
        raise ConfigError("give either `--socket` or `--host` and `--port`, not both")
    given: dict[str, Any] = {}
    if args.socket:
        given["socket"] = os.path.abspath(args.socket)
    elif args.host or args.port is not None:
        given["socket"] = ""
    elif config.service.socket:
        given["socket"] = str(config.path(config.service.socket))
    if args.host:
        given["host"] = args.host
    if args.port is not None:
        if not 0 <= args.port <= 65535:
            raise ConfigError("`--port` must be between 0 and 65535")
        given["port"] = args.port
    settings = msgspec.structs.replace(config.service, **given)
    if args.own_user and not settings.socket:
        raise ConfigError("`--own-user` is for a Unix socket only: name one with `--socket`")
    if args.own_user:
        # The kernel says who asks.
        settings = msgspec.structs.replace(settings, token="")
    if args.insecure_no_token:
        if settings.socket or not is_loopback(settings.host):
            raise ConfigError("`--insecure-no-token` is for TCP on a loopback address only")
        settings = msgspec.structs.replace(settings, token="")
    return settings


def _serve(config: Config, settings: ServiceConfig, args: argparse.Namespace) -> int:
    from guardrail.guard import Guard
    from guardrail.service import create_app
    from guardrail.service._app import check_access
    from guardrail.service._listen import for_reviewers, listening

    insecure_no_token: bool = args.insecure_no_token
    check_access(settings, insecure_no_token=insecure_no_token)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    with contextlib.ExitStack() as stack:
        # The address comes first: a second service must not open, and lock, what the first one works with.
        listener = stack.enter_context(listening(settings))
        others = for_reviewers(config)
        apart = None if others is None else stack.enter_context(listening(others))
        guard = stack.enter_context(Guard.open(config))
        guard.keep_attending()
        app = create_app(guard, settings, insecure_no_token=insecure_no_token)
        _warm(guard)
        idle = _idle(app, guard, args.idle_seconds)
        ready, people = _ready_line(guard, settings, listener), None
        if others is not None and apart is not None:
            ready += f", reviewers on {_where(others, apart)}"
            people = app.people, apart
        server = _server(idle or app, settings, ready, people, idle, own_user=args.own_user)
        try:
            server.run(sockets=[listener])
        except SystemExit:
            pass  # the server ends by the signal that stopped it, or by a start that failed; `started` tells them apart
        return EXIT_ALLOW if server.started else EXIT_FAULT


def _warm(guard: Guard) -> None:
    """Load what the first call would otherwise wait for; nothing is decided, and nothing recorded."""
    from guardrail.effects import analyse
    from guardrail.model import ToolCall
    from guardrail.parse import parse

    call = ToolCall(tool="bash", args={"command": "cp /a /b"}, cwd="/")
    analyse(parse(call, guard.tools), cwd=call.cwd, view=guard.files, limits=guard.config.limits)
    # What is loaded now stays for the life of the process: the collector need not walk it again during decisions.
    gc.collect()
    gc.freeze()


def _stop(_number: int, _frame: object) -> None:
    # Everything that is open is closed on the way out, the trail's last checkpoint included.
    raise SystemExit(0)


def _idle(app: Any, guard: Guard, seconds: int | None) -> Idle | None:
    """For a guard that a hook has started: it goes when nobody needs it, or its configuration is another by now."""
    from guardrail.service._hooks import Staleness
    from guardrail.service._peers import Idle

    if seconds is None:
        return None
    # Whoever owes something and only waits is seen by a guard that stays.
    return Idle(app, seconds, lambda: bool(guard.obligations.open), Staleness(guard.config).is_stale)


def _server(
    app: Any,
    settings: ServiceConfig,
    ready: str,
    people: tuple[Any, socket.socket] | None,
    idle: Idle | None,
    *,
    own_user: bool,
) -> uvicorn.Server:
    import asyncio

    import uvicorn

    class Server(uvicorn.Server):
        """Says when it is ready; those who review are answered by a second one beside it, with room of their own."""

        beside: uvicorn.Server | None = None

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and people is not None:
                application, listener = people
                self.beside = uvicorn.Server(_uvicorn(application, settings, lifespan="off"))
                self.beside.config.load()
                self.beside.lifespan = self.beside.config.lifespan_class(self.beside.config)
                await self.beside.startup([listener])
            if self.started:
                print(ready, flush=True)
                if idle is not None:
                    self._ending = asyncio.create_task(self._end_when_idle(idle))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            own = super().shutdown(sockets)
            if self.beside is None:
                await own
            else:
                await asyncio.gather(self.beside.shutdown(), own)

        async def _end_when_idle(self, until: Idle) -> None:
            await until.over()
            self.should_exit = True

    return Server(_uvicorn(app, settings, lifespan="on", http=_protocol(own_user=own_user)))


def _uvicorn(
    app: Any, settings: ServiceConfig, *, lifespan: Literal["on", "off"], http: Any = "auto"
) -> uvicorn.Config:
    import uvicorn

    from guardrail.service._listen import BACKLOG

    return uvicorn.Config(
        app,
        http=http,
        log_config=None,
        log_level="warning",  # our own line says that it is ready, and where
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan=lifespan,
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
    )


def _protocol(*, own_user: bool) -> Any:
    if not own_user:
        return "auto"
    from guardrail.service._peers import OwnUserProtocol

    return OwnUserProtocol


def _where(settings: ServiceConfig, listener: socket.socket) -> str:
    if settings.socket:
        return f"unix:{settings.socket}"
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _ready_line(guard: Guard, settings: ServiceConfig, listener: socket.socket) -> str:
    where = _where(settings, listener)
    declared = len(guard.config.assets)
    assets = f"{counted(declared, 'asset')} and {len(guard.inventory) - declared} of the guard's own"
    return f"guardrail: ready on {where}, policy {guard.engine.revision}, {assets}"


def _ask_whether_ready(settings: ServiceConfig) -> int:
    """For health checks in containers, which have no HTTP client of their own."""
    from guardrail.service._ready import is_ready

    ready, detail = is_ready(settings)
    print(detail, file=sys.stdout if ready else sys.stderr)
    return EXIT_ALLOW if ready else EXIT_FAULT
