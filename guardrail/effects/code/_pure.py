"""A small proof that a piece of Python only computes and prints.

Not an analyser: whatever is not on the short lists below is not pure. Names of dunder attributes, aliases of functions,
definitions and every statement that is not listed are out, so there is no way to reach what the lists do not name.
"""

from __future__ import annotations

import ast
import sys
from typing import Final

from guardrail.effects.domain._view import FileView

MAX_PYTHON_BYTES: Final = 4096
"""Longest Python text that is looked at, in bytes."""

_BUILTINS: Final = frozenset(
    "print len str int float bool sum min max sorted range list dict set tuple abs round enumerate zip repr chr ord "
    "hex bin divmod any all reversed True False None".split()
)
_MODULES: Final = {
    "sys": frozenset("version version_info platform maxsize byteorder prefix argv executable stdin".split()),
    "json": frozenset("dumps loads load".split()),
    "math": frozenset("sqrt pi e log log2 log10 exp floor ceil pow sin cos tan gcd factorial isclose hypot".split()),
    "re": frozenset("findall sub match search split fullmatch escape".split()),
    "platform": frozenset("python_version system machine release node platform processor".split()),
    "datetime": frozenset("datetime date timedelta timezone".split()),
    "time": frozenset("time strftime gmtime localtime monotonic".split()),
    "statistics": frozenset("mean median stdev pstdev variance mode".split()),
    "base64": frozenset("b64encode b64decode".split()),
    "hashlib": frozenset("sha256 sha1 md5 sha512".split()),
}
_METHODS: Final = frozenset(
    "join split strip rstrip lstrip lower upper replace get items keys values append startswith endswith isoformat "
    "strftime group groups encode decode hexdigest splitlines total_seconds count index title zfill year month day "
    "hour minute second now today utcnow fromtimestamp timestamp days seconds major minor micro name".split()
)
_KEYWORDS: Final = frozenset("sep end indent sort_keys reverse flush days hours minutes seconds weeks".split())
_NODES: Final = (
    ast.Module, ast.Expr, ast.Assign, ast.AugAssign, ast.For, ast.If, ast.Pass, ast.Constant, ast.BinOp, ast.UnaryOp,
    ast.BoolOp, ast.Compare, ast.IfExp, ast.JoinedStr, ast.FormattedValue, ast.List, ast.Tuple, ast.Dict, ast.Set,
    ast.Subscript, ast.Slice, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Starred,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def is_pure(code: str, *, cwd: str | None, view: FileView) -> bool:
    """Whether Python code provably touches no file, process or network.

    Args:
        code: the text after `-c`.
        cwd: the working directory, which Python searches for modules first.
        view: the live filesystem.
    """
    if len(code) > MAX_PYTHON_BYTES:
        return False
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    modules: set[str] = set()
    direct: set[str] = set()
    local: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            if any(alias.asname or alias.name not in _MODULES for alias in node.names):
                return False
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            allowed = _MODULES.get(node.module or "", frozenset[str]()) if node.level == 0 else frozenset[str]()
            if any(alias.asname or alias.name not in allowed for alias in node.names):
                return False
            direct.update(alias.name for alias in node.names)
            modules.add(f"from {node.module}")
    local.update(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    if local & (modules | direct | _BUILTINS | set(_MODULES)):
        return False
    if modules and _shadowed(cwd, view):
        return False
    return all(_allowed(node, modules, direct, local) for node in ast.walk(tree))


def _allowed(node: ast.AST, modules: set[str], direct: set[str], local: set[str]) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.alias):
        return True
    if isinstance(node, ast.keyword):
        return node.arg in _KEYWORDS
    if isinstance(node, ast.Name):
        return node.id in _BUILTINS or node.id in modules or node.id in direct or node.id in local
    if isinstance(node, ast.Attribute):
        if not isinstance(node.ctx, ast.Load):
            return False
        if isinstance(node.value, ast.Name) and node.value.id in modules:
            return node.attr in _MODULES[node.value.id]
        if node.attr == "read":
            return _is_stdin(node.value)
        return node.attr in _METHODS
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name | ast.Attribute) and not (
            isinstance(node.func, ast.Name) and node.func.id in local
        )
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) for target in node.targets)
    if isinstance(node, ast.AugAssign):
        return isinstance(node.target, ast.Name)
    return isinstance(node, _NODES)


def _is_stdin(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "stdin"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    )


def _shadowed(cwd: str | None, view: FileView) -> bool:
    """A file in the working directory may take the place of a module of the standard library."""
    if cwd is None or any(c in cwd for c in "*?["):
        return True
    for pattern in ("*.py", "*.so", "*.pyc", "*/__init__.py"):
        names = view.glob(f"{cwd.rstrip('/')}/{pattern}")
        if names is None:
            return True
        for name in names:
            parts = name.split("/")
            stem = parts[-2] if parts[-1] == "__init__.py" else parts[-1].partition(".")[0]
            if stem in sys.stdlib_module_names:
                return True
    return False
