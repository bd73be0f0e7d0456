"""Secrets taken out of text before it is written anywhere: what looks like one becomes `***`.

Masked are: the password in an address, credentials in headers, private keys, tokens of the forms that their makers
publish, JSON web tokens, and the value of whatever is named like a secret (an argument, a variable, an option, a query
parameter). Everything else stays as it is.

Not concerned with what was masked: no digest of it is kept, because a short secret could be found from one.
INVARIANT: no pattern takes more than time in proportion to the text, for an agent chooses the text: repeats inside of
repeats, and runs before something that may be missing, have bounds.
Blind spot: a secret that has no form of its own and stands under an innocent name, or alone as a word of a command, so
that it is taken for the name of a file, is not known for one.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from typing import Any, Final

import orjson

MASK: Final = "***"
"""What stands where a secret was."""

MIN_RANDOM_CHARS: Final = 20
"""Shortest value that is taken for random wherever a name speaks of keys or tokens in a wider sense, in characters."""

MIN_ENTROPY_BITS: Final = 3.0
"""Least entropy of a value that is taken for random, in bits a character; English words have about 2.5 to 3."""

_KEYS: Final = "api|access|private|auth|account|encryption|signing"
"""What stands before `key` in the name of a secret."""

_NAMES: Final = (
    r"(?:[a-z0-9_.-]{0,64}(?:passw(?:or)?d|passwd|passphrase|secret|credential|bearer|cookie"
    rf"|(?:{_KEYS})[_-]?key"
    r"|(?:^|[_.-]|access|refresh|auth|id|session|api|bot|csrf|x|ph|hf)token"
    r"|x-(?:amz|goog)-signature|x-amz-security-token)s?[a-z0-9_-]{0,64}"
    r"|token|pwd|pgpassword|sig|signature|(?:proxy-)?authorization)"
)
"""Names of what is secret; case does not count."""

_NAME: Final = re.compile(_NAMES, re.IGNORECASE)

_INNOCENT: Final = re.compile(
    r"(?:max|min|num|n|total|prompt|completion|input|output|context|stop|bos|eos|pad|unk|special|token(?:s|izer)?)"
    r"[_-]?tokens?|.*tokens?[_-]?(?:count|limit|budget|ids?|type|length|url|uri|path|file)|tokenizer.*|.*[_-]?(?:path|file|name|hint)",
    re.IGNORECASE,
)
"""Names with such a word in them that are about something else: limits of models, and places of files."""

_WIDER: Final = re.compile(r".*(?:key|token|auth|secret|cred|salt|seed_?phrase).*", re.IGNORECASE)

_VALUE: Final = r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'&;,|)}\]]+)"""

