"""Assets known by an address instead of a path: objects behind an API, services, processes, accounts.

An asset covers what lies below its address, as a directory does. Not concerned with whether the thing exists: no API is
asked anything while a call is judged, only `/proc` for the name behind a process number.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final

MIN_PROCESS_NAME: Final = 3
"""Shortest part of a process's name that is taken to mean it, in characters: `pkill -f ea` matches far too much."""

MIN_NAME: Final = 3
"""Shortest name of an asset that is looked for in addresses, in characters."""

_STORES: Final = ("s3", "gs", "az", "r2", "b2", "oss", "obs", "cos")
"""Schemes of stores in which a path begins with a bucket."""

_ASKED: Final = re.compile(
    r"https?://[\w.-]+(?::\d+)?(?:/[\w.-]+){0,4}"
    r"(?:/v\d\w*/models/[\w.-]+(?:/versions/\w+)?(?::(?:predict|classify|regress|explain)|/(?:infer|generate|generate_stream))"
    r"|/predictions/[\w.-]+(?:/\w+)?|/(?:engines|deployments|models)/[\w.-]+/(?:chat/completions|completions|embeddings))/?(?:\?api-version=[\w.-]+)?"
)
"""Where a server of models is asked for the answer of one that the address names, with nothing else in the address."""

_REGISTRY: Final = re.compile(
    r"https?://(?P<host>[^/]+)/v2/(?P<name>.+?)"
    r"(?:/manifests/(?P<tag>[^/:?]+)|/(?:manifests|blobs|tags|referrers)(?:/.*)?)?/?",
    re.IGNORECASE | re.DOTALL,
)
"""What a registry of images answers about one of them: the protocol of the OCI has its addresses begin so."""

_NAMED: Final = re.compile(r"[/:@,=\s]+")
_COMMON: Final = frozenset(
    "model models weights data latest main config default checkpoint checkpoints adapter adapters eval evals test "
    "http https file ssh git prod dev staging".split()
)
"""Names that say nothing about which thing is meant."""

MAX_COMMAND_LINE: Final = 4096
"""Most of a process's command line that is looked at, in bytes."""

MAX_ASKED: Final = 256
"""Longest address that is taken for one where a model is asked, in characters."""

MAX_COMPARED: Final = 5_000
"""Most addresses that a pattern is compared with; one that more could fit could be any."""


def asks_model(uri: str) -> bool:
    """Whether what is sent to an address is a question for the model that it names, and no work on it."""
    return len(uri) <= MAX_ASKED and _ASKED.fullmatch(uri) is not None


