"""`argparse`: what the attributes of the parsed arguments may be, from the text of the program and its arguments.

Not concerned with a parser that is handed on, that is made in another module, or whose values pass through functions of
the program: what it gives is then not known. Where it is not plain which option a word belongs to, it may be of any.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from guardrail.effects.code.python._carried import content
from guardrail.effects.code.python._defined import Instance, Klass
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._machine import Machine
from guardrail.effects.code.python._values import Args, Const, Ref, Seq, Text, Thing, Unknown, Value
from guardrail.effects.domain._values import TOP, merge
from guardrail.model import Resource

_MAKING: Final = frozenset(
    "ArgumentParser add_argument_group add_mutually_exclusive_group add_subparsers add_parser".split()
)
_ASKED: Final = frozenset("add_argument parse_args print_help print_usage error exit format_help".split()) | _MAKING
_NUMBERS: Final = frozenset(("int", "float", "bool"))
_PATHS: Final = frozenset(("Path", "pathlib.Path"))
_FLAGS: Final = frozenset("store_true store_false count version".split())
_ACTIONS: Final = frozenset("store append extend".split()) | _FLAGS
_SPOKEN: Final = frozenset("help metavar required dest action type default const nargs choices version".split())
_MAKER_WORDS: Final = frozenset(
    "prog description epilog usage add_help allow_abbrev formatter_class title help required dest aliases".split()
)
_OTHERWISE: Final = frozenset("argv set_defaults fromfile_prefix_chars parse_intermixed_args".split())
"""Names that give a parser other words, or other values."""

Option = tuple[str, ast.Call]
"""The name of an attribute, and the call that says what it is."""


@handles("argparse.ArgumentParser")
def parser(machine: Machine, args: Args) -> Value:
    """What asks for arguments."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    return Thing("argparse.ArgumentParser")


@handles("argparse.ArgumentParser.parse_args")
def parse_arguments(machine: Machine, args: Args) -> Value:
    """An object with an attribute for each argument."""
    trees = [tree for tree in machine.trees if _uses_it(tree)]
    given_none = all(isinstance(value, Const) and value.value is None for value in args.pos[1:])
    asked = not given_none or args.named or args.vague is not None or machine.argv_value is not None
    options = _options(machine.trees, trees[0]) if len(trees) == 1 and not asked else None
    words, sources = _words(machine)
    machine.doubt(*args.pos, Unknown(sources))  # a word that is not expected is repeated
    if options is None:
        return Unknown(merge(content(args), sources))
    own = frozenset(name for tree in machine.trees for name in _given(tree))
    plain = all(field.known for field in machine.argv[1:])
    given = _assigned(options, [field.text for field in machine.argv[1:]]) if plain else None
    made = Instance(Klass("Namespace", {}, (), framed=False), machine.branch)
    for name, call in options:
        some = words if given is None else given.get(name, ())
        value = _value(call, some, sources, own, sure=given is not None and bool(some))
        made.names[name] = join(made.names[name], value) if name in made.names else value
    return made


