"""Registered assets known by their content, from the moment that any are registered.

Not concerned with how content is compared: that is `identity`, which needs more packages and is not loaded before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from guardrail.assets._places import Place
from guardrail.errors import AnalysisFault, ConfigError

if TYPE_CHECKING:
    from guardrail.assets.identity._recognise import Recogniser


class Recognition:
    """Tells whose content a file has; nobody's, as long as there is no registry.

    Args:
        path: the registry, which may come later.

    Raises:
        ConfigError: if there is one that cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = str(path)
        self._recogniser: Recogniser | None = None
        self._closed = False
        if path.exists():
            self._recogniser = _opened(path)

    def refresh(self) -> None:
        """Take up the registry, if there is one by now; asked once for each call.

        Raises:
            AnalysisFault: if there is one that cannot be used.
        """
        if self._recogniser is not None or self._closed:
            return
        try:
            os.stat(self._name)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise AnalysisFault(f"the registry `{self._name}` cannot be reached: {error.strerror}") from None
        try:
            self._recogniser = _opened(self._path)
        except ConfigError as error:
            raise AnalysisFault(str(error)) from None

    def least(self) -> int | None:
        """Smallest file that may be told by its content, in bytes; None if none is."""
        return self._recogniser.least if self._recogniser is not None else None

    def asset_of(self, place: Place) -> str | None:
        """The registered asset that a file is a copy or a part of; None if it is nobody's as far as a look tells.

        Raises:
            AnalysisFault: if that cannot be told because the registry cannot be read.
        """
        found = self._recogniser if place.regular else None
        return found.asset_of(place.real, place) if found is not None else None

    def dates(self, asset_id: str) -> frozenset[int]:
        """The dates that the files of an asset had when they were registered, in nanoseconds; none if it is not.

        Raises:
            AnalysisFault: if that cannot be told because the registry cannot be read.
        """
        return self._recogniser.dates(asset_id) if self._recogniser is not None else frozenset()

    def digests(self, asset_id: str) -> dict[str, tuple[str, str]]:
        """Path of each registered file of an asset that has not changed since -> SHA-256 and BLAKE3 in hexadecimal.

        Raises:
            AnalysisFault: if that cannot be told because the registry cannot be read.
        """
        return self._recogniser.digests(asset_id) if self._recogniser is not None else {}

    def registered(self, asset_id: str) -> dict[str, str]:
        """Path of each file that was registered of an asset, whatever became of it -> its SHA-256 in hexadecimal.

        Raises:
            AnalysisFault: if that cannot be told because the registry cannot be read.
        """
        return self._recogniser.registered(asset_id) if self._recogniser is not None else {}

    def knows(self, asset_id: str) -> bool:
        """Whether an asset is known by its content.

        Raises:
            AnalysisFault: if that cannot be told because the registry cannot be read.
        """
        return bool(self.dates(asset_id))

    def held_by(self, path: str, asset_id: str) -> str:
        """Why a file is a copy of an asset or holds a part of it, in a sentence; empty if it is none. Reads the file.

        Raises:
            AnalysisFault: if that cannot be told because the registry cannot be read.
            OSError: if the file cannot be read.
        """
        return self._recogniser.held_by(path, asset_id) if self._recogniser is not None else ""

    def pieces_in(self, path: str, asset_id: str) -> dict[int, tuple[int, int]]:
        """How much of each registered file of an asset is in a file that `held_by` has read and found too little in.

        Returns:
            Registered file, by a number -> anchors in common, and how many would tell.

        Raises:
            AnalysisFault: if that cannot be told because the registry cannot be read.
            OSError: if the file cannot be read.
        """
        return self._recogniser.pieces_in(path, asset_id) if self._recogniser is not None else {}

    def is_unread(self, place: Place) -> bool:
        """A file that may hold an asset, which this process may not read: somebody else may be able to."""
        found = self._recogniser if place.regular else None
        if found is None or place.size < found.least:
            return False
        try:
            return not os.access(place.real, os.R_OK, effective_ids=True)
        except ValueError:
            return True

    def close(self) -> None:
        """Let go of the registry; whose a file is cannot be told any more."""
        self._closed = True
        if self._recogniser is not None:
            self._recogniser.close()


def _opened(path: Path) -> Recogniser:
    try:
        from guardrail.assets.identity._recognise import Recogniser
        from guardrail.assets.identity._registry import Registry
    except ImportError as error:
        text = f"assets are registered in `{path}`, and {error.name} is not installed"
        raise ConfigError(f"{text}: install `guardrail-runtime[identity]`") from None
    return Recogniser(Registry(path))
