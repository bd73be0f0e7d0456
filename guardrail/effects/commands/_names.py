"""rename, mmv, stow, unison and finders of duplicates: commands that give files other names or places.

Not concerned with cp, mv, ln and install: those are in `_files`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import below, starting
from guardrail.effects.commands._pack import contents
from guardrail.effects.domain._addresses import URL, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Op, Resource
from guardrail.patterns import lazy

_HERE: Final = Field(text=".")
_PERL = lazy(
    r"\s*(?:s|y|tr)([/|,#!@%^~:])((?:\\.|(?!\1)[^\\])*+)\1((?:\\.|(?!\1)[^\\])*+)\1([a-z]*)\s*+;?\s*+", re.DOTALL
)
_CODE = lazy(r"\(\?\??\{|[@$]\{|`")
_PERL_NAMES: Final = frozenset(("prename", "file-rename", "perl-rename", "rename.pl"))
_SAFE_CASE: Final = frozenset(("lc", "uc", "ucfirst", "$_=lc", "$_ = lc", "$_=lc($_)", "$_ = lc($_)", "$_ = lc $_"))
_MMV_OPTIONS: Final[Mapping[str, Op]] = {"-c": "copy", "-o": "copy", "-a": "copy", "-l": "link", "-s": "link"}
_MMV: Final[Mapping[str, Op]] = {"mcp": "copy", "mln": "link", "mad": "copy", "mmv": "rename"}


# -- rename


def rename(call: Call, parsed: Parsed) -> Stream:
    """`rename`: Perl's `rename 's/a/b/' FILE…` or util-linux's `rename a b FILE…`; what is meant shows in the words."""
    operands = list(parsed.operands)
    expressions = parsed.values_of("-e")
    perl = call.name in _PERL_NAMES or bool(expressions)
    if not expressions and operands:
        perl = perl or _is_perl(operands[0].text)
        expressions = [operands.pop(0)] if perl else []
    free = False
    if perl:
        for field in expressions:
            free = _moves(call, field) or free
    elif len(operands) >= 2:
        free = "/" in operands[1].text or not operands[1].known
        operands = operands[2:]
    else:
        return NOTHING
    if not operands and perl:
        operands = call.listed(Field(text="-"))
    for field in operands if not parsed.has("-n") else ():
        _renamed(call, field, free=free)
    return SOMETHING


def _is_perl(text: str) -> bool:
    return _PERL.fullmatch(text) is not None or text in _SAFE_CASE or any(c in text for c in "$;(")


def _moves(call: Call, field: Field) -> bool:
    """A Perl expression may lead to another directory; one that is more than a substitution is code."""
    match = _PERL.fullmatch(field.text) if field.known else None
    if field.known and field.text.strip() in _SAFE_CASE:
        return False
    if match is None or "e" in match[4] or _CODE.search(match[2]) or _CODE.search(match[3]):
        call.opaque("inline" if field.known else "dynamic", reason="a Perl expression names the files")
        return True
    return "/" in match[3] or "$" in match[3]


def _renamed(call: Call, field: Field, *, free: bool) -> None:
    origin = call.place(field, recursive=True, nofollow=True)
    text = field.glob if field.glob is not None else escape(field.text)
    folder = text.rpartition("/")[0]
    target = Field(text=TOP) if free or field.many else Field(text=TOP, glob=f"{folder}/*" if "/" in text else "*")
    call.emit("rename", origin, call.place(target), may=True)  # only if its name fits


def mmv(call: Call, parsed: Parsed) -> Stream:
    """`mmv FROM TO` and its kin: `#1` in TO is what the first wildcard of FROM matched."""
    op = _MMV.get(call.name, "rename")
    for option, other in _MMV_OPTIONS.items():
        op = other if parsed.has(option) else op
    if len(parsed.operands) != 2:
        return call.opaque("program", reason="the patterns come from somewhere else")
    source, target = parsed.operands
    origin = call.place(_pattern(source, source.text.replace(";", "**/")), nofollow=op == "rename")
    place = call.place(_pattern(target, re.sub(r"#[lu]?\d+", "*", target.text)))
    if op == "copy":
        call.emit("read", origin, attrs={"reveals": "content"})
    call.emit(op, origin, place)
    if op == "copy":
        call.emit("append" if parsed.has("-a") or call.name == "mad" else "write", place)
    return SOMETHING


def _pattern(field: Field, text: str) -> Field:
    if field.glob is not None or not field.known:
        return field
    return Field(text=text, glob=text if any(c in text for c in "*?[") else None)


# -- duplicates and farms of links


def duplicates(call: Call, parsed: Parsed) -> Stream:
    """`fdupes`, `jdupes`, `rdfind`, `hardlink`: which files are the same, and then deleted or linked."""
    for _, role, field in parsed.values:
        if role == "write":
            call.put("write", call.place(field), ())
    linking = parsed.has("--link") or (call.name == "hardlink" and not parsed.has("--dry-run"))
    for field in parsed.operands or [_HERE]:
        place = call.place(field, kind="dir", recursive=True)
        call.emit("read", place, attrs={"reveals": "none"})
        # Which of them goes is not known, only that it is below.
        gone = call.place(field, kind="dir", recursive=True, nofollow=True)
        if linking or parsed.has("--delete"):
            call.emit("delete", gone, may=True, precision="opaque")
        if linking:
            call.emit("link", place, gone, may=True, precision="opaque")
        if parsed.has("--dedupe"):
            call.emit("write", place, may=True, precision="opaque")
    return SOMETHING


def stow(call: Call, parsed: Parsed) -> Stream:
    """`stow`: symbolic links in the target directory to what is in packages."""
    folder = parsed.value("--dir") or _HERE
    target = parsed.value("--target") or Field(text=f"{folder.text.rstrip('/')}/..")
    place = call.place(target, kind="dir", recursive=True)
    if parsed.has("--no"):
        return SOMETHING
    for field in parsed.operands:
        package = field if not folder.known else Field(text=f"{folder.text.rstrip('/')}/{field.text}")
        source = call.place(package if field.known else Field(text=TOP), kind="dir", recursive=True)
        if parsed.has("--adopt"):
            call.emit("rename", place, source, may=True, precision="opaque")
        if parsed.has("--delete"):
            call.emit("delete", call.place(target, kind="dir", nofollow=True), may=True, precision="opaque")
        else:
            call.emit("link", source, place, may=True, attrs={"symbolic": True})
    return NOTHING


def both(call: Call, parsed: Parsed) -> Stream:
    """`unison ROOT ROOT`: either side may be copied to the other, and what was deleted there is deleted here."""
    roots = list(parsed.operands)
    if len(roots) != 2:
        return call.opaque("program", reason="the roots are in a profile")
    places: list[Resource] = []
    for field in roots:
        far = URL.fullmatch(field.text) is not None
        places.append(remote(field.text) if far else call.place(field, kind="dir", recursive=True))
    for here, there in (places, places[::-1]):
        if here.kind == "net":
            call.emit("net_recv", here)
        else:
            call.emit("read", here, attrs={"reveals": "content"})
        call.emit("copy", here, there, may=True, flow=("net",) if there.kind == "net" else ())
        call.emit("net_send" if there.kind == "net" else "write", there, may=True)
    return SOMETHING


# -- dd's kin, dar, mtools


_DD_READ: Final = frozenset(("if", "ifs", "vf", "fskip", "hashif"))
_DD_WRITE: Final = frozenset("of ofs hof hofs wipe hwipe log hlog mlog hashlog md5log sha1log sha256log errlog".split())
_DD_RUN = lazy(r"(?:of|hashlog|errlog|\w+log):")
_DD_TEXT: Final = frozenset(
    "bs ibs obs cbs count skip seek conv status iflag oflag hash hashwindow hashconv hashformat split splitformat "
    "sizeprobe statusinterval totalhashformat diffwr pattern textpattern pat tpat cnt iskip oskip app rec ssz bufsz "
    "verb nwspc b10 corruptoutput phod fhod ofsz verifylog vf limit".split()
)


def ddlike(call: Call, parsed: Parsed) -> Stream:
    """`dcfldd`, `dc3dd`: dd with hashes, several outputs and logs."""
    sources: tuple[Resource, ...] = ()
    targets: list[tuple[str, Field]] = []
    named = False
    for field in parsed.operands:
        name, equals, _ = field.text.partition("=")
        value = field.tail(len(name) + 1)
        if equals and name in _DD_READ:
            named = True
            sources = merge(sources, call.read(value))
        elif equals and name in _DD_WRITE:
            targets.append((name, value))
        elif equals and _DD_RUN.fullmatch(name):
            call.opaque("inline", reason=f"{name}= of {call.name} runs a program", words=(value,))
        elif not equals or name not in _DD_TEXT:
            call.opaque("program", reason=f"operand of {call.name} is not known", words=(field,))
    if not named:
        sources = call.stdin.sources
    content = [field for name, field in targets if name in ("of", "ofs", "hof", "hofs")]
    for name, field in targets:
        carried = sources if field in content else ()
        place = call.place(starting(field) if name in ("ofs", "hofs") else field)
        call.put("write", place, carried)
    return NOTHING if content else Stream(sources=sources, flow=call.stdin.flow)


def dar(call: Call, parsed: Parsed) -> Stream:
    """`dar -c ARCHIVE -R ROOT`: slices ARCHIVE.1.dar and so on."""
    root = parsed.value("-R") or _HERE
    for _, role, field in parsed.values:
        if role in ("run", "opaque"):
            call.opaque("inline", reason="an option of dar runs a program", words=(field,))
    made, taken = parsed.value("-c"), parsed.value("-x")
    if made is not None:
        chosen = [Field(text=f"{root.text.rstrip('/')}/{f.text}") for f in parsed.values_of("-g")]
        sources = contents(call, chosen or [root])
        base = parsed.value("-A")
        if base is not None:
            call.read(starting(base), reveals="none")
        call.put("write", call.place(starting(made)), sources)
        return SOMETHING
    if taken is not None:
        below(call, root, call.read(starting(taken)))
        return SOMETHING
    for option in ("-t", "-l", "-d"):
        for field in parsed.values_of(option):
            call.read(starting(field), reveals="digest")
    return SOMETHING if parsed.has("-t", "-l", "-d", "-h", "-V") else call.opaque("program", reason="no mode of dar")


def mtools(call: Call, parsed: Parsed) -> Stream:
    """`mcopy`, `mmove`: a name with a drive, `a:x` or `::x`, is inside the image that `-i` names."""
    image = parsed.value("-i")
    words = list(parsed.operands)
    disk = call.place(image) if image is not None else Resource(kind="object", uri="mtools:*")
    if len(words) < 2:
        words.append(_HERE)
    target = words.pop()
    inside = _on_drive(target)
    sources: tuple[Resource, ...] = ()
    for field in words:
        if _on_drive(field):
            call.emit("read", disk, attrs={"reveals": "content"})
            sources = merge(sources, (disk,))
        else:
            sources = merge(sources, contents(call, [field], gone=call.name == "mmove"))
    if inside:
        call.put("write", disk, sources)
    elif target.text != "-":
        below(call, target, sources)
    else:
        return Stream(sources=sources)
    return NOTHING


def _on_drive(field: Field) -> bool:
    return re.match(r"[A-Za-z:]:", field.text) is not None


def seek(call: Call, parsed: Parsed) -> Stream:
    """`fd PATTERN ROOT…`: lists names, and runs what follows `-x` and `-X` on them."""
    at, match = next(((i, m) for i, field in enumerate(call.args) if (m := _RUNS.match(field.text))), (None, None))
    command: list[Field] = []
    if at is not None and match is not None:
        # The first word may stand behind the letter, and other letters before it.
        head = call.args[at].tail(match.end())
        command = [field for field in (*([head] if head.text else []), *call.args[at + 1 :]) if field.text != ";"]
        flags = call.args[at].text[: match.end() - 1] if match["letter"] else "-"
        before = (*call.args[:at], *([Field(text=flags)] if flags != "-" else []))
        parsed = parse_options(parsed.spec, before)
    roots = [*parsed.operands[1:], *parsed.values_of("--search-path")] or [parsed.value("--base-directory") or _HERE]
    places = [call.place(root, kind="dir", recursive=True) for root in roots]
    for place in places:
        call.emit("list", place)
    if not command:
        return Stream(names=tuple(places), sources=tuple(source for f in call.args for source in f.sources))
    call.opaque("program", reason="fd runs a command on each name", words=command)
    for place in places:
        call.emit("mention", place, precision="opaque", may=True)
    name = f"{roots[0].text.rstrip('/')}/{TOP}" if len(roots) == 1 and roots[0].known else TOP
    marks = re.compile(r"\{(?:/?\.?|//)\}")
    marked = any(marks.search(field.text) for field in command)
    vector = [Field(text=marks.sub(lambda _: name, field.text), sources=field.sources) for field in command]
    vector += [] if marked else [Field(text=name)]
    with call.perhaps():
        call.shell.again(call, tuple(vector), external=True, stdin=NOTHING)
    return SOMETHING


_RUNS: Final = lazy(r"-[HIusigaLlp01qF]*(?P<letter>[xX])=?|--exec(?:-batch)?(?:=|$)")
"""Where the command of `fd` begins."""


def ambiguous(call: Call, parsed: Parsed) -> Stream:
    """Commands of one name and several makes: what the spec says may be, and the words are mentioned as well."""
    call.opaque("program", reason=f"several programs are called {call.name}")
    return apply_spec(call, parsed)


FAMILIES: Final[Mapping[str, Family]] = {
    "ambiguous": ambiguous,
    "both": both,
    "dar": dar,
    "ddlike": ddlike,
    "duplicates": duplicates,
    "mmv": mmv,
    "mtools": mtools,
    "rename": rename,
    "seek": seek,
    "stow": stow,
}
"""What `code` of a spec may say, for this module."""
