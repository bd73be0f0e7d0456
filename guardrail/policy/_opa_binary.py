"""The `opa` binary, which builds policies and tests them; no decision needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from guardrail.errors import ConfigError

OPA_VERSION: Final = "1.21.1"
"""The OPA that builds the policy that ships."""

OPA_SECONDS: Final = 120
"""Longest run of one `opa` command, in seconds."""

HOW_TO_GET_OPA: Final = (
    f"install it with `GOBIN=$PWD/.tools/bin go install github.com/open-policy-agent/opa@v{OPA_VERSION}`,"
    " put it on PATH, or name it in GUARDRAIL_OPA"
)


class Opa:
    """An `opa` binary.

    Args:
        path: the binary.
    """

    def __init__(self, path: str) -> None:
        self.path: Final = path

    @classmethod
    def find(cls) -> Opa:
        """The binary that GUARDRAIL_OPA names, else `.tools/bin/opa` in the working directory, else one on PATH.

        Raises:
            ConfigError: if there is none.
        """
        named = os.environ.get("GUARDRAIL_OPA", "")
        local = Path(".tools", "bin", "opa").absolute()
        path = named or (str(local) if local.is_file() else shutil.which("opa"))
        if not path or not os.access(path, os.X_OK):
            raise ConfigError(f"no `opa` binary{f' at `{named}`' if named else ''}: {HOW_TO_GET_OPA}")
        return cls(os.path.abspath(path))

    def run(self, *arguments: str, cwd: Path) -> str:
        """Run one command and return what it wrote to stdout.

        Raises:
            ConfigError: if it fails or takes too long; the message has what OPA says.
        """
        done = self.attempt(*arguments, cwd=cwd)
        if done.returncode:
            said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
            mend = ": run `opa fmt --write` on it" if arguments[0] == "fmt" else ""
            raise ConfigError(f"`opa {arguments[0]}` says: {said}{mend}")
        return done.stdout.decode("utf-8")

    def attempt(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
        """Run one command, which may fail.

        Raises:
            ConfigError: if it cannot be run, or takes too long.
        """
        command = [self.path, *arguments]
        try:
            return subprocess.run(command, cwd=cwd, capture_output=True, timeout=OPA_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"`opa {arguments[0]}` could not be run: {error}") from None

    @property
    def version(self) -> str:
        """Such as `1.21.1`."""
        for line in self.run("version", cwd=Path.cwd()).splitlines():
            if line.startswith("Version:"):
                return line.partition(":")[2].strip()
        raise ConfigError(f"`{self.path}` does not say its version, so it is no OPA")