@handles("argparse.ArgumentParser.add_argument")
def ask(machine: Machine, args: Args) -> Value:
    """One more argument; what makes a value of its text is called with it."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    if (kind := args.named.get("type")) is not None:
        words, sources = _words(machine)
        with machine.undecided():
            machine.call_value(kind, Args([Text(words or (TOP,), sources)]))
    return Unknown()


@handles("argparse.FileType")
def file_type(machine: Machine, args: Args) -> Value:
    """What opens the file that an argument names."""
    words, sources = _words(machine)
    with machine.undecided():
        machine.call_ref("builtins.open", Args([Text(words or (TOP,), sources), *args.pos], named=dict(args.named)))
    return Ref("builtins.str")


# -- the text of the program


def _uses_it(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "argparse":
            return True
        if isinstance(node, ast.Import) and any(one.name == "argparse" for one in node.names):
            return True
    return False


def _options(trees: Sequence[ast.AST], own: ast.AST) -> list[Option] | None:
    """Every attribute there may be; None if there may be others."""
    parsers = _parsers(own)
    if parsers is None or any(map(_is_otherwise, (node for tree in trees for node in ast.walk(tree)))):
        return None
    # INVARIANT: a name of a parser stands only where one is made, or is asked something by a call.
    asked: set[int] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value
            if tree is own and isinstance(owner, ast.Name) and owner.id in parsers and node.func.attr in _ASKED:
                asked.add(id(owner))
            elif node.func.attr == "add_argument":
                return None
    for node in ast.walk(own):
        handed = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in asked
        if (handed and node.id in parsers) or (isinstance(node, ast.arg) and node.arg in parsers):  # type: ignore[attr-defined]
            return None
    return _asked_for(own)


def _parsers(own: ast.AST) -> set[str] | None:
    """Names that stand for parsers and their groups, and for nothing else."""
    found: set[str] = set()
    stored: list[str] = []
    for node in ast.walk(own):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _called(node.value) in _MAKING:
            if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
                return None
            found.add(node.targets[0].id)
            stored.append(node.targets[0].id)
    names = [node.id for node in ast.walk(own) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
    return found if all(names.count(name) == stored.count(name) for name in found) else None


def _is_otherwise(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _OTHERWISE
    if isinstance(node, ast.alias):
        return node.name in ("argv", "*")
    if isinstance(node, ast.keyword):
        return node.arg in _OTHERWISE
    makes = isinstance(node, ast.Call) and _called(node) in _MAKING
    return makes and not {keyword.arg or "" for keyword in node.keywords} <= _MAKER_WORDS  # type: ignore[attr-defined]


def _asked_for(own: ast.AST) -> list[Option] | None:
    found: list[Option] = []
    alone = {id(node.value) for node in ast.walk(own) if isinstance(node, ast.Expr)}
    for node in ast.walk(own):
        called = _called(node) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and called == "add_argument":
            name = _name(node)
            if name is None or id(node) not in alone:  # what it gives can be changed
                return None
            found.append((name, node))
        elif isinstance(node, ast.Call) and called == "add_subparsers":
            found += [(_text(one.value) or "", node) for one in node.keywords if one.arg == "dest"]
    return found


def _given(tree: ast.AST) -> Iterator[str]:
    """Names of types, as far as the program gives them a meaning that they do not have by themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.ImportFrom | ast.Import):
            for one in node.names:
                plain = isinstance(node, ast.Import) or node.module == "pathlib"
                yield from (one.asname or one.name,) if one.asname is not None or not plain else ()
        elif isinstance(node, ast.Global | ast.MatchAs | ast.MatchStar | ast.ExceptHandler):
            yield from (*_PATHS, *_NUMBERS)


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg or "": keyword.value for keyword in call.keywords}


def _name(call: ast.Call) -> str | None:
    """The attribute of one argument; None if a word of the call may say that there are others."""
    names = [_text(arg) for arg in call.args]
    words = _keywords(call)
    if not names or None in names or not words.keys() <= _SPOKEN or not _is_action(words.get("action")):
        return None
    if "dest" in words:
        return _text(words["dest"])
    given = [name for name in names if name]
    long = next((name for name in given if name.startswith("--")), given[0] if given else "")
    return long.lstrip("-").replace("-", "_") or None


def _is_action(node: ast.expr | None) -> bool:
    return node is None or _text(node) in _ACTIONS or ast.unparse(node) == "argparse.BooleanOptionalAction"


def _constant(node: ast.expr, *, paths: bool) -> tuple[object, ...] | None:
    """A literal, or those in a list; a path made of a literal counts as that."""
    if paths and isinstance(node, ast.Call) and ast.unparse(node.func) in _PATHS and len(node.args) == 1:
        node = node.args[0]
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.Constant):
        return (node.value,)
    if isinstance(node, ast.List | ast.Tuple):
        parts = [_constant(item, paths=paths) for item in node.elts]
        return None if None in parts else tuple(one for part in parts for one in part or ())
    return None


# -- the words of the call


