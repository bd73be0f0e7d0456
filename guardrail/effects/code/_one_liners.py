"""`perl -i -pe` and `ruby -i -pe` whose program is a row of substitutions: edits of files, and no code to hold.

Not concerned with any other program of theirs: the answer is then None, and the interpreter is opaque.
"""

from __future__ import annotations

from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._values import NOTHING, Field, Stream, merge
from guardrail.effects.keys._lines import Foreign, Step, perl_steps, ruby_steps, run_perl
from guardrail.effects.keys._regex import Unclear
from guardrail.model import Edit, Resource
from guardrail.patterns import lazy

# Behind `i` all that is left of the word is the suffix.
_FLAGS: Final = lazy(r"-(?P<prints>[pw]*)(?:i(?P<suffix>\S*)|(?P<code>e?))")
_LOADING: Final = lazy(
    r"PERL\w*|RUBY(?:OPT|LIB|SHELL|GEMS\w*)|(?:GEM|BUNDLE|LUA|R|ERL|ERLANG|ELIXIR|BUN|DENO|PHP)_\w+|PHPRC"
    r"|NODE_(?!ENV|NO_WARNINGS)\w+|JULIA_(?!NUM_THREADS)\w+|VIM|VIMINIT|VIMRUNTIME|EXINIT|MYVIMRC"
)
_READERS: Final = {"perl": perl_steps, "ruby": ruby_steps}


def one_liner(call: Call) -> Stream | None:
    """The effects of a program of substitutions, applied line by line; None for any other."""
    read = _READERS.get(call.name)
    if read is None or starts_otherwise(call):
        return None
    options = _Options()
    if not options.read(call.args) or not options.prints or options.code is None:
        return None
    try:
        steps = read(options.code)
    except Foreign:
        return None
    unsure = options.suffix is not None and any(field.many or not field.known for field in options.files)
    return _edit(call, options, None if unsure else steps)


def starts_otherwise(call: Call) -> bool:
    """A variable was set that may say what an interpreter loads or runs at its start."""
    return any(map(_LOADING.fullmatch, call.state.vars))


class _Options:
    """The words of one command."""

    def __init__(self) -> None:
        self.prints = False
        self.suffix: str | None = None  # None if it does not edit in place
        self.code: str | None = None
        self.files: list[Field] = []

    def read(self, args: tuple[Field, ...]) -> bool:
        """Whether all of them are understood."""
        words = list(args)
        codes: list[str] = []
        while words:
            field = words.pop(0)
            text = field.text
            if text[:1] != "-" or text == "-":
                self.files = [field, *words]
                break
            if text == "--":
                self.files = words
                break
            match = _FLAGS.fullmatch(text)
            if match is None or not field.known:
                return False
            self.prints = self.prints or "p" in match["prints"]
            if match["suffix"] is not None:
                self.suffix = match["suffix"]
            if match["code"]:
                if not words or not words[0].known:
                    return False
                codes.append(words.pop(0).text)
        self.code = ";".join(codes) if codes else None
        # Perl runs a name with a bar as a command, and writes to one behind `>`.
        return not any(field.text.strip()[:1] in ("-", "+", "<", ">") or "|" in field.text for field in self.files)


def _edit(call: Call, options: _Options, steps: list[Step] | None) -> Stream:
    sources: tuple[Resource, ...] = ()
    for field in options.files:
        sources = merge(sources, call.read(field))
        if options.suffix is None:
            continue
        place = call.place(field, nofollow=True)  # a new file takes the place of the old one, of a link too
        before = call.content(place) if steps is not None else None
        if options.suffix:
            kept = kept_as(field, options.suffix, call.name)
            if kept is None:
                call.opaque("inline", reason="a backup at a place that is not known")
            else:
                call.put("write", call.place(kept), (place,), edit=as_edit(before))
        call.emit("write", place, edit=_after(steps, before))
    if not options.files:
        sources = call.stdin.sources
    if options.suffix is not None:
        return NOTHING
    text = call.text_of(options.files[0]) if len(options.files) == 1 else call.stdin.text if not options.files else None
    edit = _after(steps, text.encode() if text is not None else None)
    return Stream(text=edit.text if edit is not None else None, sources=sources, flow=call.stdin.flow)


def kept_as(field: Field, suffix: str, program: str) -> Field | None:
    """The name of the backup: a suffix, or to Perl a pattern in which `*` is the name of the file."""
    if "*" not in suffix and "/" not in suffix and not field.many:
        return Field(text=field.text + suffix, glob=field.glob and field.glob + suffix)
    if not field.known or "*" not in suffix or not program.startswith("perl"):
        return None
    head, slash, name = field.text.rpartition("/")
    kept = suffix.replace("*", name)
    return Field(text=kept if "/" in kept else f"{head}{slash}{kept}")


def _after(steps: list[Step] | None, before: bytes | None) -> Edit | None:
    if steps is None or before is None:
        return None
    try:
        return Edit(kind="whole", text=run_perl(steps, before.decode("utf-8")))
    except (Unclear, UnicodeDecodeError, RecursionError):
        return None