class Addresses:
    """Which asset an address belongs to; a look-up costs the depth of the address."""

    __slots__ = ("_below", "_called", "_inside", "_joined", "_lengths", "_names", "_processes", "_roots", "_schemes")

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._roots: dict[str, str] = {}
        self._below: dict[str, list[str]] = {}
        self._schemes: dict[str, list[str]] = {}
        self._inside: dict[str, list[str]] = {}
        self._called: dict[str, list[str]] = {}
        self._processes: list[str] = []
        self._joined = ""
        self._lengths: set[int] = set()

    def __len__(self) -> int:
        return len(self._roots)

    def add(self, uri: str, asset_id: str) -> None:
        """An asset lives at this address."""
        name = normal(uri)
        self._roots.setdefault(name, asset_id)
        scheme, _, rest = name.partition(":")
        self._schemes.setdefault(scheme, []).append(name)
        self._called.setdefault(rest.rpartition("/")[2], []).append(name)
        if scheme == "process":
            self._processes.append(rest)
            self._joined = ""
            self._lengths.add(len(rest))
        for parent in _parents(name):
            self._inside.setdefault(parent, []).append(name)
            below = self._below.setdefault(parent, [])
            if asset_id not in below[-1:]:
                below.append(asset_id)

        for image in _images(uri):
            if image != name and (scheme != "oci" or "@" in name):
                self.add(image, asset_id)  # a digest may be that of any tag; a tag is one of many

    def has(self, scheme: str) -> bool:
        """Whether any asset lives at an address of this scheme."""
        return scheme in self._schemes

    def name(self, name: str, asset_id: str) -> None:
        """An asset goes by this name, wherever it is."""
        if len(name) >= MIN_NAME and name.lower() not in _COMMON:
            self._names.setdefault(name.lower(), asset_id)

    def by_name(self, uri: str) -> str | None:
        """The asset that an address may mean because a part of it is what the asset is called; None if none is."""
        if not self._names:
            return None
        for part in _NAMED.split(uri.partition(":")[2].lower()):
            asset = self._names.get(part) or self._names.get(part.partition(".")[0])
            if asset is not None:
                return asset
        return None

    def alike(self, uri: str) -> str | None:
        """An asset that lies by the same path in some store or hub, where it is not known which one an address is of.

        A remote of rclone and an alias of mc are names for any store, an engine's image has the name of a registry's,
        and what has the name of a model at another hub is taken to be that model.
        """
        scheme, _, rest = uri.partition(":")
        rest = rest.lstrip("/")
        if scheme == "rclone":
            names = [f"{store}://{path}" for store in _STORES if (path := rest.partition(":")[2].strip("/"))]
        elif scheme == "mc":
            names = [f"{store}://{path}" for store in _STORES if (path := rest.partition("/")[2].strip("/"))]
        elif scheme == "docker":
            names = [f"oci:{rest.partition(':/')[0]}"]
        elif scheme == "modelscope":
            names = [f"hf://{rest}"]
        else:
            return None
        return next((asset for name in names for asset in self.find(name, downward=True)[0]), None)

    def find(self, uri: str, *, downward: bool) -> tuple[list[str], bool]:
        """The assets that an address means.

        Args:
            uri: the address; `*` stands for what is not known.
            downward: what lies below is meant too.

        Returns:
            Their ids, and whether the address could mean any asset of its kind.
        """
        found, anything = self._at(normal(uri), downward)
        for image in _images(uri):
            more, any_image = self._at(image, downward)
            found, anything = list(dict.fromkeys([*found, *more])), anything or any_image
        return found, anything

    def _at(self, name: str, downward: bool) -> tuple[list[str], bool]:
        scheme = scheme_of(name)
        if scheme == "name" and scheme not in self._schemes:
            return self._by_tail(name.partition(":")[2]), False
        if scheme == "called":
            return self._called_any(name.partition(":")[2]), False
        if scheme not in self._schemes:
            return [], False
        if scheme == "process":
            return self._by_process(name.partition(":")[2])
        if "*" in name:
            return self._matching(name, scheme)
        found = [self._roots[at] for at in (name, *_parents(name)) if at in self._roots][:1]
        found += self._below.get(name, []) if downward else []
        return list(dict.fromkeys(found)), False

    def _matching(self, pattern: str, scheme: str) -> tuple[list[str], bool]:
        rest = pattern.partition(":")[2].strip("/*")
        if not rest:
            return [], True
        head = pattern.partition("*")[0]
        # What the last place that is named for certain lies in, and what lies in it.
        place = head.rpartition("/")[0].rstrip("/")
        candidates = self._schemes[scheme]
        if place and not place.endswith(":"):
            above = [at for at in (head.rstrip("/"), *_parents(head)) if at in self._roots]
            candidates = list(dict.fromkeys([*above, *self._inside.get(place, ())]))
        if len(candidates) > MAX_COMPARED:
            return [], True
        found: list[str] = []
        for root in candidates:
            inside = head.startswith(root + "/")
            if inside or fnmatch.fnmatchcase(root, pattern) or fnmatch.fnmatchcase(root, pattern.rstrip("/*")):
                found.append(self._roots[root])
        return list(dict.fromkeys(found)), False

    def _called_any(self, names: str) -> list[str]:
        """The assets that any of some names may mean, wherever they are."""
        found = [asset for name in names.split(",") for asset in self._by_tail(name)]
        named = self.by_name(f"called:{names}")
        return list(dict.fromkeys([*found, *([named] if named is not None else [])]))

    def _by_tail(self, name: str) -> list[str]:
        """The assets that are called so elsewhere: `acme/beta`, or `beta.safetensors` on some host."""
        tail = f"/{name}"
        found = [
            self._roots[root]
            for root in self._called.get(name.rpartition("/")[2], ())
            if f"/{root.partition(':')[2].lstrip('/')}".endswith(tail)
        ]
        return list(dict.fromkeys(found))

    def _by_process(self, name: str) -> tuple[list[str], bool]:
        if not name.strip("*"):
            return [], True
        text = name.replace("*", "")
        number = name.lstrip("-").partition(" ")[0]
        if number.isdigit():
            text = _command_line(number)
        if not text:
            return [], False
        found: list[str] = []
        if not self._joined:
            # One text, so that one search finds a part of any name.
            self._joined = "\n" + "\n".join(self._processes) + "\n"
        at = self._joined.find(text) if len(text) >= MIN_PROCESS_NAME and "\n" not in text else -1
        while at >= 0:
            start = self._joined.rfind("\n", 0, at) + 1
            end = self._joined.find("\n", at)
            found.append(self._roots[f"process:{self._joined[start:end]}"])
            if len(found) > MAX_COMPARED:
                return list(dict.fromkeys(found)), True
            at = self._joined.find(text, end)
        # Names of process assets that stand in it: as many looks as there are lengths of names.
        for length in self._lengths:
            parts = (text[place : place + length] for place in range(len(text) - length + 1))
            found.extend(self._roots[name] for part in parts if (name := f"process:{part}") in self._roots)
        return list(dict.fromkeys(found)), False