class _Taking:
    """What takes the words of a command line, where each option takes one word or none."""

    def __init__(self) -> None:
        self.takers: dict[str, str] = {}
        self.flags: set[str] = set()
        self.places: list[tuple[str, bool]] = []

    def add(self, name: str, call: ast.Call) -> bool:
        """One more argument; whether it is so plain."""
        said = _keywords(call)
        titles = [text for text in map(_text, call.args) if text is not None]
        action = _text(said["action"]) if "action" in said else "store"
        if _called(call) != "add_argument" or not titles:
            return False
        if titles[0][:1] != "-":
            self.places.append((name, "nargs" in said))
        elif action in ("store", "append") and "nargs" not in said:
            self.takers.update(dict.fromkeys(titles, name))
        elif action in _FLAGS:
            self.flags.update(titles)
        else:
            return False
        return True

    def share(self, argv: Sequence[str]) -> dict[str, list[str]] | None:
        """The words of each; None unless every option is spelled out."""
        found: dict[str, list[str]] = {}
        free: list[str] = []
        words = list(argv)
        while words:
            word = words.pop(0)
            head, mark, value = word.partition("=") if word[:2] == "--" else (word, "", "")
            if word[:1] != "-":
                free.append(word)
            elif head in self.takers and (mark or (words and words[0][:1] != "-")):
                found.setdefault(self.takers[head], []).append(value if mark else words.pop(0))
            elif mark or head not in self.flags:
                return None
        if len(self.places) == 1 and self.places[0][1]:
            free_of: dict[str, list[str]] = {self.places[0][0]: free}
        elif len(free) == len(self.places) and not any(several for _, several in self.places):
            free_of = {}
            for (name, _), word in zip(self.places, free, strict=True):
                free_of.setdefault(name, []).append(word)
        else:
            return None
        for name, some in free_of.items():
            found.setdefault(name, []).extend(some)
        return found


def _assigned(options: Sequence[Option], argv: Sequence[str]) -> Mapping[str, Sequence[str]] | None:
    taking = _Taking()
    return taking.share(argv) if all(taking.add(name, call) for name, call in options) else None


def _words(machine: Machine) -> tuple[tuple[str, ...], tuple[Resource, ...]]:
    """Every text that a value may be, and whose content is in them."""
    texts: list[str] = []
    sources: tuple[Resource, ...] = ()
    plain = all(field.text != "--" for field in machine.argv[1:])
    for field in machine.argv[1:]:
        sources = merge(sources, field.sources)
        # Behind `--` every word is a value.
        texts += (TOP,) if not field.known else _of(field.text) if plain else (field.text, *_of(field.text))
    return tuple(dict.fromkeys(texts)), sources


def _of(text: str) -> Iterator[str]:
    """What a word may give: itself, or what stands behind the name of an option."""
    if text[:2] == "--" and text != "--":
        if "=" in text:
            yield text.partition("=")[2]
    elif text[:1] == "-" and len(text) > 2 and not text[1:].replace(".", "").isdecimal():
        yield TOP  # a value may be glued to any of its letters
    elif text[:1] != "-" or text == "-":
        yield text


def _value(
    call: ast.Call, words: Sequence[str], sources: tuple[Resource, ...], own: frozenset[str], *, sure: bool
) -> Value:
    """What one attribute may be.

    Args:
        call: what says what it is.
        words: what may stand for it.
        sources: whose content is in those.
        own: names of types that mean something else in this program.
        sure: something does stand for it, so that it has no other value.
    """
    if _called(call) != "add_argument":
        return Text(words or ("",), sources)
    said = _keywords(call)
    action = _text(said["action"]) if "action" in said else "store"
    kind = ast.unparse(said["type"]) if "type" in said else "str"
    if action not in ("store", "append", "extend"):
        return Unknown(sources, numeric=True)
    default = _constant(said["default"], paths=not own & _PATHS) if "default" in said and not sure else (None,)
    if kind in own or kind not in {"str", *_NUMBERS, *_PATHS} or default is None or "const" in said:
        return Unknown(sources)
    if kind in _NUMBERS:
        return Unknown(sources, numeric=True)
    texts = tuple(dict.fromkeys((*words, *(one for one in default if isinstance(one, str)))))
    one = Text(texts, sources, path=kind in _PATHS) if texts else Const(None)
    if action != "store" or ("nargs" in said and _text(said["nargs"]) != "?"):
        return Seq([], rest=one)
    return join(one, Const(None)) if None in default and not sure else one
