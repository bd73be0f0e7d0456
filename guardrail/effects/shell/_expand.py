"""Words -> fields, as the shell does it: braces, tilde, variables, substitutions, splitting, globs.

Not concerned with what a field means to a command.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.domain._emit import Emitter
from guardrail.effects.domain._environment import LIBRARIES, assuming
from guardrail.effects.domain._paths import is_public, undashed
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import (
    DEEP,
    MAX_TEXT,
    NUM,
    TOP,
    Field,
    Stream,
    Value,
    is_loose,
    merge,
    texts_of,
    words_listed,
)
from guardrail.effects.domain._view import FileView
from guardrail.effects.shell._braces import braces
from guardrail.effects.shell._certainty import (
    SETTING,
    TEXTUAL,
    UNSURE,
    certain,
    depends,
    is_edit,
    is_given,
    is_outer,
    may_be_nothing,
    one_of_many,
    sets_path,
    settle,
    vanishes,
)
from guardrail.effects.shell._choices import array_in, choices_in
from guardrail.effects.shell._expansion import Found, expansion, pattern_of
from guardrail.effects.shell._globs import Globs
from guardrail.effects.shell._listings import is_setup, lines_within, one_of
from guardrail.effects.shell._lookup import Lookup
from guardrail.effects.shell._numbers import calculate, may_fail, operands
from guardrail.effects.shell._pieces import Piece, joined, unsplit
from guardrail.effects.shell._runner import Runner
from guardrail.model import Resource
from guardrail.parse.ir import Command, Computed, Expansion, Param, Part, Process, Text, Word
from guardrail.patterns import lazy

_LOOSE = lazy(r"[\s*?\[\\]")
_LONE: Final = Text(text="$")
"""A dollar that begins nothing."""


class Expander(Lookup):
    """Expands the words of one call."""

    __slots__ = ("_globs", "_head", "_veiled", "_whole", "emit", "view")

    def __init__(self, view: FileView, emit: Emitter, environment: Mapping[str, str], runner: Runner) -> None:
        super().__init__(environment, runner)
        self.view = view
        self.emit = emit
        self._globs: Globs | None = None
        self._veiled = False
        self._head: str | None = None
        self._whole = False  # whoever asks knows what an output may be that is missing

    @property
    def globs(self) -> Globs:
        """What expands patterns; most calls have none."""
        if self._globs is None:
            self._globs = Globs(self.view, self.emit)
        return self._globs

    # -- several words

    def alternatives(self, words: Sequence[Word], state: State) -> Iterator[tuple[Field, ...]]:
        """The argument vectors that the words may stand for: one, unless variables have several values."""
        choices = choices_in(words, state)
        if not choices:
            name = array_in(words, state)
            if name is None:
                yield self.whole(words, state, {})
            else:
                yield from self._each_array(name, words, state)
            return
        ends: list[State] = []
        for values in itertools.product(*(alternatives for _, alternatives in choices)):
            chosen = {name: value for (name, _), value in zip(choices, values, strict=True)}
            ends.append(state.copy())
            yield self.whole(words, ends[-1], chosen)
        settle(state, ends)

    def _each_array(self, name: str, words: Sequence[Word], state: State) -> Iterator[tuple[Field, ...]]:
        before = state.vars[name]
        ends: list[State] = []
        for items in before.variants:
            one = Value(alternatives=(dict(items).get("0", ""),), sources=before.sources, items=items)
            ends.append(state.copy())
            ends[-1].vars[name] = one
            yield self.whole(words, ends[-1], {})
        settle(state, ends)

    def whole(self, words: Sequence[Word], state: State, chosen: dict[str, str] | None = None) -> tuple[Field, ...]:
        """The fields of all words, with one value for each variable that may have several."""
        out: list[Field] = []
        head = words[0].plain if words else None
        outer, self._head = self._head, head
        for word in words:
            if word.plain is not None:
                out.append(Field(text=word.plain, span=(word.start, word.end)))
                continue
            # Words nested in a substitution have a command of their own.
            before, self._veiled = self._veiled, head not in TEXTUAL
            out.extend(self.fields(word, state, chosen if chosen is not None else {}))
            self._veiled, self._head = before, head
        self._head = outer
        for field in out:
            if field.sources:
                self.runner.spoken = merge(self.runner.spoken, field.sources)
        return tuple(out)

    # -- one word

    def fields(self, word: Word, state: State, chosen: dict[str, str]) -> Iterator[Field]:
        """The fields of one word, globs expanded on the live filesystem."""
        span = (word.start, word.end)
        if word.assignment or (self._head in SETTING and sets_path(word)):
            first = word.parts[0] if word.parts else None
            if isinstance(first, Text) and first.text.startswith(("PATH=", f"{LIBRARIES}=")):
                state = assuming(state, first.text.partition("=")[0])
            self._whole = len(word.parts) == 2
            text, sources = self._join(word.parts, state, chosen, tilde=False)
            self._whole = False
            void = len(word.parts) == 2 and may_be_nothing(word.parts[1], text)
            yield Field(text=text, sources=sources, span=span, void=void)
            return
        for parts in braces(word.parts, self.emit.expand):
            for piece in self._pieces(parts, state, chosen, span):
                field = piece.field(span)
                if field.glob is None:
                    yield field
                else:
                    yield from self.globs.fields(field, state)

    def value(self, word: Word, state: State, chosen: dict[str, str] | None = None) -> Value:
        """What an assignment or a here document takes: no splitting, no globs."""
        if word.plain is not None:
            return Value(alternatives=(word.plain,))
        if chosen is not None:
            text, sources = self._join(word.parts, state, chosen, tilde=True)
            return Value(alternatives=(text,), sources=sources)
        found: list[str] = []
        merged: tuple[Resource, ...] = ()
        choices = choices_in((word,), state)
        if not choices:
            self._whole = len(word.parts) == 1
            text, merged = self._join(word.parts, state, {}, tilde=True)
            self._whole = False
            empty = len(word.parts) == 1 and may_be_nothing(word.parts[0], text)
            return Value(alternatives=(text, "") if empty else (text,), sources=merged)
        ends: list[State] = []
        for values in itertools.product(*(alternatives for _, alternatives in choices)):
            names = {name: value for (name, _), value in zip(choices, values, strict=True)}
            ends.append(state.copy())
            text, more = self._join(word.parts, ends[-1], names, tilde=True)
            found.append(text)
            merged = merge(merged, more)
        settle(state, ends)
        return Value(alternatives=tuple(dict.fromkeys(found)), sources=merged)

    def _join(
        self, parts: Sequence[Part], state: State, chosen: dict[str, str], *, tilde: bool
    ) -> tuple[str, tuple[Resource, ...]]:
        text: list[str] = []
        sources: tuple[Resource, ...] = ()
        room = MAX_TEXT
        for index, part in enumerate(parts):
            if isinstance(part, Text):
                raw = part.text
                if not part.quoted and tilde:
                    raw = self.tilde(raw, state, alone=len(parts) == 1) if index == 0 else raw
                    raw = TOP if ":~" in raw else raw
                elif not part.quoted and "~" in raw:
                    raw = TOP  # `export X=~/y` expands the tilde after the `=`
                text.append(raw)
            else:
                one, more = self.joined(part, state, chosen)
                one = TOP if vanishes(parts, index, one) else one
                text.append(one if len(one) <= room else "")
                room -= len(one)
                sources = merge(sources, more)
        return (joined(text) if room >= 0 else TOP), sources

    def joined(self, part: Part, state: State, chosen: dict[str, str]) -> tuple[str, tuple[Resource, ...]]:
        """What a part gives where there is no splitting."""
        if not isinstance(part, Expansion):
            return self._part(part, state, chosen, (0, 0))[:2]
        found = expansion(self, part, state, chosen, (0, 0))
        if found.texts is None or (len(found.texts) > 1 and not state.ifs):
            return TOP, found.sources
        return " ".join(found.texts), found.sources

    def text(self, word: Word, state: State, chosen: dict[str, str]) -> tuple[str, tuple[Resource, ...]]:
        """One text for a word that is neither split nor globbed, and whose content is in it."""
        if word.plain is not None:
            return word.plain if not word.plain.startswith("~") else TOP, ()
        return self._join(word.parts, state, chosen, tilde=False)

    def pattern(self, word: Word, state: State, chosen: dict[str, str]) -> tuple[str, tuple[Resource, ...]]:
        """A word as a pattern, and whose content is in it."""
        return pattern_of(self, word, state, chosen)

    # -- pieces

    def _pieces(
        self, parts: Sequence[Part], state: State, chosen: dict[str, str], span: tuple[int, int]
    ) -> list[Piece]:
        if len(parts) == 1 and (alone := self._alone(parts[0], state, chosen)) is not None:
            return alone
        done: list[Piece] = []
        piece = Piece()
        veiled = self._veiled
        for index, part in enumerate(parts):
            if isinstance(part, Text):
                if part.quoted:
                    piece.literal(part.text)
                elif index == 0 and part.text.startswith("~"):
                    self._home(piece, part.text, state, alone=len(parts) == 1)
                else:
                    piece.pattern(part.text)
            elif isinstance(part, Param) and part.name in "@*" and state.args is not None:
                sources = state.handed
                piece.sources = merge(piece.sources, sources)
                piece = self._listed(part.quoted, part.name == "*", state, state.args, piece, done)
            elif isinstance(part, Expansion):
                found = certain(parts, index, expansion(self, part, state, chosen, span))
                piece = self._expanded(part, found, state, piece, done)
            else:
                text, sources, many = self._part(part, state, chosen, span)
                edit = is_edit(self._head, parts, state, self.view)
                text = TOP if not edit and vanishes(parts, index, text) else text
                if not piece.text and text == TOP:
                    piece.outer = is_outer(part, state)
                if sources and veiled and text and not isinstance(part, Process):
                    # What files hold may be private: only commands that print it need to know.
                    spelled = is_public(text, sources) or undashed(text) or self.runner.contents.own(sources)
                    text = text if spelled else TOP
                piece.sources = merge(piece.sources, sources)
                piece.many = piece.many or many
                if isinstance(part, Process) or part.quoted:
                    piece.literal(text)
                else:
                    piece = self._split(text, state, piece, done)
        if piece.present or piece.many or "".join(piece.text):
            done.append(piece)
        return unsplit(done) if len(done) > 1 and _LONE in parts else done

    def _alone(self, part: Part, state: State, chosen: dict[str, str]) -> list[Piece] | None:
        """A part that is a whole word, and becomes any number of words of which something is known."""
        if isinstance(part, Command) and not part.quoted and state.ifs:
            return list(self._output(part, state))
        if isinstance(part, Param) and not part.quoted and state.ifs and state.globs:
            text, sources = self.lookup(part.name, state, chosen)
            if DEEP in text:
                return [one_of_many(one, sources) for one in lines_within(text)] or None
        if isinstance(part, Expansion) and part.quoted and part.index == "@" and not (part.prefix or part.op):
            value = state.vars.get(part.name)
            if value is not None and value.each:
                return [one_of_many(text, value.sources) for text in value.each]
        return None

    def _home(self, piece: Piece, raw: str, state: State, *, alone: bool) -> None:
        head = self.tilde(raw, state, alone=alone)
        if head == raw:
            piece.pattern(head)
            return
        # The directory that a tilde stands for is not globbed; what follows it is.
        slash = raw.find("/")
        tail = raw[slash:] if slash >= 0 else ""
        piece.literal(head[: len(head) - len(tail)])
        piece.pattern(tail)

    def _expanded(self, part: Expansion, found: Found, state: State, piece: Piece, done: list[Piece]) -> Piece:
        """`${…}` inside a word."""
        piece.sources = merge(piece.sources, found.sources)
        if found.sources and self._veiled and found.texts and not self.runner.contents.own(found.sources):
            # As for a variable.
            texts = tuple(text if is_public(text, found.sources) or undashed(text) else TOP for text in found.texts)
            found = msgspec.structs.replace(found, texts=texts)
        if found.texts is None:
            piece.many = True
            piece.literal(TOP)
            return piece
        if found.listed:
            return self._listed(part.quoted, "*" in (part.name, part.index), state, found.texts, piece, done)
        text = found.texts[0]
        if text == TOP and part.arg is not None and is_given(part, state):
            piece.outer, piece.counted = not piece.text, part.arg.plain is not None and part.arg.plain.isdecimal()
        if part.quoted:
            piece.literal(text)
            return piece
        if found.split and (not text or TOP in text or _LOOSE.search(text)):  # a quoted nothing is a word
            piece.many = True
            piece.literal(TOP)
            return piece
        return self._split(text, state, piece, done)

    def _listed(
        self, quoted: bool, star: bool, state: State, items: Sequence[str], piece: Piece, done: list[Piece]
    ) -> Piece:
        """`"$@"`, `"${a[@]}"`: each item a word, the first and the last glued to what stands beside."""
        if star and quoted:
            piece.literal(" ".join(items) if state.ifs or len(items) < 2 else TOP)
            return piece
        for index, item in enumerate(items):
            if index and (quoted or piece.present or piece.many or piece.text):
                done.append(piece)
                sources, piece = piece.sources, Piece()
                piece.sources = sources
            if quoted:
                piece.literal(item)
            else:
                loose = not state.ifs or TOP in item or bool(_LOOSE.search(item))
                piece.many = piece.many or loose
                if item or loose:
                    piece.literal(TOP if loose else item)
        return piece

    def _substituted(self, part: Command, state: State) -> Stream:
        """The output of a substitution; of a tool that prints settings for `eval`, what that does to a shell."""
        setting = self._head == "eval" and is_setup(part.script) and not state.functions and state.path is not None
        out = self.runner.substitute(part.script, state)
        if setting and out.text is None:
            return Stream(text="true\n")
        # The shell leaves out what no word can hold.
        held = out.text is not None and "\0" in out.text
        return msgspec.structs.replace(out, text=(out.text or "").replace("\0", "")) if held else out

    def _output(self, part: Command, state: State) -> Iterator[Piece]:
        """`$(…)` that is a whole word: the words of what it prints."""
        veiled = self._veiled
        out = self._substituted(part, state)
        named = words_listed(out)
        if named is not None:
            for field in named:
                piece = Piece()
                piece.many, piece.named, piece.sources = True, True, out.sources
                piece.literal(field.text)
                yield piece
            return
        text = out.text.rstrip("\n") if out.text is not None else TOP
        if (
            out.sources
            and veiled
            and text
            and not (is_public(text, out.sources) or self.runner.contents.own(out.sources))
        ):
            text = TOP
        done: list[Piece] = []
        piece = Piece()
        piece.sources = out.sources
        piece = self._split(text, state, piece, done)
        if piece.present or piece.many or "".join(piece.text):
            done.append(piece)
        yield from done

    def _split(self, text: str, state: State, piece: Piece, done: list[Piece]) -> Piece:
        """An unquoted expansion is split at blanks, and its parts are globbed."""
        if not state.ifs and text:
            piece.many = True
            piece.literal(TOP)
            return piece
        loose = is_loose(text)
        piece.many = piece.many or loose
        words = text.split(" ") if "\t" not in text and "\n" not in text else re.split(r"[ \t\n]", text)
        for index, word in enumerate(words):
            if index and (piece.text or piece.present):
                done.append(piece)
                many, piece = piece.many, Piece()
                piece.many = many and loose
            if word:
                piece.pattern(word)
        return piece

    def _part(
        self, part: Part, state: State, chosen: dict[str, str], span: tuple[int, int]
    ) -> tuple[str, tuple[Resource, ...], bool]:
        """Text, sources, and whether it may be several words although quoted."""
        if isinstance(part, Param):
            text, sources = self.lookup(part.name, state, chosen)
            return text, sources, part.name in "@*" and TOP in text
        if isinstance(part, Command):
            whole, self._whole = self._whole, False
            out = self._substituted(part, state)
            listed = one_of(out.listed)
            if UNSURE.search(listed) is None and not (whole and depends(part.script)):
                listed = TOP  # it may be missing, or there any number of times
            text = out.text.rstrip("\n") if out.text is not None else listed
            return text, out.sources, False
        if isinstance(part, Process):
            if part.write:
                self.runner.defer(part.script, state)
                return f"/dev/fd/{NUM}", (), False
            out = self.runner.substitute(part.script, state, beside=True)
            self.runner.handed += tuple(texts_of(out))
            return f"/dev/fd/{NUM}", out.sources, False
        if isinstance(part, Computed):
            return self._computed(part, state, chosen, span)
        return part.text if isinstance(part, Text) else TOP, (), False

    def _computed(
        self, part: Computed, state: State, chosen: dict[str, str], span: tuple[int, int]
    ) -> tuple[str, tuple[Resource, ...], bool]:
        sources: tuple[Resource, ...] = state.handed  # `${1/a/b}` names no variable
        for name in part.names:
            if name in state.vars:
                sources = merge(sources, state.vars[name].sources)
        for script in part.scripts:
            sources = merge(sources, self.runner.substitute(script, state).sources)
        if part.number:
            given, more = operands(self, part.parts, state, chosen, span)
            choice = {**chosen, **given}
            frozen = bool(state.traits) and any("r" in state.traits.get(name, "") for name in part.assigns)
            before = state.copy() if frozen or may_fail(self, part.text, state, choice) else None
            found = calculate(self, part.text, part.names, part.assigns, state, span, choice)
            if before is not None and (found is None or frozen):
                # Some of what it assigns may have been assigned.
                self.runner.abort(before.join(state))
            return (NUM if found is None else str(found)), merge(sources, more), False
        for name in part.assigns:
            if name in state.traits:
                self.runner.abort(state)
            state.put(name, Value(sources=sources, plural=True))
            self.runner.noticed(name, state)
        return TOP, sources, True