_SPELLINGS: Final[Mapping[str, str]] = {"s3a": "s3", "s3n": "s3", "cosn": "cos"}
"""Schemes by which Hadoop and Spark know stores."""


def normal(uri: str) -> str:
    """An address with its scheme in lower case and no slash at the end."""
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.lower()
    scheme = _SPELLINGS.get(scheme, scheme)
    return f"{scheme}{colon}{rest.strip('/') if scheme == 'oci' else rest.rstrip('/')}"


def _images(uri: str) -> Iterator[str]:
    """The image that an address of a registry is about: with its tag if there is one, and of any."""
    head = uri[:4].lower()
    if head == "oci:":
        place, slash, last = normal(uri)[4:].rpartition("/")
        yield f"oci:{place}{slash}{last.partition('@')[0].partition(':')[0]}"
        return
    match = _REGISTRY.fullmatch(uri) if head == "http" and "/v2/" in uri else None
    if match is None:
        return
    yield f"oci:{match['host']}/{match['name']}"
    if match["tag"]:
        yield f"oci:{match['host']}/{match['name']}:{match['tag']}"


def scheme_of(uri: str) -> str:
    """What stands before the first colon."""
    return uri.partition(":")[0].lower()


def _parents(uri: str) -> Iterator[str]:
    """Every address that one lies below, the nearest first: `s3://b/x/y` lies in `s3://b/x` and in `s3://b`."""
    while "/" in uri:
        uri = uri.rpartition("/")[0].rstrip("/")
        if uri.endswith(":") or not uri:
            return
        yield uri


def is_this_process(name: str) -> bool:
    """Whether a signal reaches this process: to its number, `-` and that of its group, `-1` for all, or to its name.

    Whether a whole command line is meant, as for `pkill -f`, is not known: a word of it counts by how it begins, and
    any part that is more than a word.
    """
    if name.lstrip("-").isdecimal():
        return name == "-1" or name == str(os.getpid()) or name == f"-{os.getpgrp()}"
    if len(name) < MIN_PROCESS_NAME or "*" in name:
        return False
    line = _command_line(str(os.getpid()))
    words = (word.rpartition("/")[2] for word in line.split(" "))
    return any(word.startswith(name) for word in words) or (_COMPOSED.search(name) is not None and name in line)


_COMPOSED: Final = re.compile(r"[\s./]")


_INTERPRETERS: Final = re.compile(r"(?:python|pypy|node|bash|sh|dash|zsh|perl|ruby)[\d.]*")


def process_name(pid: str) -> str:
    """What runs as a process, by the name of its program or script; empty if that cannot be seen."""
    words = [word for word in _command_line(pid).split(" ") if word]
    names = [word.rpartition("/")[2] for word in words]
    if len(names) > 1 and _INTERPRETERS.fullmatch(names[0]):
        names = [name for word, name in zip(words[1:], names[1:], strict=True) if not word.startswith("-")]
    return names[0] if names else ""


def _command_line(pid: str) -> str:
    """What a process was started as; empty if there is none of that number, or it may not be looked at."""
    try:
        with open(f"/proc/{int(pid)}/cmdline", "rb") as file:
            return file.read(MAX_COMMAND_LINE).replace(b"\0", b" ").decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
