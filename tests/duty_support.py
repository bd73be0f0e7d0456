"""A model that has to go, and everything that somebody might do instead of deleting it."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Guard, ToolCall
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.mandates import Mandate, Word, give_word, public_text, sign
from guardrail.model import Subject
from guardrail.obligations import ObligationStatus
from guardrail.obligations._duty import Duty
from guardrail.obligations._events import Pinned
from guardrail.obligations.world._handles import Unanswered, handle_of, is_alive
from tests.identity_support import safetensors, weights

AGENT = Subject(id="ops-agent", model="acme/alpha")
DUTY = "retire/gone"


@functools.cache
def _shards() -> tuple[bytes, bytes]:
    """Two files of tensors, about 4 and 6 MB."""
    import tempfile

    tensors = weights(11, 3)
    names = list(tensors)
    with tempfile.TemporaryDirectory() as folder:
        first = safetensors(Path(folder, "a"), {names[0]: tensors[names[0]]})
        second = safetensors(Path(folder, "b"), {name: tensors[name][:1000] for name in names[1:]})
        return first.read_bytes(), second.read_bytes()


class Retirement:
    """A directory with a model that an order says has to go.

    Args:
        root: an empty directory.
        duty: more of the obligation.
        more: more of guardrail.toml, top-level tables.
        small: files of a few bytes, where what is in them does not matter.
        registered: the model is known by its content.
    """

    def __init__(
        self, root: Path, *, small: bool = True, registered: bool = False, more: str = "", **duty: Any
    ) -> None:
        self.root = root
        self.model = root / "models/beta"
        self.elsewhere = root / "elsewhere"
        self.away = root.with_name(f"{root.name}-away")
        for folder in (self.model, root / "orders", self.elsewhere, self.away):
            folder.mkdir(parents=True)
        # Of its own: a copy that another test keeps in memory is found as well.
        data = (os.urandom(5000), os.urandom(7000)) if small else _shards()
        self.shards = [self.model / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
        for path, content in zip(self.shards, data, strict=True):
            path.write_bytes(content)
        (self.model / "config.json").write_text('{"architectures": ["Beta"]}')
        self.key = Ed25519PrivateKey.generate()
        self.toml = root / "guardrail.toml"
        self.toml.write_text(
            '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models/beta"]\nmodel = "acme/beta"\n'
            f'[[person]]\nname = "dana"\nkey = "{public_text(self.key)}"\n'
            '[mandates]\ndirectory = "orders"\n[trail]\ndirectory = "trail"\ntimeout_seconds = 60\n'
            "[limits]\ndecision_ms = 60000\n"
            f'[obligations]\nroots = ["."]\n{more}'
        )
        self.duty = {"id": "gone", "effect": "delete", "asset": "model:beta", "quiet_seconds": 0, **duty}
        self.order()
        if registered:
            assert main(["assets", "register", "--config", str(self.toml)]) == 0

    def order(self, **changes: Any) -> Path:
        """Lay the order down, signed."""
        order = {
            "id": "retire",
            "issuer": "dana",
            "subject": "ops-*",
            "not_before": "2020-01-01T00:00:00Z",
            "not_after": "2120-01-01T00:00:00Z",
            "grants": [{"effects": ["delete"], "assets": ["model:beta"]}],
            "obligations": [self.duty],
        }
        path = self.root / "orders/retire.mandate.json"
        path.write_bytes(sign(Mandate.from_json(json.dumps(order | changes)), self.key))
        return path

    def guard(self, **options: Any) -> Guard:
        """A guard of this place, which looks at what is owed when a test says so and not by itself."""
        return Guard.open(self.toml, **({"attend": False} | options))

    def word(self, *, by: str = "dana", key: Ed25519PrivateKey | None = None, **changes: Any) -> Path:
        """A person says that the guard shall do it."""
        said = {"obligation": DUTY, "asset": "model:beta", "by": by, "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}
        path = self.root / "orders/gone.discharge.json"
        path.write_bytes(give_word(Word(**(said | changes)), key or self.key))
        return path

    def sh(self, command: str) -> None:
        """What somebody does, by whatever way."""
        subprocess.run(["bash", "-ec", command], cwd=self.root, check=True, capture_output=True, text=True)

    def bash(self, command: str, session: str = "s") -> ToolCall:
        """A shell command of the agent."""
        args = {"command": command}
        return ToolCall(tool="bash", args=args, cwd=str(self.root), session=session, subject=AGENT)

    def delete(self, guard: Guard) -> None:
        """The agent does what it was told."""
        guard.run(self.bash("rm -r models/beta"), lambda call: self.sh(str(call.args["command"])))

    def events(self) -> list[str]:
        """What the trail says of the duty, in order."""
        return [
            str(record["what"]["event"])
            for _, record in read_records(self.root / "trail")
            if record["kind"] == "obligation"
        ]


def only(statuses: tuple[ObligationStatus, ...]) -> ObligationStatus:
    """The one duty there is."""
    (status,) = statuses
    return status


def duty_of(guard: Guard, name: str = DUTY) -> Duty:
    """Everything that is known of a duty."""
    duty = guard.obligations.get(name)
    assert duty is not None
    return duty


def needs_handles(folder: Path) -> None:
    """Skip a test where the filesystem tells nothing of inodes by their handles, or the guard may not ask."""
    probe = folder / "probe"
    probe.touch()
    status = os.stat(probe)
    inode = f"{status.st_dev}:{status.st_ino}"
    try:
        is_alive(Pinned(path=str(probe), inode=inode, size=0, handle=handle_of(str(probe))))
    except Unanswered as error:
        pytest.skip(f"inodes cannot be asked for here: {error}")
