"""`guardrail admission`: put the guard into pods, for Kubernetes before 1.36."""

from __future__ import annotations

import argparse
import signal
import ssl
import sys
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import EXIT_ALLOW, EXIT_FAULT

if TYPE_CHECKING:
    import uvicorn

    from guardrail.service._injection import Sidecar

_DESCRIPTION: Final = """Answer AdmissionReviews of Kubernetes: put the guard into each new pod.

From Kubernetes 1.36 on a MutatingAdmissionPolicy does this without a server; the Helm chart takes what the cluster has.
One line on standard output says that it is ready. A certificate that is replaced is taken up within half a minute.
It only injects: that no pod runs without the guard is for the ValidatingAdmissionPolicy of the chart.
"""

MAX_CONNECTIONS: Final = 256
"""Most connections at one time; the server itself refuses further ones with 503, before anything is read."""

GRACE_SECONDS: Final = 5
"""How long answers under way may take when the server is told to stop, in seconds."""

RELOAD_SECONDS: Final = 30.0
"""How often the certificate is read again, in seconds."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "admission",
        help="put the guard into pods (Kubernetes before 1.36)",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument(
        "--sidecar", metavar="FILE", required=True, help="what goes into pods, as JSON; the chart writes it"
    )
    sub.add_argument("--tls-cert", metavar="FILE", required=True, help="certificate chain in PEM")
    sub.add_argument("--tls-key", metavar="FILE", required=True, help="its private key in PEM")
    sub.add_argument("--host", default="0.0.0.0", help="address to listen on; default 0.0.0.0")  # noqa: S104 - API servers ask from outside
    sub.add_argument("--port", type=int, default=8443, help="port to listen on, 0 for any free one; default 8443")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; see the module."""
    from guardrail.errors import ConfigError

    try:
        import uvicorn
    except ImportError as missing:
        raise ConfigError(f"`{missing.name}` is not installed: install `guardrail-runtime[service]`") from None
    from guardrail.service._admission import AdmissionApp
    from guardrail.service._peers import KnowingProtocol

    sidecar = _sidecar(args.sidecar)
    _certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), args)
    server = _server(
        uvicorn.Config(
            AdmissionApp(sidecar),
            http=KnowingProtocol,
            host=args.host,
            port=args.port,
            ssl_certfile=args.tls_cert,
            ssl_keyfile=args.tls_key,
            log_config=None,
            log_level="warning",  # our own line says that it is ready, and where
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        ),
        args,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        server.run()
    except SystemExit:
        pass  # the server ends by the signal that stopped it, or by a start that failed; `started` tells them apart
    return EXIT_ALLOW if server.started else EXIT_FAULT


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _sidecar(path: str) -> Sidecar:
    import msgspec

    from guardrail.errors import ConfigError
    from guardrail.service._injection import Sidecar

    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=Sidecar)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"`{path}` does not say what goes into pods: {error}") from None
    except OSError as error:
        raise ConfigError(f"`{path}` cannot be read: {error.strerror}") from None


def _certificate(context: ssl.SSLContext, args: argparse.Namespace) -> None:
    from guardrail.errors import ConfigError

    try:
        context.load_cert_chain(args.tls_cert, args.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"`{args.tls_cert}` and `{args.tls_key}` are not a certificate and its key: {error.strerror or error}"
        ) from None


def _server(config: uvicorn.Config, args: argparse.Namespace) -> uvicorn.Server:
    import asyncio

    import uvicorn

    from guardrail.errors import ConfigError

    class Server(uvicorn.Server):
        """Says when it is ready, and takes up a certificate that was replaced, for new connections."""

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                print(f"guardrail: ready for admission on port {port}", flush=True)
                self._renewing = asyncio.create_task(self._renew())

        async def _renew(self) -> None:
            while not self.should_exit:
                await asyncio.sleep(RELOAD_SECONDS)
                try:
                    # First apart: half a pair must not replace a whole one.
                    _certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), args)
                    if config.ssl is not None:
                        _certificate(config.ssl, args)
                except ConfigError as error:
                    # The one before goes on; a half-written pair is whole the next time.
                    print(f"guardrail: {error}", file=sys.stderr)

    return Server(config)
