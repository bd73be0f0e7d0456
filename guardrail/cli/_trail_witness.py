"""`guardrail audit witness`: cosign the checkpoints of other ledgers, so that none can rewrite itself unseen."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from guardrail.cli._input import vkeys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def add(actions: Any) -> None:
    """Add this action to `guardrail audit`."""
    witness = actions.add_parser(
        "witness",
        help="run a witness, which cosigns what it has seen of other trails",
        description="Serve C2SP tlog-witness: cosign a checkpoint of a ledger only if it is shown to continue the last"
        " one. Run it where those who own the trail cannot write.",
    )
    witness.add_argument("--name", required=True, metavar="NAME", help="name of the witness, such as witness.example/a")
    witness.add_argument("--key", required=True, metavar="FILE", help="its private key; made if it is not there")
    witness.add_argument("--state", required=True, metavar="FILE", help="what it has seen; made if it is not there")
    witness.add_argument(
        "--log", action="append", required=True, metavar="VKEY",
        help="verifier key of a ledger, as text or as a file that holds some; may be repeated",
    )  # fmt: skip
    witness.add_argument("--listen", default="127.0.0.1:8788", metavar="HOST:PORT", help="where (%(default)s)")
    witness.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop.

    Returns:
        0 when it was told to stop.

    Raises:
        ConfigError: if it cannot serve.
    """
    from guardrail.audit.witness import Witness, WitnessServer
    from guardrail.errors import ConfigError, TrailError

    host, _, port = args.listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"`{args.listen}` is no address such as `127.0.0.1:8788`")
    logs = [vkey for given in args.log for vkey in vkeys(given).split()]
    try:
        witness = Witness(args.name, _key(Path(args.key)), logs, Path(args.state))
        server = WitnessServer(witness, host.strip("[]"), int(port))
    except TrailError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"cannot listen on `{args.listen}`: {(error.strerror or str(error)).lower()}") from None
    print(f"{witness.vkey}\nlistening on {args.listen.rpartition(':')[0]}:{server.server_port}", flush=True)
    _serve(server)
    return 0


def _serve(server: Any) -> None:
    def stop(*_: int | FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # that is how it is told to stop
    finally:
        server.server_close()


def _key(path: Path) -> Ed25519PrivateKey:
    from guardrail.mandates import load_key, new_key

    if not path.exists():
        new_key(path)
    return load_key(path)
