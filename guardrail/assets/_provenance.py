"""What a session was shown of an asset and now writes or sends: found by its bytes, whatever they are dressed in.

Not concerned with flow inside one call, which analysis follows by itself. Blind spots: content that was encrypted or
retold in other words is not found, nor what is told in pieces of less than 8 bytes in as many calls, and of a large
file only the bounds below are searched. Pieces of less than 48 bytes add up, for each session, while the guard runs.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.assets._disguise import disguised, readable
from guardrail.assets._inventory import Inventory
from guardrail.assets._masked import Masked
from guardrail.assets._pieces import short_pieces
from guardrail.model import Effect, Origin, Resource
from guardrail.parse import strings

MIN_TRACE_BYTES: Final = 48
"""Shortest run of bytes of an asset that counts as a piece of it, in bytes."""

MIN_DISTINCT: Final = 4
"""Fewest different bytes in such a run: a run of zeros stands in any file."""

MAX_TRACE_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of one asset that are searched for one decision."""

MAX_PLAIN_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of one asset that are searched for readable text, which weights hold at their beginning if anywhere."""

MAX_TRACE_SECONDS: Final = 0.06
"""Longest search for one decision, in seconds."""

MAX_TRACE_CHARS: Final = 64 * 1024
"""Longest text that is looked at as a whole, in characters; of a longer one half as much at either end."""

MAX_PROBES: Final = 192
"""Most windows that are searched for in each byte of an asset."""

MAX_TRACE_FILES: Final = 256
"""Most files of one asset that are searched for one decision."""

MIN_ENCODED_CHARS: Final = 256
"""Text without blanks of an encoding's alphabet that is at least as long, in characters, is held where no search could
say what it is."""

MAX_PIECES_SECONDS: Final = 0.03
"""Longest search for short pieces, in seconds, and no longer than the whole may take."""

MAX_NEAR_BYTES: Final = 512 * 1024
"""Most bytes at the beginning of a file that are searched for short pieces, and for bytes under a mask."""

MAX_PIECES_CHARS: Final = 16 * 1024
"""Most characters of a text in which short pieces are looked for."""

MAX_TOLD: Final = 4096
"""Most sessions and assets of which short pieces are remembered."""

_PROBE: Final = 32
_PLAIN_PROBES: Final = 8
_HIDDEN_PROBES: Final = 3
_CHUNK: Final = 1024 * 1024

_SINKS: Final = frozenset(
    "write append create net_send net_recv remote_exec exec_opaque set_key record_score schedule service".split()
)
"""Operations by which text leaves the conversation; a request may carry it in the address."""

_DOCUMENT = re.compile(
    r"(?:license|licence|readme|notice|copying|authors|changelog)[^/]*|.*\.(?:md|rst|index\.json)", re.IGNORECASE
)
"""Files beside weights whose text stands in many other places."""

_SETTINGS: Final = frozenset(
    "config.json generation_config.json tokenizer_config.json special_tokens_map.json preprocessor_config.json "
    "processor_config.json chat_template.jinja chat_template.json adapter_config.json added_tokens.json "
    "tokenizer.json tokenizer.model vocab.json vocab.txt merges.txt spiece.model sentencepiece.bpe.model "
    "trainer_state.json .gitattributes".split()
)
"""Files beside weights that say how to use them, by the names that hubs give them; models share tokenizers."""

_ENCODED: Final = re.compile(
    rf"[A-Za-z0-9+/_=-]{{{MIN_ENCODED_CHARS},}}"
    rf"|(?:[A-Za-z0-9+/_=-]{{40,}}+(?>(?:\\n|[\s\"',+])*)){{{-(-MIN_ENCODED_CHARS // 40)},}}"
    r"|(?:\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}){64,}"
)
"""Runs of an encoding's alphabet, broken by line ends and quotes at most; possessive, so that time is linear."""


def is_beside_weights(path: str) -> bool:
    """Whether a file of a model is by its name about the weights, and holds none of them.

    Args:
        path: absolute, with all links resolved: a link of such a name does not make weights a document.
    """
    name = path.rpartition("/")[2]
    return name in _SETTINGS or _DOCUMENT.fullmatch(name) is not None


