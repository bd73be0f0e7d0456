"""Cloud command lines: `aws SERVICE VERB --option value`; what the verb says is done to what the options name.

Not concerned with commands that copy files as such (`aws s3 cp`, `gsutil cp`): their specs are data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.catalogue._spec import Spec
from guardrail.effects.commands._api_facts import FACTS
from guardrail.effects.commands._api_verbs import COPIED, FLAGS, LOOKING, VERBS
from guardrail.effects.commands._fact import Fact
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Op, Resource
from guardrail.patterns import lazy

MAX_NAMED: Final = 32
"""Most things one operation is said to act on; beyond it one that can be any."""

_SLOT = lazy(r"\{([^}]*)\}")
_WORD = lazy(r"[A-Za-z][A-Za-z0-9:._-]*")
_CAMEL = lazy(r"(?<=[a-z0-9])(?=[A-Z])")
_NAMING = lazy(
    r"--?([a-z0-9-]*-)?(ids?|names?|arns?|identifiers?|resources?|bucket|key|cluster|service|function|table|stack|topic"
    r"|queue|repository|registry|group|url|uri|n|instance|volume|image|snapshot|model|endpoint|user|role|task|policy)"
)
_NOT_NAMING: Final = frozenset(
    "--resource-group -g --workspace-name -w --account-name --subscription --project".split()
)
_FILEY = lazy(r"--?[a-z-]*(file|path|source|src|dir|body|template|artifact|payload|data|document|upload)[a-z-]*|-f")
_PATH_LIKE = lazy(r"(?:^|[=:,@])(?:/|~|\.{1,2}/)")
_SEND = lazy(r"fileb?://|@")
_TWICE = lazy(r"(?<![a-z0-9+.-])[a-z0-9+.-]++://(?=[a-z0-9+.-]++://)")
_ACCOUNTS: Final = frozenset("iam sts organizations sso-admin identitystore ad role policy identity user users".split())
_SECURED: Final = frozenset("policy permission permissions acl grant binding access role".split())
_CHANNELS: Final = frozenset("alpha beta preview".split())
_BY_LAST: Final = frozenset("az oci wrangler modal fly flyctl".split())
_SAME: Final[Mapping[str, str]] = {
    "flyctl": "fly",
    "podman": "docker",
    "nerdctl": "docker",
    "incus": "lxc",
    "huggingface-cli": "hf",
    "glab": "gh",
    "tea": "gh",
}
_GREEDY: Final = frozenset("aws az".split())


class Line(msgspec.Struct, kw_only=True):
    """The words of one operation.

    Args:
        words: the group and the verb, as far as they are plain words.
        operands: what stands after them.
        options: each option with its values.
        texts: options whose values are no names of anything.
    """

    words: tuple[str, ...]
    operands: tuple[Field, ...]
    options: tuple[tuple[str, tuple[Field, ...]], ...]
    texts: frozenset[str] = frozenset()

    def pick(self, key: str) -> tuple[Field, ...]:
        """Values of an option, or the operand of that number; `last` is the word that belongs to no option."""
        if key == "last":
            rest = self.operands or (self.options[-1][1][1:] if self.options else ())
            return rest[-1:]
        if key.isdecimal():
            rest = self.operands or (self.options[-1][1][1:] if self.options else ())
            return rest[int(key) : int(key) + 1]
        return tuple(field for name, fields in self.options if name == key for field in fields)


def read_line(spec: Spec, args: tuple[Field, ...], *, greedy: bool) -> Line:
    """Tell groups and verb, operands and options apart, without knowing every option.

    Args:
        spec: the options that are known.
        args: the words.
        greedy: an option takes all words up to the next option.
    """
    plain: list[Field] = []
    options: list[tuple[str, tuple[Field, ...]]] = []
    i = 0
    while i < len(args):
        field = args[i]
        i += 1
        if field.many or len(field.text) < 2 or field.text[0] != "-":
            plain.append(field)
            continue
        name, equals, _ = field.text.partition("=")
        if equals:
            options.append((name, (field.tail(len(name) + 1),)))
            continue
        known = spec.options.get(name)
        start = i
        most = len(known.roles) if known is not None else 0 if name in FLAGS else len(args) if greedy else 1
        while i < len(args) and i - start < most and (args[i].text[:1] != "-" or args[i].text == "-"):
            i += 1
        options.append((name, args[start:i]))
        if known is None and not greedy:
            plain.extend(args[start:i])  # it may be a flag
    line = _split(plain, options)
    line.texts = frozenset(name for name, option in spec.options.items() if option.roles == ("text",))
    return line


def _split(plain: list[Field], options: list[tuple[str, tuple[Field, ...]]]) -> Line:
    words: list[str] = []
    for field in plain:
        if not field.known or not _WORD.fullmatch(field.text):
            break
        words.append(field.text)
    rest = plain[len(words) :]
    return Line(words=tuple(words), operands=tuple(rest), options=tuple(options))


def api(call: Call, parsed: Parsed) -> Stream:
    """One operation of a cloud: known by name, or by its verb, or opaque."""
    cli = _SAME.get(call.name.split(" ")[0], call.name.split(" ")[0])
    line = read_line(parsed.spec, call.args, greedy=cli in _GREEDY)
    if not call.args:
        return SOMETHING
    line.words = (*call.name.split(" ")[1:], *line.words)
    if line.words[:1] and line.words[0] in _CHANNELS:
        line.words = line.words[1:]
    if not line.words and cli == "vercel":
        line.words = ("deploy",)  # what it does without a verb
    if not line.words or any(name == "--help" for name, _ in line.options):
        return SOMETHING if line.options and not line.operands else call.opaque("program")
    fact, depth = _known(FACTS.get(cli, {}), line.words)
    if fact is not None:
        _shift(line, depth)
        return _apply(call, fact, line)
    return _by_verb(call, cli, line)


def _known(table: Mapping[str, Fact], words: tuple[str, ...]) -> tuple[Fact | None, int]:
    for depth in range(len(words), 0, -1):
        fact = table.get(" ".join(words[:depth]))
        if fact is not None:
            return fact, depth
    return None, 0


def _shift(line: Line, depth: int) -> None:
    """Words behind the verb are operands."""
    line.operands = (*(Field(text=word) for word in line.words[depth:]), *line.operands)
    line.words = line.words[:depth]


def _parts(word: str) -> list[str]:
    return _CAMEL.sub("-", word).lower().replace("_", "-").replace(":", "-").split("-")


def _verb_at(cli: str, words: tuple[str, ...]) -> int:
    """Which of the words is the verb."""
    if cli == "aws":
        return min(1, len(words) - 1)
    if cli in _BY_LAST or len(words) == 1:
        return len(words) - 1
    for index in range(1, len(words)):
        head = _parts(words[index])[0]
        if head in LOOKING or head in VERBS or words[index] in VERBS:
            return index
    return 0


def _by_verb(call: Call, cli: str, line: Line) -> Stream:
    index = _verb_at(cli, line.words)
    verb, group = line.words[index], line.words[:index]
    _shift(line, index + 1)
    parts = _parts(verb)
    op = _operation(verb, parts, group)
    if op == "write" and any(_PROTECTING.fullmatch(name) for name, _ in line.options):
        op = "set_security"
    if op is None and parts[0] not in LOOKING:
        return call.opaque("program", reason=f"`{verb}` of {cli} is not known")
    scheme = f"{cli}:{'/'.join(group) or parts[0]}"
    names = [text for text in _names(line) if text]
    if len(names) > MAX_NAMED:
        names = ["*"]
    account = op == "set_security" and not _ACCOUNTS.isdisjoint(group)
    places = [at("account", name) if account else _named(scheme, name) for name in names or ["*"]]
    attrs = {"verb": verb}
    if op is None:
        for place in places:
            call.emit("list" if parts[0] in ("list", "describe", "ls", "search") else "read", place, attrs=attrs)
        _files(call, line, places[0], sends=False)
        return Stream(sources=tuple(places))
    for place in places:
        target = _address(f"{scheme}/{verb}") if op == "api_copy" else None
        call.emit(op, place, target, attrs=attrs)
    _files(call, line, places[0], sends=True)
    return SOMETHING


_PROTECTING: Final = lazy(
    r"--(?:no-|clear-|enable-|disable-)?(?:lifecycle|retention|versioning|soft-delete|lock|hold|event-based-hold"
    r"|temporary-hold|public-access|uniform-bucket-level|acl|add-acl|remove-acl|default-acl|default-object-acl"
    r"|default-event-based-hold|deletion-protection|pap)(?:-[a-z-]*)?"
)
"""Options of an update that say who may have a thing, how long it is kept, and whether it can be deleted."""


def _operation(verb: str, parts: list[str], group: tuple[str, ...]) -> Op | None:
    """What a verb does; None for one that only looks, or is not known."""
    head = parts[0]
    if head in LOOKING and not (head == "generate" and "key" in parts):
        return None
    if head == "batch" and len(parts) > 1:
        return _operation("-".join(parts[1:]), parts[1:], group)
    op = VERBS.get(verb) or VERBS.get(head)
    if op is None:
        return None
    if not _ACCOUNTS.isdisjoint(group) or (op == "write" and not _SECURED.isdisjoint(parts[1:])):
        return "set_security"
    if op == "create" and not COPIED.isdisjoint((*parts[1:], *group[-1:])):
        return "api_copy" if "repository" not in parts else op
    return op


def _names(line: Line) -> Iterator[str]:
    """What the operation is about, by the names of its options."""
    for field in line.operands:
        if not field.text.startswith(("/", "file:", "fileb:")) and "=" not in field.text:
            yield field.text
    for name, fields in line.options:
        if name not in _NOT_NAMING and _NAMING.fullmatch(name):
            for field in fields:
                if not _SEND.match(field.text):
                    yield field.text


def _named(scheme: str, name: str) -> Resource:
    return remote(name) if URL.fullmatch(name) else _address(f"{scheme}/{name}")


def _address(text: str) -> Resource:
    if URL.fullmatch(text):
        return remote(text)
    scheme, colon, name = text.partition(":")
    return at(scheme, name) if colon and scheme else at("object", text)


# -- operations that are known


def _apply(call: Call, fact: Fact, line: Line) -> Stream:
    _unshared(fact, line)
    objects = [_address(text) for text in _filled(fact.object, line)] or [_address(fact.object)]
    used = {*fact.files, *fact.outs}
    sources: tuple[Resource, ...] = ()
    sent = [field for key in fact.files for field in line.pick(key)] or [Field(text=fact.missing)]
    for field in sent:
        if field.text:
            sources = merge(sources, _sent(call, field, objects[0]))
    if fact.op == "remote_exec":
        for field in call.args:
            call.mention_text(field.text)  # who runs it may be this host, or have what is here
    if fact.op == "api_copy":
        for origin in _filled(fact.origin, line):
            call.emit("api_copy", _address(origin), objects[0])
    else:
        for place in objects[:MAX_NAMED]:
            call.emit(fact.op, place)
    wrote = False
    for key in fact.outs:
        for field in line.pick(key):
            wrote = True
            _received(call, field, objects[0])
    if fact.lands and not wrote:
        wrote = True
        _received(call, Field(text=fact.lands), objects[0])
    others = tuple((name, fields) for name, fields in line.options if name not in used)
    rest = Line(words=(), operands=(), options=others, texts=line.texts)
    _files(call, rest, objects[0], sends=True)
    if "last" not in used and not any(key.isdecimal() for key in used):
        _operands(call, line)
    return SOMETHING if wrote or fact.op != "read" else Stream(sources=tuple(objects))


def _unshared(fact: Fact, line: Line) -> None:
    """The value of an option that is known to have one is no operand."""
    slots = {
        key for template in (fact.object, fact.origin) for slot in _SLOT.findall(template) for key in slot.split("|")
    }
    given = [
        field.text for name, fields in line.options if name in {*fact.files, *fact.outs, *slots} for field in fields
    ]
    kept: list[Field] = []
    for field in line.operands:
        if field.text in given:
            given.remove(field.text)
        else:
            kept.append(field)
    line.operands = tuple(kept)


def _operands(call: Call, line: Line) -> None:
    for field in line.operands:
        path = _PATH_LIKE.search(field.text) is not None or call.kind(call.place(field)) is not None
        if field.known and path:
            call.mention((field,))


def _filled(template: str, line: Line) -> list[str]:
    """A template with the values of its options; several values of a plural option give several names.

    Of several templates, parted by a blank, the first one whose first option is given.
    """
    if not template:
        return []
    ways = template.split(" ")
    template = next((way for way in ways if _given(way, line)), ways[-1])
    texts = [template]
    for slot in _SLOT.findall(template):
        values = [field.text for key in slot.split("|") for field in line.pick(key)] or ["*"]
        several = values if slot.partition("|")[0].endswith("s") else values[:1]
        texts = [text.replace("{" + slot + "}", value) for text in texts for value in several]
    return [_once(text) for text in texts[: MAX_NAMED + 1]]


def _given(template: str, line: Line) -> bool:
    return any(line.pick(key) for slot in _SLOT.findall(template)[:1] for key in slot.split("|"))


def _once(text: str) -> str:
    """A value that is an address itself keeps its own scheme."""
    inner = _TWICE.search(text)
    return text[inner.end() :] if inner is not None else text.rstrip("/") if text.endswith("/*/*") else text


def _local(field: Field) -> Field:
    match = _SEND.match(field.text)
    return field.tail(match.end()) if match is not None and match.end() < len(field.text) else field


def _typed(field: Field, place: Resource) -> Field:
    """`PATH:MEDIA/TYPE`, as files are pushed to a registry."""
    path, _, media = field.text.rpartition(":")
    if place.uri == "k8s:node/mount" and path:
        return Field(text=path, sources=field.sources, span=field.span)
    if (place.uri or "").startswith("oci:") and path and "/" in media and not media.startswith("/"):
        return Field(text=path, sources=field.sources, span=field.span)
    return field


def _sent(call: Call, field: Field, place: Resource) -> tuple[Resource, ...]:
    """A local file or directory goes to the API."""
    if URL.fullmatch(field.text) and not _SEND.match(field.text):
        call.emit("api_copy", remote(field.text), place)
        return ()
    if field.text == "-":
        read = call.stdin.sources
    else:
        read = call.read(_typed(_local(field), place), recursive=True)
        if field.text[:1] in ("{", "["):
            call.mention_text(field.text)  # what is sent, where a file of it was asked for
    for source in read:
        call.emit("copy", source, place, flow=("net",))
    call.emit("net_send", place)
    return read


def _received(call: Call, field: Field, place: Resource) -> None:
    """Something from the API is written here."""
    if field.text == "-":
        return
    there = call.place(_local(field), recursive=True)
    call.put("write", there, (place,), flow=("net",))


def _files(call: Call, line: Line, place: Resource, *, sends: bool) -> None:
    """Values that name a local file, or hold content of one: sent, or only mentioned where that is not certain."""
    for name, fields in line.options:
        for field in fields:
            for source in field.sources:
                call.emit("copy", source, place, flow=("argument",))
            if name not in line.texts or field.text.startswith(("file://", "fileb://")):
                _value(call, name, field, place, sends=sends)
    for field in line.operands:
        for source in field.sources:
            call.emit("copy", source, place, flow=("argument",))
        _value(call, "", field, place, sends=sends)


def _value(call: Call, name: str, field: Field, place: Resource, *, sends: bool) -> None:
    text = field.text
    for mark in ("fileb://", "file://"):
        if mark in text and not text.startswith(TOP):
            _sent(call, Field(text=text.partition(mark)[2] or "/", span=field.span), place)
            return
    if URL.fullmatch(text) or name in ("--query", "--filter", "--filters", "--output", "--format"):
        return
    looks = field.glob is not None or "/" in text or text.startswith(("~", "@"))
    named = _FILEY.fullmatch(name) is not None and (sends or text != TOP)
    if looks or named or (field.known and call.kind(call.place(field)) is not None):
        call.mention((field,))


FAMILIES: Final[Mapping[str, Family]] = {"api": api}
"""What `code` of a spec may say, for this module."""
