"""`python -m module`: modules with a command line of their own, as their documentation describes it.

Not concerned with modules that are scripts of the project.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from guardrail.effects.code.python._run import run_code
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream
from guardrail.model import Resource
from guardrail.patterns import lazy

Module = Callable[[Call, Sequence[Field]], Stream]

SERVING: Final = lazy(
    r"vllm(?:\..*)?|sglang\.launch_server|sglang|mlx_lm\.(?:server|generate|chat)|llama_cpp\.server|lm_eval|"
    r"text_generation_server|tensorrt_llm\..*serve.*|fastchat\.serve\..*|ollama|lmdeploy|transformers\.commands\..*serving"
)
"""Modules that read a model to serve or to test it."""

_PLAIN: Final = frozenset(
    "this antigravity calendar platform sysconfig site locale ensurepip.version keyword random "
    "json.decoder turtledemo difflib pyclbr tabnanny symtable pstats".split()
)


_SERVERS: Final = frozenset(
    "uploadserver RangeHTTPServer rangehttpserver ComplexHTTPServer SimpleHTTPServer pyftpdlib updog sauth "
    "simple_http_server http_server quickhttp httpfileserver".split()
)
"""Modules that offer the directory they run in, or the one an option names."""


def module_of(name: str) -> Module | None:
    """The command line of a module, if it is known."""
    return _MODULES.get(name)


def _operands(args: Sequence[Field], valued: str = "") -> tuple[list[Field], set[str], dict[str, Field]]:
    """Operands, flags, and values of the options that take one."""
    takes = set(valued.split())
    found: list[Field] = []
    flags: set[str] = set()
    values: dict[str, Field] = {}
    rest = list(args)
    while rest:
        field = rest.pop(0)
        name, mark, _ = field.text.partition("=")
        if not field.text.startswith("-") or field.text == "-":
            found.append(field)
        elif mark and name in takes:
            values[name] = field.tail(len(name) + 1)
        elif field.text in takes and rest:
            values[field.text] = rest.pop(0)
        else:
            flags.add(field.text)
    return found, flags, values


def _plain(call: Call, args: Sequence[Field]) -> Stream:
    """Shows what it knows of the files it is given."""
    for field in _operands(args)[0]:
        call.read(field, reveals="some")
    return SOMETHING


def _json_tool(call: Call, args: Sequence[Field]) -> Stream:
    names, _, _ = _operands(args, "--indent")
    if not names:
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    sources = call.read(names[0])
    if len(names) > 1:
        call.put("write", call.place(names[1]), sources)
        return NOTHING
    return Stream(sources=sources)


def _base64(call: Call, args: Sequence[Field]) -> Stream:
    names, _, _ = _operands(args)
    sources = call.read(names[0]) if names else call.stdin.sources
    return Stream(sources=sources)


def _shown(call: Call, args: Sequence[Field]) -> Stream:
    """Prints what is in a file in another form: its tokens, its tree, its code, or its letters exchanged."""
    names, _, _ = _operands(args)
    sources = tuple(source for field in names for source in call.read(field))
    return Stream(sources=sources or call.stdin.sources)


def _imported(call: Call, args: Sequence[Field]) -> Stream:
    """`pydoc` and `inspect` import what they tell about, by its name or its file."""
    names, flags, _ = _operands(args)
    if flags & {"-p", "-b", "-n", "-k"}:
        return SOMETHING
    for field in names:
        text = field.text
        file = text if "/" in text or text.endswith(".py") else f"{text.partition(':')[0].replace('.', '/')}.py"
        there = call.place(Field(text=file))
        if there.path is None or not call.shell.contents.missing(there.path):
            call.script(there)
    return SOMETHING


def _gzip(call: Call, args: Sequence[Field]) -> Stream:
    names, flags, _ = _operands(args)
    if not names or names[0].text == "-":
        return Stream(sources=call.stdin.sources)
    for field in names:
        sources = call.read(field)
        text = field.text
        undone = bool(flags & {"-d", "--decompress"})
        other = text[:-3] if undone and text.endswith(".gz") else text + ".gz"
        call.put("write", call.place(Field(text=other)), sources)
    return NOTHING


def _archive(call: Call, args: Sequence[Field]) -> Stream:
    """`zipfile` and `tarfile`: `-c archive files…`, `-e archive directory`, `-l` and `-t archive`."""
    names = [field for field in args if not field.text.startswith("-")]
    flags = {field.text for field in args if field.text.startswith("-")}
    if not names:
        return SOMETHING
    if flags & {"-c", "--create"}:
        sources: tuple[Resource, ...] = ()
        for field in names[1:]:
            sources = (*sources, *call.read(field, recursive=True))
        call.put("write", call.place(names[0]), sources)
        return NOTHING
    held = call.read(names[0], reveals="content" if flags & {"-e", "--extract"} else "some")
    if flags & {"-e", "--extract"}:
        target = names[1] if len(names) > 1 else Field(text=".")
        call.put("write", call.place(target, kind="dir", recursive=True), held)
    return SOMETHING


def _cached(call: Call, folder: str, *, checked: bool) -> None:
    """Compiled modules are put beside their sources; a place of which nothing is known is left out.

    By default Python looks whether a source was changed since; with `checked` it surely does.
    """
    if TOP in folder:
        return
    name = f"{folder}/__pycache__"
    call.emit("create", place(name, call.cwd, kind="dir", glob=name if "*" in name else None))
    # INVARIANT: what is compiled is the source's own, so the session wrote none of it; `note_start` looks whether a
    # source was changed since.
    attrs = {"environment": True, "compiled": True} if checked else None
    call.emit("write", place(f"{name}/*", call.cwd, glob=f"{name}/*"), attrs=attrs, may=True)


def _compileall(call: Call, args: Sequence[Field]) -> Stream:
    names, flags, values = _operands(args, "-d -s -p -x -i -j -o -e -r --invalidation-mode")
    checked = flags <= {"-q", "-qq", "-f", "-l"} and values.keys() <= {"-j", "-r", "-x"}
    for field in names or [Field(text=".")]:
        call.read(field, reveals="none", recursive=True)
        for folder in (field.text.rstrip("/"), f"{field.text.rstrip('/')}/*"):
            _cached(call, folder, checked=checked)
    return SOMETHING


def _py_compile(call: Call, args: Sequence[Field]) -> Stream:
    for field in _operands(args)[0]:
        call.read(field, reveals="none")
        folder = field.text.rpartition("/")[0]
        _cached(call, folder or ".", checked=True)
    return SOMETHING


def _venv(call: Call, args: Sequence[Field]) -> Stream:
    for field in _operands(args, "--prompt")[0]:
        call.emit("create", call.place(field, kind="dir"))
        inside = call.place(field, kind="dir", recursive=True)
        # What is put there is the interpreter's own: nothing that the session wrote.
        call.emit("write", inside, attrs={"environment": True})
        call.emit("set_security", inside)
    return NOTHING


def _server(call: Call, args: Sequence[Field]) -> Stream:
    """`http.server` offers a directory to whoever asks."""
    _, _, values = _operands(args, "-d --directory -b --bind -p --protocol")
    field = values.get("-d") or values.get("--directory") or Field(text=".")
    offered = call.place(field, kind="dir", recursive=True)
    call.emit("copy", offered, Resource(kind="net", uri="http://*"), may=True, flow=("serve",))
    return SOMETHING


def _timeit(call: Call, args: Sequence[Field]) -> Stream:
    statements: list[str] = []
    rest = list(args)
    while rest:
        field = rest.pop(0)
        if field.text in ("-n", "-r", "-u", "--number", "--repeat", "--unit") and rest:
            rest.pop(0)
        elif field.text in ("-s", "--setup") and rest:
            statements.insert(0, rest.pop(0).text)
        elif field.text.startswith("-") and field.text != "--":
            continue
        elif not field.known:
            return call.opaque("dynamic", reason="the code given to python is not known", words=args)
        else:
            statements.append(field.text)
    return run_code(call, "\n".join(statements), [Field(text="timeit"), *args])


def _sqlite(call: Call, args: Sequence[Field]) -> Stream:
    names, _, _ = _operands(args)
    if len(names) < 2 or not all(field.known for field in names[:2]):
        return call.opaque("inline", reason="statements are read from the input", words=args)
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])"
    return run_code(call, code, [Field(text="sqlite3"), *names[:2]])


def _pip(call: Call, args: Sequence[Field]) -> Stream:
    """Installing runs code of packages; listing does not."""
    names, _, _ = _operands(args)
    if names and names[0].text in ("list", "show", "freeze", "check", "config", "debug", "help", "index", "inspect"):
        return SOMETHING
    if names and names[0].text in ("install", "uninstall"):
        return call.shell.again(call, (Field(text="pip"), *args), external=True)
    return call.opaque("program", resource=as_code("python -m pip"), words=args)


def _guardrail(call: Call, args: Sequence[Field]) -> Stream:
    """The command line of the guard itself."""
    return call.shell.again(call, (Field(text="guardrail"), *args), external=True)


def _pickle(call: Call, args: Sequence[Field]) -> Stream:
    """Shows a pickle, and so runs what is in it."""
    return call.opaque("inline", reason="objects are read that may be code", words=args)


_MODULES: Final[dict[str, Module]] = {
    **dict.fromkeys(_PLAIN, _plain),
    "json.tool": _json_tool, "json": _json_tool, "base64": _base64, "gzip": _gzip, "zipfile": _archive,
    "tarfile": _archive, "compileall": _compileall, "py_compile": _py_compile, "venv": _venv, "http.server": _server,
    **dict.fromkeys(_SERVERS, _server), **dict.fromkeys(("tokenize", "ast", "dis", "encodings.rot_13"), _shown),
    "pydoc": _imported, "inspect": _imported,
    "timeit": _timeit, "sqlite3": _sqlite, "pip": _pip, "guardrail": _guardrail, "pickle": _pickle, "quopri": _base64,
}  # fmt: skip
