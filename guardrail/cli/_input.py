"""Files that a verb is given: their bytes, their text, and verifier keys as text or in a file."""

from __future__ import annotations

import os

from guardrail.errors import ConfigError


def read_bytes(path: str, most: int = -1) -> bytes:
    """The content of a file.

    Args:
        path: where it lies.
        most: how much is read of it, in bytes; -1 reads all.

    Raises:
        ConfigError: if it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise ConfigError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None


def read_text(path: str) -> str:
    """The text of a file, line ends as they are.

    Raises:
        ConfigError: if it cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read `{path}`: it is not text in UTF-8") from None


def vkeys(given: str) -> str:
    """Verifier keys, one a line: as they are given, or from the file that is named.

    Raises:
        ConfigError: if that file cannot be read.
    """
    if "+" in given and not os.path.exists(given):
        return given
    return read_text(given).strip()
