"""Files of the session's that tell a program what to do: a list, a configuration, a document that takes in others.

Not concerned with what the program makes of them: a path of something that is there, in such a text, is named to it.
That is asked of programs which are not known, and of those whose spec says that they `obey` their input.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from guardrail.effects.catalogue._spec import specs
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._own_files import named_files
from guardrail.effects.code._running import operands
from guardrail.effects.domain._addresses import stored_in
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import paths_in
from guardrail.effects.domain._values import Field
from guardrail.model import Effect
from guardrail.patterns import lazy

MAX_DESCRIPTIONS: Final = 32
"""Most files of the session's that are looked at for one command; what lies beyond is a question."""

MAX_NAMES: Final = 512
"""Most words of one of them that are looked for on the disk; what lies beyond is a question."""

_VALUE: Final = re.compile(r"(?:^|[=:,@])([^=:,@]+)")
_RUNNERS: Final = frozenset(("deno", "bun"))
"""Interpreters that run what the settings of a project name."""

_PROSE: Final = lazy(r"(?<!/CMakeLists)\.(?:md|rst|txt|adoc|log|csv|tsv|jsonl|out|err|patch|diff)$", re.IGNORECASE)
"""Texts that no program takes for its settings unless it is told to."""

_WRITERS: Final = frozenset("sphinx-build sphinx mkdocs mdbook hugo jekyll asciidoctor doxygen make gmake".split())
"""Programs that make a book of all texts below a directory, or that start one which does."""

_TAKES_IN: Final = lazy(
    r"^\s*(?:[`:~]{3,}\s*\{|\.\. [\w:-]+::|:\w+:)|--8<--|!\[[^\]]*\]\(|\{[%!{<]"
    r"|\b(?:include|image|download)::?|@include"
)
"""What stands in a line of a text that takes in a file."""


def note_described(call: Call, before: int) -> None:
    """Name to a command the files that stand in what it is told, where the session wrote that.

    Args:
        call: the command.
        before: how many effects there were when it began.
    """
    head = call.name.partition(" ")[0].rpartition("/")[2]
    spec = specs().get(head)
    obeys = spec.entry.obeys if spec is not None else ""
    if not (obeys or _is_unknown(call.shell.emit.effects[before:])):
        return
    # A module of Python is the program of that name.
    module = next((name.text for flag, name in itertools.pairwise(call.args) if flag.text == "-m"), head)
    writes = head in _WRITERS or (head.startswith("python") and module in _WRITERS)
    if obeys:
        for text in call.given_texts():
            call.mention_text(text)
    reads = interpreter_of(head) is not None and head not in _RUNNERS
    around = not reads or obeys == "folder" or head in _RUNNERS
    for count, path in enumerate(_told(call, around=around, texts=writes)):
        if count == MAX_DESCRIPTIONS:
            call.opaque("program", reason="more files of the session's than are looked at", attrs={"authored": True})
            return
        _name(call, path, reads=reads and not writes, writes=writes)
    # INVARIANT: where there are too many files of the session's to tell, any of them may be what it is told by.
    if (around or writes) and named_files(call) is None:
        call.opaque("program", reason="any file here may be the session's", attrs={"authored": True})


def _is_unknown(effects: Sequence[Effect]) -> bool:
    """A program ran that is not looked into."""
    for effect in effects:  # no generator: this is asked of every stage of a pipeline  # noqa: SIM110
        if effect.op == "exec_opaque" and effect.attrs.get("code") == "program":
            return True
    return False


def _told(call: Call, *, around: bool, texts: bool = False) -> Iterator[str]:
    """Files of the session's that the words name, those that lie where the command runs, and `texts` below that."""
    named = dict.fromkeys(path for field in call.args for path in _named(call, field))
    own = [path for path in named if call.shell.authored(path)]
    yield from (path for path in own if call.shell.view.kind(path) != "dir")
    tops = [path for path in named if call.shell.view.kind(path) == "dir"] if around else []
    here = (call.cwd or "").rstrip("/")
    home = call.shell.expand.lookup("HOME", call.state, {})[0].rstrip("/")
    wrote = named_files(call) if around or texts else None
    if wrote is None:
        return
    most = MAX_DESCRIPTIONS + len(own) + 1  # of each kind: more are not looked at
    found = {path for top in (here, *tops) for path in wrote.at(_settings_in, top)[:most]} if around else set[str]()
    for top in (here, home) if around else ():
        # A file of settings in a directory, by its name or that of the directory in which it lies.
        hidden = (path for path in wrote.beginning(f"{top}/.", _is_setting) if not path.startswith(f"{top}/.git/"))
        found.update(itertools.islice(hidden, most))
    found.update(wrote.below((here,), _is_prose)[:most] if texts else ())
    yield from (path for path in sorted(found) if path not in own)


def _settings_in(path: str) -> tuple[str, ...]:
    """Where a file lies that is no prose."""
    return (path.rpartition("/")[0],) if _is_setting(path) else ()


def _is_setting(path: str) -> bool:
    return _PROSE.search(path) is None


def _is_prose(path: str) -> bool:
    return _PROSE.search(path) is not None


def _named(call: Call, field: Field) -> Iterator[str]:
    """The files that a word may name, or the value in it."""
    if not field.known:
        return
    for text in dict.fromkeys((field.text, *_VALUE.findall(field.text))):
        path = call.place(Field(text=text)).path
        if path is not None:
            yield path


def _name(call: Call, path: str, *, reads: bool, writes: bool) -> None:
    texts = _texts(call, path)
    if _PROSE.search(path) is not None and writes:
        lines = (line for text in texts for line in text.splitlines() if _TAKES_IN.search(line) is not None)
        texts = [re.sub(r"[{}!%<>]", " ", line) for line in lines]
    tokens = [token for text in texts for token in dict.fromkeys(paths_in(text)) if "/" in token]
    found = [
        name for token in itertools.islice(tokens, MAX_NAMES) for name in _ways(path, token) if _is_there(call, name)
    ]
    if len(tokens) > MAX_NAMES:
        call.opaque("program", reason="more names in a file than are looked for", attrs={"authored": True})
    if reads:
        # A script that is not the session's may be handed an asset by its settings, as it may be by its words.
        operands(call, [Field(text=token) for token in found])
        return
    for token in found:
        call.name_text(token)
    for stored in (one for text in texts if "://" in text for one in stored_in(text)):
        call.emit("mention", stored, precision="opaque", may=True)


def _ways(path: str, token: str) -> tuple[str, ...]:
    """What a path in a text may mean: from where the program runs, or from where the text lies."""
    return (token,) if token.startswith(("/", "~")) else (token, f"{path.rpartition('/')[0]}/{token}")


def _texts(call: Call, path: str) -> list[str]:
    """What the file held when the command began, by which it may have been written since."""
    data = call.content(call.place(Field(text=path)))
    if data is not None:
        return [data.decode("utf-8", "replace")] if b"\0" not in data else []
    edits = [effect.edit for effect in call.shell.emit.effects if effect.edit and effect.resource.path == path]
    data = call.shell.view.read(path, call.shell.limits.script_bytes)
    before = [data.decode("utf-8", "replace")] if data is not None and b"\0" not in data else []
    return [*before, *(edit.text for edit in edits if edit.kind in ("whole", "append"))]


def _is_there(call: Call, token: str) -> bool:
    if any(char in token for char in "*?["):
        return True
    text = call.shell.expand.lookup("HOME", call.state, {})[0] + token[1:] if token.startswith("~/") else token
    path = call.place(Field(text=text)).path
    return path is not None and path.strip("/") != "" and call.shell.view.kind(path) is not None
