"""`guardrail proxy`: stand between an MCP client and its servers, and judge every tool call on its way."""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_ESCALATE, find_config

if TYPE_CHECKING:
    from guardrail.config import Config

_DESCRIPTION: Final = """Relay the Model Context Protocol: everything passes, and tool calls are judged.

  guardrail proxy mcp -- CMD ARG …                     start a server, and relay over standard input and output
  guardrail proxy mcp --servers FILE                   the same for every server of a client's file, started or
                                                       reached over HTTP, with its name before its tools
  guardrail proxy mcp --http URL --listen HOST:PORT    relay to a server that is reached over HTTP

A denied call is answered with a result that says so. A held one is a task, a page to open, or a wait, as the client
can; approvals are given with `guardrail escalations approve`, never by the client.
The tools of a server are pinned when it first lists them; what is new or changed later waits for `pins accept`.
"""

_EXITS: Final = "exit codes: 0 the client ended it, 1 the server did or a fault, 2 usage or configuration"

HOLD_SECONDS: Final = 30.0
"""How long a held call waits by default, in seconds: less than the minute after which usual clients give up."""


class _Splitting(argparse.ArgumentParser):
    """Takes whatever follows `--` as one command."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """What stands before `--` is ours, the rest goes into `command`."""
        words: list[str] = list(args or ())
        cut = words.index("--") if "--" in words else len(words)
        found, left = super().parse_known_args(words[:cut], namespace)
        if cut < len(words) or not hasattr(found, "command"):
            found.command = words[cut + 1 :]
        return found, left


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "proxy", help="stand between an MCP client and its servers, and judge tool calls", description=__doc__
    )
    kinds = top.add_subparsers(dest="kind", metavar="PROTOCOL", required=True, parser_class=_Splitting)
    mcp = kinds.add_parser(
        "mcp", help="the Model Context Protocol", description=_DESCRIPTION, epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    mcp.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    mcp.add_argument("--name", metavar="NAME", help="name of the server, as rules see it; taken from CMD by default")
    mcp.add_argument("--agent", metavar="ID", default="unknown", help="the agent, as mandates name it")
    mcp.add_argument("--model", metavar="NAME", help="the agent's model")
    mcp.add_argument("--session", metavar="NAME", help="name of the conversation; a new one for each start by default")
    mcp.add_argument(
        "--hold", type=_seconds, default=HOLD_SECONDS, metavar="SECONDS",
        help=f"how long a call waits for people before it is told to come again; default {HOLD_SECONDS:g}",
    )  # fmt: skip
    mcp.add_argument("--review-url", metavar="URL", default="", help="page where people answer; `{id}` is put in")
    mcp.add_argument(
        "--confine", choices=("off", "floor", "default", "strict"), default="off",
        help="how much the kernel holds servers that are started here, within the bounds of [execute]; default off",
    )  # fmt: skip
    mcp.add_argument("--servers", metavar="FILE", help="a client's file with servers, all behind one relay")
    _add_http(mcp)
    mcp.set_defaults(run=_run)
    actions = mcp.add_subparsers(dest="action", metavar="ACTION")
    _add_pins(actions)
    taken = actions.add_parser(
        "import", help="put the relay before the servers of a client's file: .mcp.json, mcp.json, config.toml …",
        description="Shows the change; `--write` makes it, and `--undo` takes it back, byte for byte.",
    )  # fmt: skip
    taken.add_argument("file", metavar="FILE", help="of Claude Desktop or Code, Cursor, VS Code, Gemini CLI, Codex")
    taken.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=CONFIG_HELP)
    taken.add_argument("--write", action="store_true", help="make the change; start the client again then")
    taken.add_argument("--undo", action="store_true", help="put the file back as it was")
    taken.set_defaults(run=_import)


def _add_http(mcp: argparse.ArgumentParser) -> None:
    http = mcp.add_argument_group("over HTTP")
    http.add_argument("--http", metavar="URL", help="the server's endpoint; needs --name and --listen")
    http.add_argument("--listen", metavar="HOST:PORT", help="address to listen on; port 0 is any free one")
    http.add_argument(
        "--origin", action="append", default=[], metavar="ORIGIN",
        help="origin of web pages that may ask, such as http://localhost:6274; may be repeated; none by default",
    )  # fmt: skip
    http.add_argument(
        "--token-env", metavar="NAME", help="environment variable with the token that clients have to send"
    )
    http.add_argument(
        "--oauth-resource", metavar="URL", help="the relay's own URL, which access tokens are made out for"
    )
    http.add_argument("--oauth-issuer", metavar="URL", help="the authorization server that clients get them from")
    http.add_argument("--oauth-jwks", metavar="FILE", help="its keys; read again when the file changes")
    http.add_argument(
        "--oauth-scope", action="append", default=[], metavar="SCOPE", help="what a token has to grant; may be repeated"
    )
    http.add_argument(
        "--upstream-token-env", metavar="NAME", help="environment variable with the relay's own token for the server"
    )
    http.add_argument(
        "--upstream-token-file", metavar="FILE", help="file with it, read for each request: one that something renews"
    )
    http.add_argument(
        "--unsafe-forward-authorization", action="store_true",
        help="pass the client's own token to the server, although it was made out for the relay",
    )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of seconds between 0 and 86400")
    return value


def _run(args: argparse.Namespace) -> int:
    from guardrail import telemetry

    recorder = telemetry.configure_from_environment("guardrail-proxy")
    try:
        return _relay(args)
    finally:
        recorder.shutdown()


def _relay(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError

    if sum(map(bool, (args.http, args.command, args.servers))) > 1:
        raise ConfigError("give --http, --servers or a command, not both")
    if args.servers:
        several: int = _adapter("command").many(_configuration(args), _settings(args, "all"), args.servers)
        return several
    if args.http:
        return _run_http(args)
    if not args.command:
        raise ConfigError("name the server to start: `guardrail proxy mcp -- CMD ARG …`")
    relay = _adapter("command")
    config = _configuration(args)
    code: int = relay.stdio(config, _settings(args, args.name or relay.server_name(args.command)), args.command)
    return code


def _run_http(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError

    if not (args.name and args.listen):
        raise ConfigError("`--http` needs --name, which rules see, and --listen, such as 127.0.0.1:8766")
    sources = (args.upstream_token_env, args.upstream_token_file, args.unsafe_forward_authorization)
    if sum(map(bool, sources)) > 1:
        raise ConfigError(
            "give one of --upstream-token-env, --upstream-token-file and --unsafe-forward-authorization, not two"
        )
    host, port = _address(args.listen)
    token = _secret(args.token_env)
    oauth = _oauth(args)
    if not (token or oauth or host in ("localhost", "127.0.0.1", "::1")):
        raise ConfigError(
            f"whoever reaches `{host}` could ask: give --token-env or --oauth-resource, or listen on 127.0.0.1"
        )
    transport = _adapter("").HttpSettings(
        upstream=_endpoint(args.http),
        host=host,
        port=port,
        origins=tuple(args.origin),
        token=token,
        upstream_token=_own_token(args),
        forward_authorization=args.unsafe_forward_authorization,
        oauth=oauth,
    )

    def ready(address: str) -> None:
        print(f"guardrail: ready on {address}, before {args.http}", flush=True)

    code: int = _adapter("command").http(_configuration(args), _settings(args, args.name), transport, ready)
    return code


def _own_token(args: argparse.Namespace) -> Any:
    from pathlib import Path

    relay = _adapter("")
    if args.upstream_token_file is not None:
        return relay.OwnToken(file=Path(args.upstream_token_file))
    return relay.OwnToken(_secret(args.upstream_token_env)) if args.upstream_token_env is not None else None


def _oauth(args: argparse.Namespace) -> Any:
    from pathlib import Path

    from guardrail.errors import ConfigError

    given = (args.oauth_resource, args.oauth_issuer, args.oauth_jwks)
    if not any((*given, *args.oauth_scope)):
        return None
    if not all(given):
        raise ConfigError("access tokens need --oauth-resource, --oauth-issuer and --oauth-jwks together")
    if args.token_env or args.unsafe_forward_authorization:
        raise ConfigError("give either access tokens (--oauth-…), or --token-env or --unsafe-forward-authorization")
    return _adapter("").ResourceServer(
        resource=args.oauth_resource, issuer=args.oauth_issuer, jwks=Path(args.oauth_jwks), scopes=args.oauth_scope
    )


def _address(text: str) -> tuple[str, int]:
    from guardrail.errors import ConfigError

    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ConfigError(f"`--listen {text}` is no address: write HOST:PORT, such as 127.0.0.1:8766")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _endpoint(url: str) -> str:
    from urllib.parse import urlsplit

    from guardrail.errors import ConfigError

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError(f"`--http {url}` is no endpoint: write http://HOST:PORT/PATH or https://HOST/PATH")
    return url


def _secret(name: str | None) -> str:
    from guardrail.errors import ConfigError

    if name is None:
        return ""
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"the environment variable `{name}` is empty: it is to hold a token")
    return value


def _settings(args: argparse.Namespace, name: str) -> Any:
    from guardrail.errors import ConfigError
    from guardrail.model import Subject, new_id

    if not _adapter("command").is_server(name):
        raise ConfigError(f"`{name}` is no name of a server: use letters, digits, `-` and single `_`")
    return _adapter("").RelaySettings(
        server=name,
        subject=Subject(id=args.agent, model=args.model),
        session=args.session or f"mcp-{new_id()}",
        cwd=os.getcwd(),
        hold_seconds=args.hold,
        review_url=args.review_url,
        confine=args.confine,
    )


def _adapter(module: str) -> Any:
    # By name: the core knows no adapter, and loads none unless this verb is used.
    return importlib.import_module("guardrail_adapters.mcp" + (f".{module}" if module else ""))


def _configuration(args: argparse.Namespace) -> Config:
    from guardrail.config import load

    return load(find_config(args.config))


def _import(args: argparse.Namespace) -> int:
    from pathlib import Path

    from guardrail.printing import visible

    relay, file = _adapter("command"), Path(os.path.abspath(args.file))
    if args.undo:
        relay.undo(file)
        print(f"`{file}` is as it was")
        return EXIT_ALLOW
    config = os.path.abspath(find_config(args.config))
    change = relay.plan(file, [*_ourselves(), "proxy", "mcp", "--config", config])
    if change is None:
        print(f"nothing to do: `{file}` names no server but the relay")
        return EXIT_ALLOW
    for line in (*change.diff.split("\n"), *change.notes):
        print(visible(line))
    if not change.moved:
        print("nothing was written: no server of it can be relayed")
    elif args.write:
        relay.write(change)
        print(f"written; the servers are in `{file}.guardrail.json` now: {', '.join(change.moved)}")
    else:
        print("nothing was written: add --write")
    return EXIT_ALLOW


def _ourselves() -> list[str]:
    """How a client starts this program: a module is no program by itself, nor is what calls `main` from its code."""
    program = os.path.abspath(sys.argv[0])
    is_program = os.path.basename(program) == "guardrail" and os.access(program, os.X_OK)
    return [program] if is_program else [sys.executable, "-m", "guardrail"]


# ── pins ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_pins(actions: Any) -> None:
    top = actions.add_parser("pins", help="see which tools are pinned, and accept new and changed ones")
    inner = top.add_subparsers(dest="pins", metavar="ACTION", required=True)
    listing = inner.add_parser("list", help="list the tools of every server, or of one; exits 4 if any waits")
    _common(listing)
    listing.add_argument("server", nargs="?", default="", metavar="SERVER")
    listing.set_defaults(run=_list)
    show = inner.add_parser("show", help="show what waits, beside what was accepted; exits 4 if anything does")
    _common(show)
    show.add_argument("server", metavar="SERVER")
    show.add_argument("tool", nargs="?", default="", metavar="TOOL")
    show.set_defaults(run=_show)
    accept = inner.add_parser("accept", help="accept tools as their server lists them now")
    _common(accept)
    accept.add_argument("server", metavar="SERVER")
    accept.add_argument("tools", nargs="*", metavar="TOOL")
    accept.add_argument("--all", action="store_true", help="all that wait")
    accept.set_defaults(run=_accept)
    forget = inner.add_parser("forget", help="forget a server: its next listing counts as its first")
    _common(forget)
    forget.add_argument("server", metavar="SERVER")
    forget.set_defaults(run=_forget)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=CONFIG_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _list(args: argparse.Namespace) -> int:
    from guardrail.printing import visible

    relay, config = _adapter("command"), _configuration(args)
    found = relay.pins(config, args.server)
    waits = {
        (pin.server, pin.name, pin.digest) for name in {p.server for p in found} for pin in relay.waiting(config, name)
    }
    for pin in found:
        held = (pin.server, pin.name, pin.digest) in waits
        if not (pin.accepted or held):
            continue  # a definition that the server has replaced since
        if args.json:
            facts = {"server": pin.server, "tool": pin.name, "digest": pin.digest, "state": _state(pin)}
            print(json.dumps(facts, sort_keys=True))
        else:
            print(f"{_state(pin):<9}{pin.server}  {visible(pin.name)}  {pin.digest[:16]}")
    return EXIT_ESCALATE if waits else EXIT_ALLOW


def _state(pin: Any) -> str:
    return "accepted" if pin.accepted else "waits"


def _show(args: argparse.Namespace) -> int:
    relay, config = _adapter("command"), _configuration(args)
    accepted = {pin.name: pin for pin in relay.pins(config, args.server) if pin.accepted}
    waits = relay.waiting(config, args.server, args.tool)
    for pin in waits:
        old = accepted.get(pin.name)
        if args.json:
            facts = {"tool": pin.name, "digest": pin.digest, "definition": json.loads(pin.definition)}
            if old is not None:
                facts["accepted"] = json.loads(old.definition)
            print(json.dumps(facts, sort_keys=True))
        else:
            before: list[str] = _lines(old.definition) if old is not None else []
            print(*difflib.unified_diff(before, _lines(pin.definition), "accepted", "waits", lineterm=""), sep="\n")
    return EXIT_ESCALATE if waits else EXIT_ALLOW


def _lines(definition: bytes) -> list[str]:
    # ASCII: what looks like another letter is seen as what it is.
    return json.dumps(json.loads(definition), indent=2, sort_keys=True).split("\n")


def _accept(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.printing import visible

    if bool(args.tools) == args.all:
        raise ConfigError("name the tools to accept, or give --all")
    chosen = _adapter("command").accept(_configuration(args), args.server, args.tools)
    for pin in chosen:
        if args.json:
            print(json.dumps({"tool": pin.name, "digest": pin.digest, "state": "accepted"}, sort_keys=True))
        else:
            print(f"accepted {pin.server}  {visible(pin.name)}  {pin.digest[:16]}")
    if not chosen:
        print("nothing waits")
    return EXIT_ALLOW


def _forget(args: argparse.Namespace) -> int:
    count = _adapter("command").forget(_configuration(args), args.server)
    print(json.dumps({"forgotten": count}) if args.json else f"forgot {count} of `{args.server}`")
    return EXIT_ALLOW
