"""Tables about the doors: the service, its console, owned execution, hooks."""

from __future__ import annotations

from typing import Literal

from guardrail.config._callers import ClientConfig, KubernetesConfig, TlsConfig
from guardrail.config._section import Section


class ServiceConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"clients": "client"}):
    """`[service]`: the sidecar.

    Args:
        host: address to listen on, for TCP.
        port: port to listen on, for TCP.
        socket: path of a Unix socket to listen on instead of TCP.
        agent: name of the one agent that can enter the socket's directory, best given as `${ENV_NAME}` where a pod says
            it: its calls are of this name, or of one below it (`NAME/...`); empty where they say it themselves.
        token: bearer token that clients must send, best given as `${ENV_NAME}`; required on TCP.
        reviewer_token: bearer token of those who review, another than `token`, best given as `${ENV_NAME}`; without it
            nobody reviews over HTTP.
        review_socket: path of a Unix socket for those who review alone; where there is one, they are answered nowhere
            else.
        review_host: address to listen on for those who review alone, for TCP, instead of `review_socket`.
        review_port: port to listen on at `review_host`.
        metrics_token: bearer token of whoever may read `/metrics` and nothing else, best given as `${ENV_NAME}`;
            `token` opens it as well.
        body_bytes: largest request body, in bytes.
        concurrency: most calls judged at one time.
        queue: most calls that wait for their turn beyond that; further ones get 503, which is a denial.
        queue_ms: longest that a call waits for its turn, in milliseconds; then it gets 503.
        each_concurrency: most calls of one client, or else of one agent, that are judged or wait at one time; further
            ones get 429, which is a denial.
        each_rate: most calls of one client, or else of one agent, per second, on average; further ones get 429.
        each_burst: most calls of one client, or else of one agent, at once after a pause.
        shutdown_seconds: how long requests that are being judged may take to finish when the service is told to stop,
            in seconds.
        clients: the `[[service.client]]` tables: who may ask, and in whose name; without any, whoever has `token` or
            can enter the socket's directory may ask in every agent's name.
        tls: `[service.tls]`: the service's own certificate, for TCP.
        kubernetes: `[service.kubernetes]`: how tokens of ServiceAccounts are verified.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    socket: str = ""
    agent: str = ""
    token: str = ""
    reviewer_token: str = ""
    review_socket: str = ""
    review_host: str = ""
    review_port: int = 8766
    metrics_token: str = ""
    body_bytes: int = 256 * 1024
    concurrency: int = 64
    queue: int = 256
    queue_ms: int = 500
    each_concurrency: int = 128
    each_rate: float = 1000.0
    each_burst: int = 2000
    shutdown_seconds: float = 10.0
    clients: tuple[ClientConfig, ...] = ()
    tls: TlsConfig | None = None
    kubernetes: KubernetesConfig | None = None


class ServingConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[execute.serving]]`: a program that may read weights while the kernel holds it, as the operator fixed it.

    Args:
        program: real path of the executable, as calls have to name it.
        arguments: what it is started with, all of it and in this order.
        files: SHA-256, in hexadecimal, of the program and of each script that it is given, by real path.
        environment: all variables that it is given; those of a call are not passed on.
        assets: ids of the assets that it may read.
        bind: TCP ports that it may listen on.
        sockets: directories in which it may make sockets.
        read: directories that it may read besides `confine_read`.
    """

    program: str
    arguments: tuple[str, ...] = ()
    files: dict[str, str]
    environment: dict[str, str] = {}
    assets: tuple[str, ...]
    bind: tuple[int, ...] = ()
    sockets: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


class ExecuteConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[execute]`: bounds on tools that the guard starts itself (`guardrail run`, `POST /v1/execute`).

    Args:
        environment: names of variables that a tool is given from the guard's own environment; all others it has to be
            sent with the call, where they are judged.
        seconds: how long a tool may run, in seconds.
        grace_seconds: how long it has to end by itself after that, in seconds, before it is killed.
        output_bytes: most that is passed on of each of its two outputs, in bytes; the rest is read and dropped.
        processes: most processes and threads that a tool may have at one time; one with more is ended.
        over_http: whether the service carries calls out (`POST /v1/execute`), as its own user.
        concurrency: most tools that the service runs at one time; further ones wait.
        queue: most calls that wait until they are carried out; further ones get 503, which is a denial.
        queue_ms: how long one waits, in milliseconds, before it gets 503.
        each_concurrency: most calls of one client, or else of one agent, that are carried out or wait at one time;
            further ones get 429.
        confine: how much the kernel holds a tool to what it was judged to do: `off`, `floor`, `default` or `strict`; or
            `bwrap`, which leaves it to bubblewrap.
        confine_required: whether a tool is not started where this kernel cannot hold it as asked; otherwise it is held
            as far as can be, and its record says what is lacking.
        confine_read: directories that a confined tool may read and run programs of, besides its own directory.
        confine_write: directories that it may change, besides its own directory.
        confine_connect: TCP ports that it may connect to.
        confine_escalate: how long a system call on an asset that the kernel would deny waits for a person where policy
            has one asked, in seconds; 0 denies it at once.
        serving: programs that may read weights, and then write and send nothing but over their own sockets.
    """

    environment: tuple[str, ...] = (
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "TMPDIR",
    )  # fmt: skip
    seconds: float = 600.0
    grace_seconds: float = 2.0
    output_bytes: int = 1024 * 1024
    processes: int = 4096
    over_http: bool = False
    concurrency: int = 16
    queue: int = 32
    queue_ms: int = 2000
    each_concurrency: int = 8
    confine: Literal["off", "floor", "default", "strict", "bwrap"] = "off"
    confine_required: bool = True
    confine_read: tuple[str, ...] = ("/usr", "/etc", "/proc")
    confine_write: tuple[str, ...] = ()
    confine_connect: tuple[int, ...] = ()
    confine_escalate: float = 0.0
    serving: tuple[ServingConfig, ...] = ()


class HookConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[hooks]`: what harnesses that ask before each call are told.

    Args:
        ask: harnesses at which the person who sits there may decide what waits for a person: `claude-code` or
            `gemini-cli`; everywhere else such a call is denied until somebody has approved it.
        deadline_seconds: longest time for one answer, in seconds; then it is a denial. Harnesses let the call run when
            their own time is over, so this has to be well below it.
        idle_seconds: how long a guard that a hook has started stays without being asked, in seconds.
    """

    ask: tuple[Literal["claude-code", "gemini-cli"], ...] = ()
    deadline_seconds: float = 10.0
    idle_seconds: float = 900.0


class ConsoleConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[console]`: pages on which people look and answer, who sign in to the provider of `[review.oidc]`.

    Args:
        url: how a browser reaches the service, `https://guardrail.example.com`; `URL/console/callback` is what the
            provider has to send people back to. Plain `http` only for a loopback address.
        authorization: address of the provider that a browser signs in at, its `authorization_endpoint`.
        tokens: address of the provider where a code becomes a token, its `token_endpoint`.
        client_secret: what the service shows there, best given as `${ENV_NAME}`; empty for a public client, which is
            known by its code verifier alone.
        scopes: what is asked for besides `openid`.
        viewers: who may look, as their names stand in the token; `*` is everybody who can sign in.
        approvers: who may answer too, as far as the rules of `[review]` let them.
        admins: who may cancel an escalation and take back a grant as well.
        session_seconds: how long a sign-in is good for, in seconds.
    """

    url: str
    authorization: str
    tokens: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ("email",)
    viewers: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()
    session_seconds: int = 8 * 3600
