"""`guardrail serve`: answer decisions over HTTP, on TCP or a Unix socket."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT, find_config, positive
from guardrail.cli._reload import Reload
from guardrail.cli._words import counted

if TYPE_CHECKING:
    import socket

    from guardrail.config import Config, ServiceConfig
    from guardrail.guard import Guard
    from guardrail.service._peers import Idle
    from guardrail.service._server import Server

_DESCRIPTION: Final = """Answer decisions over HTTP.

One line on standard output says that it is ready and where; everything else goes to standard error.
On TCP clients must send the token in [service] of the configuration, or be one of its [[service.client]] tables.
A Unix socket needs none: who may enter its directory may ask, so the directory is made with mode 0750, and one that
others could enter or change is refused.
With `service.review_socket` or `service.review_host` those who review are answered there, and nowhere else.
SIGTERM lets calls that are being judged finish, for at most `service.shutdown_seconds`.
SIGHUP does the same and begins anew with the configuration as it is then, at the same address; one that cannot be used
is logged, and nothing changes.
"""


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
        return _ask_whether_ready(config, settings)
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
    from guardrail.service._app import check_access
    from guardrail.service._listen import for_reviewers, listening
    from guardrail.service._tls import server_options

    check_access(settings, insecure_no_token=args.insecure_no_token)
    server_options(config, settings.tls)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    with contextlib.ExitStack() as stack:
        # The address comes first: a second service must not open, and lock, what the first one works with.
        listener = stack.enter_context(listening(settings))
        others = for_reviewers(config)
        apart = None if others is None else stack.enter_context(listening(others))
        reload = Reload(config, settings, partial(_read_again, args, settings, others))
        signal.signal(signal.SIGHUP, partial(_reread, reload))
        while True:
            server = _serve_once(reload, listener, apart, args)
            if server.signalled or not reload.is_due:
                return EXIT_ALLOW if server.started else EXIT_FAULT


def _serve_once(
    reload: Reload, listener: socket.socket, apart: socket.socket | None, args: argparse.Namespace
) -> Server:
    """Serve with the newest settings, until a signal to end or to begin anew."""
    from guardrail.service import create_app
    from guardrail.service._listen import for_reviewers
    from guardrail.service._server import Door, Server
    from guardrail.service._tls import server_options

    with reload.opened() as (guard, settings):
        guard.keep_attending()
        if guard.central is not None:
            guard.central.renew = (
                reload.asked
            )  # an inventory that is announced comes into force as a configuration does
        app = create_app(guard, settings, insecure_no_token=args.insecure_no_token)
        _warm(guard)
        idle = _idle(app, guard, args.idle_seconds)
        tls, others = server_options(guard.config, settings.tls), for_reviewers(guard.config)
        ready, people = _ready_line(guard, settings, listener), None
        if others is not None and apart is not None:
            ready += f", reviewers on {_where(others, apart)}"
            people = Door(app=app.people, listener=apart, settings=settings, tls=tls)
        own = Door(app=idle or app, listener=listener, settings=settings, tls=tls)
        with reload.serving(
            Server(own, people, partial(print, ready, flush=True), idle, own_user=args.own_user)
        ) as server:
            server.serve_until_told()
            return server


def _read_again(
    args: argparse.Namespace, before: ServiceConfig, others: ServiceConfig | None
) -> tuple[Config, ServiceConfig]:
    """The configuration as it is now.

    Raises:
        ConfigError: if it cannot be used, or wants to listen elsewhere.
    """
    from guardrail import config as _config
    from guardrail.errors import ConfigError
    from guardrail.service._app import check_access
    from guardrail.service._listen import for_reviewers, same_place
    from guardrail.service._tls import server_options

    config = _config.load(find_config(args.config))
    settings = _settings(config, args)
    check_access(settings, insecure_no_token=args.insecure_no_token)
    server_options(config, settings.tls)
    if not same_place(before, settings) or not same_place(others, for_reviewers(config)):
        raise ConfigError("the service listens elsewhere by the new configuration: stop it and start it again")
    return config, settings


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


def _reread(reload: Reload, _number: int, _frame: object) -> None:
    reload.asked()


def _idle(app: Any, guard: Guard, seconds: int | None) -> Idle | None:
    """For a guard that a hook has started: it goes when nobody needs it, or its configuration is another by now."""
    from guardrail.service._hooks import Staleness
    from guardrail.service._peers import Idle

    if seconds is None:
        return None
    # Whoever owes something and only waits is seen by a guard that stays.
    return Idle(app, seconds, lambda: bool(guard.obligations.open), Staleness(guard.config).is_stale)


def _where(settings: ServiceConfig, listener: socket.socket) -> str:
    if settings.socket:
        return f"unix:{settings.socket}"
    host, port = listener.getsockname()[:2]
    scheme = "http" if settings.tls is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _ready_line(guard: Guard, settings: ServiceConfig, listener: socket.socket) -> str:
    where = _where(settings, listener)
    declared = len(guard.config.assets)
    assets = f"{counted(declared, 'asset')} and {len(guard.inventory) - declared} of the guard's own"
    return f"guardrail: ready on {where}, policy {guard.engine.revision}, {assets}"


def _ask_whether_ready(config: Config, settings: ServiceConfig) -> int:
    """For health checks in containers, which have no HTTP client of their own."""
    from guardrail.service._ready import is_ready

    ready, detail = is_ready(config, settings)
    print(detail, file=sys.stdout if ready else sys.stderr)
    return EXIT_ALLOW if ready else EXIT_FAULT