_PATTERNS: Final = tuple(
    (re.compile(pattern, flags), with_)
    for pattern, flags, with_ in (
        (
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
            re.DOTALL,
            MASK,
        ),
        # user:password@ and token@ in an address; a bare name before the host is no secret. One slash is an address
        # that was taken for the name of a file, and whose path was put in order.
        (r"\b([a-z][a-z0-9+.-]{0,20}:/{1,2})[^\s/@:'\"]*:[^\s/@'\"]+@", re.IGNORECASE, rf"\1{MASK}@"),
        (r"\b(https?:/{1,2})[^\s/@:'\"]{16,}@", re.IGNORECASE, rf"\1{MASK}@"),
        (
            (
                r"\b((?:proxy-)?authorization\s{0,8}[:=]\s{0,8}[\"']?\s{0,8}(?:(?:bearer|basic|token|digest|apikey)\s{1,8})?)"
                r"[^\s\"',;]+(?:\s*,\s*[a-z]+=\"[^\"]*\")*"
            ),
            re.IGNORECASE,
            rf"\1{MASK}",
        ),
        (r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE, rf"\1 {MASK}"),
        (r"\b((?:set-)?cookie\s*:\s*)[^\r\n\"']+", re.IGNORECASE, rf"\1{MASK}"),
        (r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", 0, MASK),
        (r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}", 0, MASK),
        (r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}", 0, MASK),
        (r"\b(?:sk|pk|rk)[-_](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_-]{20,}", 0, MASK),
        (r"\bAIza[0-9A-Za-z_-]{30,}|\bya29\.[0-9A-Za-z_.-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}", 0, MASK),
        (
            r"\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bdckr_pat_[A-Za-z0-9_-]{20,}",
            0,
            MASK,
        ),
        (r"\bhvs\.[A-Za-z0-9_-]{20,}|\bdop_v1_[a-f0-9]{40,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", 0, MASK),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*", 0, MASK),
    )
)
"""What is masked wherever it stands, from forms that the makers of tokens publish; checked 2026-11-30."""

_BETWEEN: Final = r"""(["']?\s{0,8}(?:=|:(?!//))\s{0,8}|(?<=[a-z])\s{1,8})"""

_ASSIGNED: Final = re.compile(r"(?<![\w.-])(--?)?(" + _NAMES + ")" + _BETWEEN + _VALUE, re.IGNORECASE)
"""`NAME=value`, `name: value`, `--name value`, `?name=value`; a space only behind an option."""

_MAY: Final = {
    "begin ": (),
    "bearer ": (),
    "basic ": (),
    "cookie": (),
    "ia": ("akia", "asia", "abia"),
    "acca": (),
    "gh": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "github_pat": (),
    "glpat": (),
    "xox": (),
    "xapp-": (),
    "k-": ("sk-", "pk-", "rk-"),
    "k_": ("sk_", "pk_", "rk_"),
    "aiza": (),
    "ya29": (),
    "gocspx": (),
    "hf_": (),
    "npm_": (),
    "pypi-": (),
    "dckr_": (),
    "hvs.": (),
    "dop_v1": (),
    "sg.": (),
    "eyj": (),
    "pass": ("passw", "passphrase"),
    "secret": (),
    "credential": (),
    "token": (),
    "pwd": (),
    "sig": ("sig=", 'sig"', "signature"),
    "authorization": (),
    "key": tuple(f"{word}{dash}key" for word in _KEYS.split("|") for dash in ("", "_", "-")),
}
"""One of these, or an address with somebody in it, is in every text that has something to mask.

Looking for them is much cheaper than the patterns, and for what several have in common cheaper than for each of them:
with words behind it, it is one of those that has to be there.
"""


def _may_hold(low: str) -> bool:
    for sign, words in _MAY.items():
        if sign in low and (not words or any(word in low for word in words)):
            return True
    return ":/" in low and "@" in low


@functools.lru_cache(4096)
def masked(text: str) -> str:
    """A text without its secrets.

    Args:
        text: anything that an agent, or a person, wrote.

    Returns:
        The text itself where nothing in it looks like a secret. What was masked once is not changed again.
    """
    if not _may_hold(text.lower()):
        return text
    for pattern, with_ in _PATTERNS:
        text = pattern.sub(with_, text)
    return _ASSIGNED.sub(_assigned, text)


def _assigned(match: re.Match[str]) -> str:
    dash, name, between, value = match.groups()
    if _INNOCENT.fullmatch(name) or (between.isspace() and not dash) or value.strip("\"'") in ("", MASK):
        return match.group()
    if value.strip("\"'").startswith(("$", "<", "{{")):
        return match.group()  # the name of a secret that is put in elsewhere
    quote = value[0] if value[0] in "\"'" else ""
    return f"{dash or ''}{name}{between}{quote}{MASK}{quote}"


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret."""
    return bool(_NAME.fullmatch(name)) and not _INNOCENT.fullmatch(name)


def masked_value(value: Any, name: str = "") -> Any:
    """Plain JSON values without their secrets.

    Args:
        value: any of them; it is not changed.
        name: what it is called, if it is a member of an object.

    Returns:
        The same with masked text; the value of a secret name is masked whatever it is, but true, false and null.
    """
    whole: Any = value
    if isinstance(value, dict):
        # A change of one key of a file has the key's name beside its values.
        members: dict[Any, Any] = whole
        named = members.get("key")
        about = named.rpartition(".")[2] if isinstance(named, str) else ""
        return {
            key: masked_value(item, about if about and key in _VALUES else str(key)) for key, item in members.items()
        }
    if isinstance(value, list | tuple):
        return [masked_value(item, name) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, bool) or value is None:
        return value
    if name and (is_secret_name(name) or (isinstance(value, str) and _WIDER.fullmatch(name) and is_random(value))):
        return MASK
    return masked(value) if isinstance(value, str) else value


_VALUES: Final = frozenset({"before", "after", "value"})
"""What the values of a key are called, where the key's name stands beside them."""


def is_random(text: str) -> bool:
    """Whether a text looks drawn at random: long, without blanks and slashes of a path, and of high entropy."""
    if len(text) < MIN_RANDOM_CHARS or not text.isascii() or any(char in text for char in " \n\t/\\"):
        return False
    total = len(text)
    bits = -sum(count / total * math.log2(count / total) for count in Counter(text).values())
    return bits >= MIN_ENTROPY_BITS and any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def masked_json(data: bytes) -> bytes:
    """A JSON text without its secrets; the same bytes where there are none.

    Args:
        data: valid JSON, as a whole.
    """
    if not _is_worth_a_look(data) or not _may_hold(data.decode("utf-8", "replace").lower()):
        return data
    value = orjson.loads(data)
    clean = masked_value(value)
    return data if clean == value else orjson.dumps(clean)


_LONG_WORD: Final = b"w" * 24
"""From which length on any word may be a token, in characters."""

_LONG_KEY: Final = b"w" * 20
"""From which length on one may be a key with one of `_KEY_SIGNS`."""

_KEY_SIGNS: Final = (b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"glpat-", b"hvs.")

_IN_A_WORD: Final = bytes(
    ord("w") if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"_-") else ord(" ") for byte in range(256)
)
"""Makes every character of a word the same: then a long one is a text that can be searched for."""

_SIGNS: Final = (
    *(b"=", b"-----", b'"after"', b'"before"', b"uthorization", b"assword", b"ookie"),
    *(b"eyJ", b"xox", b"xapp-", b"SG."),
)
"""What stands in a secret, or right before it; the last ones in tokens that may be as short as a number."""


def _is_worth_a_look(data: bytes) -> bool:
    """Whether a document of addresses can hold a secret at all: nearly none does, and each decision has one.

    A secret stands behind a sign of its own, in an address with somebody in it, or is a long word.
    """
    for sign in _SIGNS:
        if sign in data:
            return True
    if (b"@" in data and b":/" in data) or (b" " in data and (b"earer " in data or b"asic " in data)):
        return True
    words = data.translate(_IN_A_WORD)
    return _LONG_WORD in words or (_LONG_KEY in words and any(sign in data for sign in _KEY_SIGNS))