class Provenance:
    """Finds pieces of assets in what a call carries.

    Args:
        inventory: where the files of assets are known.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._told: dict[tuple[str, str], dict[bytes, None]] = {}

    def trace(
        self, args: Mapping[str, Any], effects: Sequence[Effect], seen: Mapping[str, Sequence[str]], session: str = ""
    ) -> tuple[Effect, ...]:
        """Add the copies that a call makes of what its session was shown.

        Args:
            args: the call's arguments, in which anything it writes or sends must stand.
            effects: what the call would do, resolved.
            seen: asset -> the files of it whose content the session was shown.
            session: whose call it is; short pieces that it carries add up.

        Returns:
            The effects, with a `copy` of an asset to each place that its content goes to; with a `mention` where it
            could not be told and the text looks like something encoded.
        """
        if not seen:
            return tuple(effects)
        sinks = [effect for effect in effects if effect.op in _SINKS or _hands_on(effect)]
        texts = _texts(args) if sinks else []
        if not texts:
            return tuple(effects)
        found = list(effects)
        deadline = time.monotonic() + MAX_TRACE_SECONDS
        probes = _Probes(texts, deadline)
        short = [piece for text in texts for piece in short_pieces(text[:MAX_PIECES_CHARS])]
        for asset, paths in seen.items():
            search = _Search(self._inventory, asset, paths, deadline)
            place = search.find(probes)
            if place is None and short:
                place = self._add_up(session, asset, search.find_short(short))
            if place is not None:
                found.extend(_copy(asset, place, sink) for sink in sinks if sink.resource.asset != asset)
            elif (search.stopped or probes.cut) and any(_looks_encoded(text) for text in texts):
                found.append(_mention(asset, paths))
        return tuple(found)

    def _add_up(self, session: str, asset: str, found: Mapping[bytes, str]) -> str | None:
        """Remember short pieces; where one of them stands, once they are as much as a piece that counts."""
        if not found:
            return None
        told = self._told.pop((session, asset), {})
        if len(self._told) >= MAX_TOLD:
            self._told.pop(next(iter(self._told)), None)
        if sum(map(len, told)) < MIN_TRACE_BYTES:
            told.update(dict.fromkeys(found))
        self._told[session, asset] = told
        return next(iter(found.values())) if sum(map(len, told)) >= MIN_TRACE_BYTES else None


class _Probes:
    """Windows of what a call carries: those of readable text, and those of what it was decoded to."""

    def __init__(self, texts: Sequence[str], deadline: float) -> None:
        self.plain: dict[bytes, tuple[bytes, int]] = {}
        self.hidden: dict[bytes, tuple[bytes, int]] = {}
        self.masked: list[bytes] = []
        self.cut = False
        left = 2 * MAX_TRACE_CHARS
        for text in texts:
            left -= min(len(text), MAX_TRACE_CHARS)
            if left < 0 or time.monotonic() > deadline:
                self.cut = True
                break
            if len(text) > MAX_TRACE_CHARS:
                self.cut = True
                text = text[: MAX_TRACE_CHARS // 2] + "\n" + text[-MAX_TRACE_CHARS // 2 :]
            for data in disguised(text):
                if len(data) >= MIN_TRACE_BYTES:
                    if readable(data):
                        self._add(self.plain, data, _PLAIN_PROBES)
                    else:
                        self._add(self.hidden, data, _HIDDEN_PROBES)
                        self.masked.append(data)

    def _add(self, probes: dict[bytes, tuple[bytes, int]], data: bytes, count: int) -> None:
        if len(probes) >= MAX_PROBES:
            self.cut = True
            return
        last = len(data) - _PROBE
        step = max(last // (count - 1), 1)
        for start in dict.fromkeys((*range(0, last, step), last)):
            window = data[start : start + _PROBE]
            if len(set(window)) >= MIN_DISTINCT:
                probes.setdefault(window, (data, start))


class _Search:
    """One search of the files of one asset; `stopped` if a bound kept it from seeing all of them."""

    def __init__(self, inventory: Inventory, asset: str, paths: Sequence[str], deadline: float) -> None:
        self._files = list(_files(inventory, asset, paths))
        self._deadline = deadline
        self.stopped = not self._files or len(self._files) > MAX_TRACE_FILES

    def find(self, probes: _Probes) -> str | None:
        """The file that holds a piece of what is carried; None if none was found."""
        left, plain_left = MAX_TRACE_BYTES, MAX_PLAIN_BYTES
        for path in self._files[:MAX_TRACE_FILES]:
            try:
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    first = _after_header(file, path, size)
                    document = _DOCUMENT.fullmatch(path.rpartition("/")[2]) is not None
                    for offset, data in _chunks(file, size, min(left, size)):
                        wanted = [probes.hidden]
                        if plain_left > 0 and not document and offset + len(data) > first:
                            wanted.append(probes.plain)
                        for kind in wanted:
                            skip = max(first - offset, 0) if kind is probes.plain else 0
                            for window, place in kind.items():
                                if _holds(data, window, place, skip):
                                    return path
                                if time.monotonic() > self._deadline:
                                    self.stopped = True
                                    return None
                        plain_left -= len(data)
                    self.stopped = self.stopped or size > left
                    left -= min(left, size)
            except OSError:
                self.stopped = True
        return self._find_masked(probes)

    def _find_masked(self, probes: _Probes) -> str | None:
        """The same for bytes that each were changed by the same mask."""
        masked = Masked(probes.masked)
        for path in self._files[:MAX_TRACE_FILES] if masked else ():
            for data in self._near(path, self._deadline):
                if masked.stand_in(data):
                    return path
        return None

    def find_short(self, pieces: Sequence[bytes]) -> dict[bytes, str]:
        """The short pieces that stand near the beginning of a file, each with that."""
        deadline = min(self._deadline, time.monotonic() + MAX_PIECES_SECONDS)
        found: dict[bytes, str] = {}
        for path in self._files[:MAX_TRACE_FILES]:
            for data in self._near(path, deadline):
                found.update((piece, path) for piece in pieces if piece not in found and piece in data)
        return found

    def _near(self, path: str, deadline: float) -> Iterator[bytes]:
        """The first parts of a file, as long as there is time."""
        try:
            with open(path, "rb") as file:
                size = min(os.fstat(file.fileno()).st_size, MAX_NEAR_BYTES)
                first = _after_header(file, path, os.fstat(file.fileno()).st_size)
                for offset, data in _chunks(file, size, size):
                    if time.monotonic() > deadline:
                        self.stopped = True
                        return
                    yield data[max(first - offset, 0) :]
        except OSError:
            self.stopped = True


def _holds(data: bytes, window: bytes, place: tuple[bytes, int], skip: int) -> bool:
    """Whether a piece of the carried bytes that is long enough stands in a chunk."""
    carried, start = place
    at = data.find(window, skip)
    while at >= 0:
        before, after = start, start + len(window)
        left, right = at, at + len(window)
        while before > 0 and left > skip and carried[before - 1] == data[left - 1]:
            before, left = before - 1, left - 1
        while after < len(carried) and right < len(data) and carried[after] == data[right]:
            after, right = after + 1, right + 1
            if after - before >= MIN_TRACE_BYTES:
                return True
        if after - before >= MIN_TRACE_BYTES:
            return True
        at = data.find(window, at + 1)
    return False


def _files(inventory: Inventory, asset: str, paths: Sequence[str]) -> Iterator[str]:
    """The files that a session was shown; all of the asset where that is not known."""
    known: set[str] = set()
    for path in paths:
        for name in inventory.files_of(asset, path):
            if name not in known:
                known.add(name)
                yield name
            if len(known) > MAX_TRACE_FILES:
                return


def _chunks(file: Any, size: int, limit: int) -> Iterator[tuple[int, bytes]]:
    """Overlapping pieces of a file: most of the limit from its beginning, the rest from its end."""
    head = limit if limit >= size else limit - limit // 4
    for start, end in ((0, head), (max(size - (limit - head), head), size)):
        while start < end:
            file.seek(start)
            data = file.read(min(_CHUNK + MIN_TRACE_BYTES, size - start))
            if not data:
                return
            yield start, data
            start += _CHUNK


def _after_header(file: Any, path: str, size: int) -> int:
    """Where the tensors of a safetensors file begin: their names and shapes are text that describes many models."""
    if not path.endswith(".safetensors"):
        return 0
    length = int.from_bytes(file.read(8), "little")
    return 8 + length if length < size - 8 and file.read(1) == b"{" else 0


def _texts(args: Mapping[str, Any]) -> list[str]:
    """Every text in the arguments that is long enough, and all of them in one: pieces may stand side by side."""
    texts = list(strings(args))
    long = [text for text in texts if len(text) >= MIN_TRACE_BYTES]
    whole = "".join(texts)
    return [*long, whole] if len(texts) > 1 and len(whole) >= MIN_TRACE_BYTES and long != [whole] else long


def _hands_on(effect: Effect) -> bool:
    """Another agent is told something, which has a session of its own; or the text is in the new name of something."""
    told = effect.op == "exec" and (effect.resource.uri or "").startswith("agent:")
    return told or (effect.op == "rename" and effect.target is not None)


def _looks_encoded(text: str) -> bool:
    return any(len(set(match[0])) >= 12 for match in _ENCODED.finditer(text))


def _copy(asset: str, path: str, sink: Effect) -> Effect:
    target = sink.target or sink.resource
    source = Resource(kind="file", path=path, real=path, asset=asset)
    return Effect(op="copy", resource=source, target=target, origin=Origin(spec="provenance"), flow=("session",))


def _mention(asset: str, paths: Sequence[str]) -> Effect:
    path = next((path for path in paths if path), None)
    named = Resource(kind="file", path=path, real=path, asset=asset) if path else Resource(kind="object", asset=asset)
    return msgspec.structs.replace(
        Effect(op="mention", resource=named, modality="may", precision="opaque"),
        attrs={"reason": "encoded text that could not be told from what the session was shown"},
        origin=Origin(spec="provenance"),
        flow=("session",),
    )
