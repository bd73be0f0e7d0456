"""Command specs: what each word of a command is, as data read from `specs/*.toml`.

Format, one `[[command]]` a family:
    names      the commands it is for; several words name a subcommand, which also takes its parents' options
    operands   one role for each operand; `read*` repeats, and takes all but those that stand after it
    defaults   operands to use when none is given, such as `.`
    options    `"-o --output" = "write"`: a role for the value; "" for a flag, `text?` for a value only after `=`;
               `|` stands between options that are not the same but take the same
    modes      `{ when = ["-e"], operands = [...], emits = [...], makes = [...], reveals = ... }`: other operands, more
               effects, other files that are made, or another output, with some options; the first that says so holds
    makes      files that what it reads goes into although no word names them: `{}.gz` beside each file it reads
               (also `{dir}`, `{name}`, `{stem}`), `x*` here, `d/` any name below, `@SCHEME:NAME` an address
    unless     options with which it makes none
    emits      effects that the command has whatever its words: `OP@SCHEME:NAME`, such as `schedule@cron:*`
    look       options with which it only looks, so that it has none of the `emits`; `--help` and `--version` always
    abbreviated  its subcommands may be cut short, as long as only one begins so
    transfer   what happens between `from` and `to`: copy, move or link
    remote     scheme of a `from` or `to` that is written `host:path`
    reveals    what its output tells of what it reads: content, some, digest, none
    digest     options that lower that to a digest
    recursive  options that make the operands recursive; `["always"]`
    stdin      "read" (when it names no file), "always", "none"
    output     "text" when its output does not depend on any file, such as `date`; "none" when no content is in it;
               "else" when content is in it only if nothing is written
    prints     the form of its output, `#` for digits or a like word: `#` of nproc; in a mode too
    stop       options end at the first operand (wrappers)
    numeric    `-5` is an option
    dashed     a regular expression: words with a dash that are no options, such as the signal `-KILL`
    single     long options start with one dash, of its subcommands too; a number may be glued to one
    bundled    a letter takes a value that it need not have only behind `=`, and more letters may follow it, as in
               programs written in Go; of its subcommands too
    obeys      what its input files say it does to other files, so that these are named to it: those that its words name
               (`words`), or also those that lie where it runs (`folder`); asked of what the session wrote alone
    raw        the words are not getopt's: the function takes them as they stand
    code       name of the function that knows the rest, see `_families`
    match      command -> effects it must give;  not_match  command -> effects it must not give; both are run when the
               entry was read, before the first answer that rests on it
Roles: text, read, uses, spent, list, write, append, create, mkdir, delete, truncate, times, security, mount, run,
shell, dir, into, below, stem, config, names, names0, opaque, mention, told; `from` and `to` for what may be here or at
an address, `from@SCHEME` and `to@SCHEME` for what is known by a name there; `url` is fetched, `post` is sent to;
`OP@SCHEME` is the operation OP on `SCHEME:word`.
Facts come from the manuals and `--help` texts of the commands, looked at in 2026-11.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from guardrail.errors import AnalysisFault
from guardrail.model import Op
from guardrail.patterns import lazy

ROLES: Final = frozenset(
    "text read uses spent list write append create mkdir delete truncate times security mount run shell dir into below "
    "stem config names names0 opaque mention told from to url post".split()
)
"""What a word may be.

