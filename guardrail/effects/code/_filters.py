"""One-liners of Perl, Ruby, Node, PHP, Lua and awk-like filters that provably only compute and print.

Not an analyser of those languages: whatever is not on the short lists below is not a filter, and stays opaque.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._literal_calls import Calls, literal_calls
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import Field, Stream, merge
from guardrail.model import Resource

MAX_FILTER: Final = 2048
"""Longest one-liner that is looked at, in characters."""

_PERL_WORDS: Final = frozenset(
    "print printf say if unless else elsif for foreach while until next last and or not x eq ne lt gt le ge cmp "
    "split join push pop shift unshift scalar length substr index rindex uc lc ucfirst lcfirst reverse sort keys "
    "values exists defined delete my our chomp chop sprintf abs int sqrt hex oct ord chr map grep wantarray "
    "return END STDIN STDOUT STDERR INC F _ a b n m s tr y q qq qw strict warnings use no local undef redo do".split()
) - {"do", "INC"}  # fmt: skip
_RUBY_WORDS: Final = frozenset(
    "puts print p printf if unless else elsif end then and or not nil true false next break do while until case "
    "when in def return map each select reject sum count size length split join strip chomp upcase downcase "
    "capitalize gsub sub gsub! sub! tr scan match reverse sort sort_by uniq first last take drop min max inject "
    "reduce to_i to_s to_f to_a to_h keys values zip flatten compact each_with_index with_index times upto downto "
    "step include? start_with? end_with? empty? nil? BEGIN END ARGV STDIN stdin gets read lines each_line chars "
    "bytes RUBY_VERSION inspect key? has_key? fetch group_by tally sum each_slice each_cons format sprintf round "
    "abs floor ceil even? odd? zero? JSON parse generate pretty_generate require json set date Date today parse "
    "Time now strftime Math sqrt PI rand Integer Float String Array Hash x y z i j k v n a b c s l d h line _".split()
) - {"require"}  # fmt: skip
_NODE_WORDS: Final = frozenset(
    "console log error info table JSON parse stringify Math PI max min floor ceil round sqrt pow abs random sign "
    "trunc const let var if else for of in return true false null undefined new Date now toISOString getTime "
    "toString String Number parseInt parseFloat Array from isArray Object keys values entries fromEntries assign "
    "Map Set get set has map filter reduce forEach join split slice splice push pop shift unshift concat sort "
    "reverse includes indexOf startsWith endsWith trim toUpperCase toLowerCase replace replaceAll match test "
    "length repeat padStart padEnd find some every flat flatMap fill toFixed typeof process version versions "
    "platform arch uptime hrtime memoryUsage node v8 argv isNaN isInteger BigInt while break continue charAt "
    "charCodeAt fromCharCode localeCompare substring size add".split()
)
_PHP_WORDS: Final = frozenset(
    "echo print print_r var_dump var_export json_encode json_decode strlen strtoupper strtolower ucfirst implode "
    "explode array count sum array_sum range max min round floor ceil abs sqrt pow pi date time str_repeat "
    "str_replace trim sprintf printf number_format PHP_VERSION phpversion PHP_EOL PHP_OS true false null if else "
    "foreach for as while fn return in_array array_keys array_values sort JSON_PRETTY_PRINT".split()
)
_LUA_WORDS: Final = frozenset(
    "print string format rep upper lower len sub reverse gsub gmatch find byte char table concat insert sort math "
    "floor ceil max min sqrt pi abs huge random type tostring tonumber pairs ipairs local for in do end if then "
    "else elseif while and or not nil true false return function _VERSION unpack select".split()
)
_R_WORDS: Final = frozenset(
    "cat print summary str head tail nrow ncol dim names colnames rownames mean median sum min max sd var quantile "
    "table paste paste0 sprintf format round c seq rep length sort order unique rev nchar toupper tolower t apply "
    "sapply lapply vapply aggregate subset with data frame R version string Sys time is na colMeans rowSums "
    "TRUE FALSE NULL NA header sep stringsAsFactors row function if else for in cor lm factor levels "
    "packageVersion installed packages sessionInfo as numeric character integer which merge".split()
)
_JULIA_WORDS: Final = frozenset("println print VERSION sum length sqrt pi maximum minimum sort reverse".split())
_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)
_DATA: Final = re.compile(r"\bObject(?:\.(?!constructor|prototype|__|keys|values|entries|assign)[a-z]\w*)+")
"""A property of what a file of data holds, which is data."""

_R_ODD: Final = re.compile(r"::|@|\bSys\.(?!time)")
_R_SET: Final = re.compile(r"\b([A-Za-z]\w*)\s*(?:<-|=(?!=))")
_INSIDE: Final = re.compile(
    r"constructor|__proto__|prototype|require|process|eval|import|[Ff]unction|global|#\{|\$\{|@\{|\{\$|`"
)
_PERL_ODD: Final = re.compile(r"`|\(\?\??\{|[@$%]\{|<[^=\s>]*>|\bqx\b|&[\w${]|->|\$\^|\$0|\|\s*['\"]")
_PERL_PATTERN: Final = re.compile(
    r"(?<![\w$@%&>])(?:(?P<s>s)|(?P<tr>tr|y)|(?P<m>m|qr)?)(?P<d>[/|#!,])"
    r"(?P<one>(?:[^\\]|\\.)*?)(?P=d)(?(s)(?P<two>(?:[^\\]|\\.)*?)(?P=d)|(?(tr)(?P<three>(?:[^\\]|\\.)*?)(?P=d)))"
    r"(?P<flags>[a-z]*)",
    re.DOTALL,
)
_WORD: Final = re.compile(r"[A-Za-z_]\w*[!?]?")
_PERL_OPTION: Final = re.compile(r"-(?P<letters>[npalswWT0-7]*)(?P<end>i[^\s]*|F\S*|[eE]|)")


def is_filter(call: Call) -> Stream | None:
    """The output of a one-liner that only computes and prints; None if that is not proved."""
    name = call.name.rstrip("0123456789.")
    if name == "perl":
        return _perl(call)
    if name == "ruby":
        return _line_filter(call, _RUBY_WORDS, "ruby")
    if name in ("node", "nodejs", "deno", "bun"):
        return _code(call, ("-e", "-p", "-pe", "--eval", "--print"), _NODE_WORDS, "node")
    if name == "php":
        return _code(call, ("-r",), _PHP_WORDS, "php")
    if name in ("Rscript", "R", "julia"):
        return _code(call, ("-e",), _R_WORDS if name != "julia" else _JULIA_WORDS, "R" if name != "julia" else name)
    if name in ("lua", "luajit"):
        return _code(call, ("-e",), _LUA_WORDS, "lua")
    return None


def _done(call: Call, sources: tuple[Resource, ...] = ()) -> Stream:
    call.emit("exec", as_code(call.name))
    return Stream(sources=merge(sources, call.stdin.sources), flow=call.stdin.flow)


# -- Perl


def _perl(call: Call) -> Stream | None:
    """`perl -pe 's/a/b/' files`, also with `-i`, which rewrites the files."""
    scripts: list[str] = []
    inplace = loops = False
    rest = list(call.args)
    while rest and rest[0].text.startswith("-") and rest[0].text != "-":
        field = rest.pop(0)
        if field.text == "--":
            break
        option = _PERL_OPTION.fullmatch(field.text)
        if option is None or not field.known:
            return None
        inplace = inplace or option["end"].startswith("i")
        loops = loops or bool(set("np") & set(option["letters"]))
        tail = option["end"]
        if tail.startswith("i") and tail[1:] and tail[-1:] in "eE" and len(tail) > 1:
            return None
        if tail in ("e", "E"):
            if not rest or not rest[0].known:
                return None
            scripts.append(rest.pop(0).text)
    if not scripts or not all(_perl_is_plain(script) for script in scripts):
        return None
    return _over_files(call, rest if loops else (), inplace=inplace)


def _is_file(field: Field) -> bool:
    """Perl runs a name that starts or ends with such a sign as a command."""
    known = field.known or field.glob is not None
    return known and field.text.strip()[:1] not in ("|", "<", ">", "+") and "|" not in field.text


def _over_files(call: Call, files: Sequence[Field], *, inplace: bool) -> Stream | None:
    sources: tuple[Resource, ...] = ()
    if not all(_is_file(field) for field in files):
        return None
    for field in files:
        sources = merge(sources, call.read(field))
        if inplace:
            call.put("write", call.place(field, nofollow=True), ())
    return _done(call, () if inplace else sources)


def _perl_is_plain(code: str) -> bool:
    if len(code) > MAX_FILTER or _PERL_ODD.search(code):
        return False
    plain: list[str] = []
    last = 0
    for match in _PERL_PATTERN.finditer(code):
        if "e" in match["flags"] or set(match["flags"]) - set("gimsxoru"):
            return False
        plain.append(code[last : match.start()])
        last = match.end()
    plain.append(code[last:])
    rest = _STRINGS.sub(" ", " ".join(plain))
    if re.search(r"(?:>>?|<)\s*[A-Za-z_'\"/.]", " ".join(plain)) and re.search(r"print\b[^;]*>", " ".join(plain)):
        return False
    return all(word in _PERL_WORDS or _is_variable(rest, word) for word in _WORD.findall(rest))


def _is_variable(code: str, word: str) -> bool:
    """It stands only behind `$`, `@` or `%`."""
    return len(word) <= 32 and re.search(rf"(?<![$@%\w]){re.escape(word)}\b", code) is None


# -- Ruby


def _line_filter(call: Call, words: frozenset[str], language: str) -> Stream | None:
    scripts: list[str] = []
    inplace = False
    rest = list(call.args)
    while rest and rest[0].text.startswith("-") and rest[0].text != "-":
        field = rest.pop(0)
        option = re.fullmatch(r"-(?P<letters>[npalswW]*)(?P<end>i[^\se]*|e|rjson|)", field.text)
        if option is None or not field.known:
            return None
        inplace = inplace or option["end"].startswith("i")
        if option["end"] == "e":
            if not rest or not rest[0].known:
                return None
            scripts.append(rest.pop(0).text)
    found = [literal_calls(script, language) for script in scripts]
    if not scripts or not all(_is_plain(calls.rest, words, language) for calls in found):
        return None
    if any(calls.reads or calls.writes for calls in found):
        return None if inplace or rest else _with_files(call, found, ())
    return _over_files(call, rest, inplace=inplace)


# -- the others


def _code(call: Call, options: tuple[str, ...], words: frozenset[str], language: str) -> Stream | None:
    args = call.args
    if len(args) < 2 or args[0].text not in options or not all(field.known for field in args[:2]):
        return None
    calls = literal_calls(args[1].text, language)
    if len(args) > 2 or not _is_plain(calls.rest, words, language):
        return None
    return _with_files(call, (calls,), ())


def _with_files(call: Call, found: Sequence[Calls], sources: tuple[Resource, ...]) -> Stream:
    """The effects of calls that name their files; what is read may be in all that is written or printed."""
    for calls in found:
        for name in calls.reads:
            sources = merge(sources, call.read(_named(name)))
    carried = merge(sources, call.stdin.sources)
    for calls in found:
        for name in calls.writes:
            call.put("write", call.place(_named(name)), carried)
        for name in calls.appends:
            call.put("append", call.place(_named(name)), carried)
    return _done(call, sources)


def _named(name: str) -> Field:
    return Field(text=name)


def _is_plain(code: str, words: frozenset[str], language: str) -> bool:
    if len(code) > MAX_FILTER or "`" in code:
        return False
    strings = _STRINGS.findall(code)
    if any(_INSIDE.search(string) for string in strings):
        return False
    rest = _DATA.sub("Object", _STRINGS.sub('""', code)) if language == "node" else _STRINGS.sub('""', code)
    if language == "ruby":
        rest = re.sub(r"/(?:[^/\\\n]|\\.)*/[imx]*", '""', rest)
        if re.search(
            r"%x|\$[^_<\d~,;/.!]|::|&:(?!to_|up|down|strip|size|length|chomp|even|odd|reverse)|<<|\|\s*\"", rest
        ):
            return False
    if language == "php" and re.search(r"\$\w+\s*\(|\$\$", rest):
        return False
    if language in ("node", "php") and re.search(r"[\w)\]]\s*\[(?!\s*(?:\d+|\"\"\s*\]?)\s*\])", rest):
        return False
    if language == "node" and re.search(r"[\w)\]]\s*\[\s*\"\"", rest):
        return False
    names = set(re.findall(r"(?:const|let|var|local|fn)\s+([A-Za-z_$]\w*)", rest))
    names |= set(re.findall(r"\(?\b([A-Za-z_]\w*)\)?\s*=>", rest))
    names |= {word for pair in re.findall(r"\(\s*(\w+)\s*,\s*(\w+)\s*\)\s*=>", rest) for word in pair}
    names |= {word for group in re.findall(r"\|\s*([\w\s,]+)\|", rest) for word in re.findall(r"\w+", group)}
    if language == "node":
        names |= set(re.findall(r"[{,]\s*([A-Za-z_]\w*)\s*:", rest))
    if language == "php":
        names |= set(re.findall(r"\$(\w+)", rest))
    if language == "R":
        if _R_ODD.search(rest):
            return False
        names |= set(_R_SET.findall(rest))
    names -= {"require", "process", "eval", "system", "exec", "open", "File", "IO", "Kernel", "os", "io"}
    return all(word in words or word in names for word in _WORD.findall(rest))
