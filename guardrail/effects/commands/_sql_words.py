"""Words of SQL and its dialects that read files, write them, run code or change who may do what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.patterns import lazy

NAMES = r'(?P<name>"(?:[^"]|"")*"|`[^`]*`)'
WORDS = r"(?P<word>[A-Za-z_][\w.]*)|(?P<mark>[^\s])"
PLAIN = r"'(?:[^']|'')*'"
DOLLARS = r"\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
COMMENTS = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
DOT = r"(?P<client>^\.[^\n]*)"
LITE: Final = lazy(rf"{COMMENTS}|(?P<text>{PLAIN})|{NAMES}|{DOT}|{WORDS}", re.DOTALL | re.MULTILINE)
DUCK: Final = lazy(rf"{COMMENTS}|(?P<text>[eE]?{PLAIN}|{DOLLARS})|{NAMES}|{DOT}|{WORDS}", re.DOTALL | re.MULTILINE)
POSTGRES: Final = lazy(
    rf"{COMMENTS}|(?P<text>[eE]'(?:[^'\\]|\\.|'')*'|{PLAIN}|{DOLLARS})|{NAMES}|(?P<client>\\[^\n]*)|{WORDS}",
    re.DOTALL,
)
MYSQL: Final = lazy(
    r"--(?=[\s\x00-\x1f]|\Z)[^\n]*|\#[^\n]*|/\*(?!M?!).*?(?:\*/|\Z)|/\*M?!\d*|\*/"
    r"|(?P<text>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")|(?P<name>`[^`]*`)"
    r"|(?P<client>\\[!.TPdeuCR][^\n]*|^[ \t]*(?i:system|source|tee|pager|edit|delimiter)\b[^\n]*)"
    rf"|{WORDS}",
    re.DOTALL | re.MULTILINE,
)
# One way to count them from the beginning: any other count of the same marks would be tried in all orders.
_MANY_QUOTES: Final = r"\A[^$]*+(?:\$(?!\w*\$)[^$]*+)*+(?:\$\w*+\$[^$]*+(?:\$(?!\w*\$)[^$]*+)*+){65}"

UNSURE: Final[Mapping[re.Pattern[str], re.Pattern[str]]] = {
    DUCK: lazy(rf"\b[eE]'[^']*\\|{_MANY_QUOTES}", re.DOTALL),
    POSTGRES: lazy(rf"/\*(?:(?!\*/).)*?/\*|standard_conforming_strings|{_MANY_QUOTES}", re.DOTALL),
    MYSQL: lazy(r"(?i:sql_mode|named.commands)"),
}
"""What a text holds of which the tokens may be others: comments that nest, other rules for quotes, too many of them."""


FILES: Final = lazy(r"readfile|writefile|load_file|fsdir|lsdir|zipfile|read_\w+|parquet_\w+|sniff_csv")
"""Functions whose first argument is a file, in any of the dialects."""


CHANGES: Final = frozenset(
    "insert update replace create alter reindex vacuum grant revoke merge load import comment upsert "
    "call rename attach restore begin".split()
)
REMOVES: Final = frozenset(("delete", "drop", "truncate"))
LOOKS: Final = frozenset(
    "select with explain pragma values show describe desc use set commit end rollback start savepoint release table "
    "summarize from detach begin analyze checkpoint fetch declare close pivot lock unlock help delimiter".split()
)
CODE: Final = frozenset(
    "load_extension edit fts3_tokenizer sys_exec sys_eval pg_read_file pg_read_binary_file pg_ls_dir lo_import "
    "lo_export pg_file_write dblink dblink_exec install shell".split()
)

DIALECTS: Final = {"psql": POSTGRES, "pgcli": POSTGRES, "duckdb": DUCK}
"""Clients of other dialects than those of mysql and sqlite."""


def is_of_users(words: Sequence[str]) -> bool:
    """A statement that changes who may do what in a database."""
    first, second = words[0], words[1] if len(words) > 1 else ""
    return first in ("grant", "revoke") or (
        first in ("create", "alter", "drop") and second in ("user", "role", "login")
    )


def is_content(tokens: Sequence[tuple[str, str]], index: int) -> bool:
    """What `writefile` writes, which stands behind the name and a comma."""
    before = [text.lower() for _, text in tokens[max(index - 4, 0) : index]]
    return len(before) == 4 and before[0] == "writefile" and before[3] == ","


def unquoted(text: str) -> str:
    """A literal or a name without its quotes."""
    text = text.lstrip("eE") if "'" in text[:2] else text
    quote = text[:1]
    return text[1:-1].replace(quote * 2, quote) if quote in ("'", '"', "`") else text