`uses` is read but nothing of it comes out, such as a key; `spent` is read and then removed;
`into` is a directory that files are put into, `below` one below which anything may be written, `dir` one that names are
relative to; `names` is a file that lists further operands, one on a line, `names0` with a NUL after each;
`stem` is what the names of the files begin with that are written; `config` is a file that is read and
tells the command what else to work on; `told` is a parameter for what runs elsewhere or later, and may be a path.
"""

EFFECTFUL: Final = ROLES - {"text", "read", "uses", "names", "names0", "list", "dir", "mention", "told", "url", "from"}
"""Roles that do more than look."""

MAX_SPELLINGS: Final = 20
"""Most spellings of an option that the rest of its spec speaks of; more would be several options."""

_ADDRESSED = lazy(r"(?P<op>[a-z_]+)@(?P<scheme>[a-z][a-z0-9+.-]*)")
_EMITTED = lazy(r"(?P<op>[a-z_]+)@(?P<scheme>[a-z][a-z0-9+.-]*):(?P<name>.+)")
_OPS: Final = frozenset(get_args(Op))
_LOOKING: Final = frozenset(("from", "read", "list", "net_recv"))


def is_role(text: str) -> bool:
    """Whether a spec may say this of a word."""
    if text in ROLES:
        return True
    match = _ADDRESSED.fullmatch(text)
    return match is not None and (match["op"] in _OPS or match["op"] in ("from", "to"))


def addressed(role: str) -> tuple[str, str] | None:
    """Operation and scheme of a role `OP@SCHEME`; None for the others."""
    op, at, scheme = role.partition("@")
    return (op, scheme) if at else None


def _is_effectful(role: str) -> bool:
    return role in EFFECTFUL or ("@" in role and role.partition("@")[0] not in _LOOKING)


Reveals = Literal["content", "some", "digest", "none"]


class Mode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other operands when one of some options is given."""

    when: tuple[str, ...]
    operands: tuple[str, ...] | None = None
    emits: tuple[str, ...] = ()
    makes: tuple[str, ...] | None = None
    reveals: Reveals | None = None
    prints: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[command]]`, as written; the module's docstring says what each key means."""

    names: tuple[str, ...]
    operands: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    options: dict[str, str] = {}
    modes: tuple[Mode, ...] = ()
    emits: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    look: tuple[str, ...] = ()
    abbreviated: bool = False
    transfer: Literal["copy", "move", "link"] = "copy"
    remote: str = ""
    reveals: Reveals = "content"
    digest: tuple[str, ...] = ()
    recursive: tuple[str, ...] = ()
    stdin: Literal["read", "always", "none"] = "read"
    output: Literal["", "text", "none", "else"] = ""
    prints: str = ""
    stop: bool = False
    numeric: bool = False
    dashed: str = ""
    single: bool = False
    bundled: bool = False
    raw: bool = False
    obeys: Literal["", "words", "folder"] = ""
    code: str = ""
    match: tuple[tuple[str, ...], ...] = ()
    not_match: tuple[tuple[str, ...], ...] = ()


class Option(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One option: its first spelling, the roles of its values, and whether a value needs a `=`."""

    name: str
    roles: tuple[str, ...]
    attached: bool


class Spec:
    """A compiled entry.

    Args:
        entry: as read from the file.
    """

    __slots__ = (
        "always",
        "bundled",
        "children",
        "dashed",
        "deciding",
        "digest",
        "effectful",
        "entry",
        "longs",
        "look",
        "modes",
        "options",
        "recursive",
        "single",
        "transfers",
        "unless",
    )

    def __init__(self, entry: Entry, parent: Spec | None = None) -> None:
        self.entry = entry
        self.single: bool = entry.single or (parent is not None and parent.single)
        self.bundled: bool = entry.bundled or (parent is not None and parent.bundled)
        self.options: dict[str, Option] = {}
        self.children: dict[str, str] = {}  # word -> name of the subcommand's own spec
        self.dashed = lazy(entry.dashed) if entry.dashed else None
        for names, value in _option_groups(entry):
            attached = value.endswith("?")
            roles = tuple(value.rstrip("?").split())
            if (
                not all(is_role(role) for role in roles)
                or not names
                or not all(name.startswith(("-", "+")) for name in names)
            ):
                raise ValueError(f"spec of `{entry.names[0]}`: option `{' '.join(names)}` = `{value}`")
            for name in names:
                if name in self.options:
                    raise ValueError(f"spec of `{entry.names[0]}`: option `{name}` stands twice")
                self.options[name] = Option(name=names[0], roles=roles, attached=attached)
        for name, option in parent.options.items() if parent is not None else ():
            self.options.setdefault(name, option)
        every_operand = (*entry.operands, *(o for mode in entry.modes for o in mode.operands or ()))
        _check_words(entry, self.options)
        self.longs = tuple(name for name in self.options if name.startswith("--"))
        every = {role for option in self.options.values() for role in option.roles}
        modes = {operand.rstrip("*") for mode in entry.modes for operand in mode.operands or ()}
        # What an operand of which nothing is known could turn out to be, if it is an option.
        self.effectful = tuple(sorted(role for role in every | modes if _is_effectful(role)))
        said = {*every, *(operand.rstrip("*") for operand in every_operand)}
        # What every command line is asked for, worked out once.
        self.digest = self.canonical(entry.digest)
        self.recursive = self.canonical(entry.recursive)
        self.always = "always" in entry.recursive
        self.unless = self.canonical(entry.unless)
        self.look = self.canonical(entry.look) | {"--help", "--version"}
        self.modes = tuple((self.canonical(mode.when), mode) for mode in entry.modes)
        self.deciding = frozenset(name for when, _ in self.modes for name in when)
        self.transfers = any(role.partition("@")[0] in ("from", "to") for role in said)

    def long(self, name: str) -> Option | None:
        """A long option; GNU commands take any unambiguous prefix."""
        found = self.options.get(name)
        if found is not None:
            return found
        candidates = {self.options[long].name: self.options[long] for long in self.longs if long.startswith(name)}
        return next(iter(candidates.values())) if len(candidates) == 1 else None

    def canonical(self, names: Sequence[str]) -> frozenset[str]:
        """The first spellings of some options."""
        return frozenset(self.options[name].name if name in self.options else name for name in names)


def _option_groups(entry: Entry) -> Iterator[tuple[list[str], str]]:
    """Spellings of each option, and its value.

    Options with a meaning of their own are not thrown together with others.
    """
    said = {*entry.digest, *entry.recursive, *entry.unless, *(name for mode in entry.modes for name in mode.when)}
    for key, value in entry.options.items():
        for group in key.split("|"):
            names = group.split()
            if len(names) > MAX_SPELLINGS and not said.isdisjoint(names):
                name = said.intersection(names).pop()
                raise ValueError(f"spec of `{entry.names[0]}`: `{name}` has too many spellings")
            yield names, value


def _check_words(entry: Entry, options: Container[str]) -> None:
    """Everything that a spec says of operands, effects and options is something there is."""
    every_operand = (*entry.operands, *(o for mode in entry.modes for o in mode.operands or ()))
    for operand in every_operand:
        if not is_role(operand.rstrip("*")):
            raise ValueError(f"spec of `{entry.names[0]}`: operand `{operand}`")
    for emitted in (*entry.emits, *(e for mode in entry.modes for e in mode.emits)):
        match = _EMITTED.fullmatch(emitted)
        if match is None or match["op"] not in _OPS:
            raise ValueError(f"spec of `{entry.names[0]}`: effect `{emitted}`")
    named = (*entry.digest, *entry.recursive, *entry.unless, *entry.look)
    for name in (*named, *(word for mode in entry.modes for word in mode.when)):
        if name not in options and name != "always":
            raise ValueError(f"spec of `{entry.names[0]}`: `{name}` is not among its options")


class _SpecFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: tuple[Entry, ...]


# INVARIANT: msgspec works a type out when it is first used, and the process crashes if two threads do that at once;
# while a module is imported there is one.
msgspec.json.Decoder(_SpecFile)


class Catalogue(Mapping[str, Spec]):
    """Every command's spec by name, each read from its file's text when it is first asked for.

    `unproven` lists what was read and whose examples have not been run; `condemned` says of each name whose examples do
    not hold what is wrong.

    Args:
        files: name and text of each specs file.

    Raises:
        ValueError: if two entries are for one name, or a subcommand's command has none.
    """

    def __init__(self, files: Iterable[tuple[str, str]]) -> None:
        self._sources: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._specs: dict[str, Spec] = {}
        self.unproven: list[Entry] = []
        self.condemned: dict[str, str] = {}
        self._groups: dict[str, dict[str, str]] = {}
        for file, text in files:
            for piece in _PIECES.split(text)[1:]:
                names = _NAMES.search(piece)
                for name in _QUOTED.findall(names[1]) if names else ():
                    if name in self._sources:
                        raise ValueError(f"spec of `{name}` stands twice")
                    self._sources[name] = piece
                    self._files[name] = file
        for name in self._sources:
            head, blank, word = name.rpartition(" ")
            if not blank:
                continue
            if head not in self._sources:
                raise ValueError(f"spec of `{name}`: there is none of `{head}`")
            self._groups.setdefault(head, {})[word] = name

    def __getitem__(self, name: str) -> Spec:
        found = self._specs.get(name)
        return found if found is not None else self._load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def get(self, name: str, default: Any = None) -> Any:
        """The spec of that name."""
        found = self._specs.get(name)
        if found is not None:
            return found
        return self._load(name) if name in self._sources else default

    def file_of(self, name: str) -> str:
        """The specs file that a command stands in."""
        return self._files[name]

    def condemn(self, entry: Entry, why: str) -> None:
        """Its examples do not hold: from now on it cannot be had."""
        sentence = f"the spec of `{entry.names[0]}` does not do what its examples say: {why}"
        for name in entry.names:
            self.condemned[name] = sentence
            self._specs.pop(name, None)

    def _load(self, name: str) -> Spec:
        if name in self.condemned:
            raise AnalysisFault(self.condemned[name])
        (entry,) = msgspec.toml.decode(_HEADER + self._sources[name], type=_SpecFile).command
        head = name.rpartition(" ")[0]
        spec = Spec(entry, self[head] if head else None)
        for other in entry.names:
            # Names under another command take other options from it.
            if other.rpartition(" ")[0] == head:
                self._specs[other] = spec
                spec.children.update(self._groups.get(other, {}))
        self.unproven.append(entry)
        return spec


_HEADER: Final = "[[command]]\n"
_PIECES = lazy(r"^\[\[command\]\]\n", re.MULTILINE)
_NAMES = lazy(r"^names = \[(.*?)\]", re.MULTILINE | re.DOTALL)
_QUOTED = lazy(r'"([^"]*)"')


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of every specs file."""
    folder = importlib.resources.files("guardrail.effects.catalogue").joinpath("specs")
    for file in sorted(folder.iterdir(), key=_name):
        if file.name.endswith(".toml"):
            yield file.name, file.read_text(encoding="utf-8")


@functools.cache
def specs() -> Catalogue:
    """Every command's spec by name.

    Raises:
        ValueError: if a command has two.
    """
    return Catalogue(texts())


def _name(file: Any) -> str:
    return str(file.name)
