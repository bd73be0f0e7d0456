"""The names in the index of a repository of git, in the two forms that it usually has.

Not concerned with anything else that stands there.
"""

from __future__ import annotations

from typing import Final

_HEAD: Final = 12
_ENTRY: Final = 62
_EXTENDED: Final = 0x4000
_DIGEST: Final = 20


def index_names(data: bytes) -> list[bytes] | None:
    """All names of an index; None for a form that is not read.

    Args:
        data: the file.
    """
    version = int.from_bytes(data[4:8], "big")
    if data[:4] != b"DIRC" or version not in (2, 3):
        return None
    found: list[bytes] = []
    at = _HEAD
    for _ in range(int.from_bytes(data[8:12], "big")):
        flags = int.from_bytes(data[at + 60 : at + 62], "big")
        begin = at + _ENTRY + (2 if flags & _EXTENDED else 0)
        end = data.find(b"\0", begin)
        if end < 0:
            return None
        found.append(data[begin:end])
        # Entries are filled up to a multiple of eight bytes, with at least one that is zero.
        at += (end - at) // 8 * 8 + 8
    return found if _ends_plainly(data, at) else None


def _ends_plainly(data: bytes, at: int) -> bool:
    """Extensions follow up to a digest of SHA-1; none says that names are elsewhere, or that of directories."""
    while at + _DIGEST < len(data):
        if data[at : at + 4] in (b"link", b"sdir"):
            return False
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    return at + _DIGEST == len(data)
