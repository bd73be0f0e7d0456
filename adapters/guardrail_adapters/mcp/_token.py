"""The relay's own token for the server behind it: one that stays, or that of a file, which something else renews.

Not concerned with how a token is got: whatever signs in (a secret's agent, an OAuth client) writes it there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from guardrail import ConfigError

MAX_TOKEN_BYTES: Final = 16 * 1024
"""Largest file with a token, in bytes."""

_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What a token is made of (RFC 6750, section 2.1), so that nothing in it ends a header."""


class OwnToken:
    """A token.

    Args:
        text: the token; empty if there is none, or a file has it.
        file: a file with nothing but the token; read for each request, because a token ends within the hour.

    Raises:
        ConfigError: if the file has no token.
    """

    def __init__(self, text: str = "", file: Path | None = None) -> None:
        self._text = text
        self._file = file
        self.now()

    def now(self) -> str:
        """The token of this moment; empty if there is none.

        Raises:
            ConfigError: if the file has no token.
        """
        if self._file is None:
            return self._text
        try:
            with self._file.open("rb") as opened:
                text = opened.read(MAX_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "not plain ASCII"
            raise ConfigError(f"the token in `{self._file}` cannot be read: {why.lower()}") from None
        if not _BEARER.fullmatch(text):
            raise ConfigError(f"`{self._file}` has no token: write it there, and nothing else")
        return text
