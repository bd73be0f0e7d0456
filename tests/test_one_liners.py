"""One-liners of other languages: what passes for harmless is, and what they do to files is said to the letter."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from guardrail.effects.code._filters import is_plain_file
from guardrail.effects.code._literal_calls import literal_calls
from guardrail.effects.code._perl import read_program
from guardrail.effects.code._plain import LANGUAGES
from guardrail.effects.code._tokens import Unread, tokens
from guardrail.effects.domain._values import Field
from tests.effects_support import NoFiles, codes, said

PERL_PARTS: Final = (
    'hit("m")', 'hit "m"', "hit", "$x", "@a", "%h", "$_", "$x[0]", "$h{a}", "[", "{", "]", "}", "(", ")", ";", ",",
    "/", "/", "//", '"', "'", "q(", "qq(", "s/", "y/", "m/", "tr/", "s{", "m,", "s,", "s#", "#", "\n", "<", ">", "<>",
    "?", ":", "=", "=~", ".", "..", "+", "-", "*", "%", "&", "|", "!", "\\", "print ", "if ", "split ", "length ",
    "shift ", "time ", "sort ", "map ", "and ", "x ", "e", "ge", "g", "->", "=>", "@{[", "${", "$x{", "$#a", "1", "a",
    "s", "y", " ", "(?{", "})", "$)", "$|", '"$h{', '"$x[', '"@a', "\\/", "<<", "/x/", "sum ", "use strict;", "$$",
    "=pod\n", "\n=cut\n", "__END__", "eval ", "&&", "{s}", "lc ", "1.", ".5",
)  # fmt: skip
"""Pieces that are put together at random; `hit` is a function that notes that it was called."""

NODE_PARTS: Final = (
    '("hit()")()', '("hit()")()', "[].map", "x.map", "(x=>x)", "[`", "`]", "constructor", '["constructor"]',
    '["con"+"structor"]', "{constructor:x}", '"constructor":x', "[x]:x", "hit()", '"hit()"', "${", "}", "`", '"', "'",
    "/", "/", "//", "/*", "*/", "<!--", "\n", "(", ")", "[", "]", "{", "}", ";", ",", ".", "=>", "=", "+", "++", "?",
    ":", "x", "i", "a", "const x=", "let i=0;", "x=>", "[1,2]", "{a:1}", '"a"', "1", "if(x)", "for(", "of ", "return ",
    "new ", "String", "Object.keys", "console.log", ".map", ".constructor", "[0]", "[i]", "[x]", "[x+1]", "\\", " ",
    "/x/", "(()=>1)", "...", "x.in", "while(0)", "const {x}=", "const [x]=", ".at(", "`constr", "uctor`",
    "foo", "const {foo}=", "let foo=0;", "function foo(bar){", "(foo,bar)=>", "[foo]", "const {constructor}=",
)  # fmt: skip

PERL_HARNESS: Final = r"""
our ($x, $h, @a, %h, $hit) = (1); use List::Util qw(sum); use JSON::PP; BEGIN { $SIG{__WARN__} = sub {} }
sub hit { $main::hit++; 1 }
open(my $in, "<", $ARGV[0]); my $all = decode_json(join "", <$in>); @ARGV = ();
open(my $out, ">&", \*STDOUT); open(STDOUT, ">", "/dev/null"); open(STDIN, "<", "/dev/null");
for my $c (@$all) { $main::hit = 0; local $SIG{ALRM} = sub { die }; local $_ = "abc"; @ARGV = ();
  eval { alarm 1; eval "no strict; no warnings; $c\n"; alarm 0; }; alarm 0;
  $/ = "\n"; $, = $\ = undef; print $out "$c\n" if $main::hit; }
"""
NODE_HARNESS: Final = r"""
const vm = require("vm"), list = JSON.parse(require("fs").readFileSync(process.argv[2]));
for (const c of list) {
  const box = vm.createContext({console: {log() {}}});
  vm.runInContext("globalThis.hits = 0; globalThis.hit = () => { globalThis.hits = 1 }", box);
  try { vm.runInContext(c, box, {timeout: 200}) } catch (e) {}
  try { if (vm.runInContext("hits", box)) process.stdout.write(c + "\n") } catch (e) {}
}
"""


def plain(code: str, language: str) -> bool:
    """Whether a program passes for one that only computes and prints."""
    try:
        if language == "perl":
            read_program(code, loops=False, strict=False)
            return True
        syntax, check = LANGUAGES[language]
        return check(literal_calls(tokens(code, syntax), language).rest)
    except (Unread, RecursionError):
        return False


def passing(parts: tuple[str, ...], language: str, wanted: str, seed: int) -> list[str]:
    """Random programs that name what they must not call, and still pass."""
    rnd = random.Random(seed)
    found = []
    for _ in range(20_000):
        pieces = [rnd.choice(parts) for _ in range(rnd.randint(3, 11))]
        code = rnd.choice(("", " ")).join(pieces)
        if wanted in code and plain(code, language):
            found.append(code)
    return found


@pytest.mark.parametrize(
    ("language", "parts", "harness", "wanted"),
    [("perl", PERL_PARTS, PERL_HARNESS, "hit"), ("node", NODE_PARTS, NODE_HARNESS, "hit")],
)
def test_a_random_program_that_passes_calls_nothing(
    language: str, parts: tuple[str, ...], harness: str, wanted: str, tmp_path: Path
) -> None:
    """The real interpreter runs what passes, where a call of a function that is not listed is noted."""
    if shutil.which(language) is None:
        pytest.skip(f"{language} is not installed")
    found = passing(parts, language, wanted, seed=20)
    assert len(found) > 20
    found.append(called := {"perl": 'hit("m")', "node": '[].map.constructor("hit()")()'}[language])
    (tmp_path / "all.json").write_text(json.dumps(found), encoding="utf-8")
    (tmp_path / "run").write_text(harness, encoding="utf-8")
    command = [language, str(tmp_path / "run"), str(tmp_path / "all.json")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (run.stdout, run.returncode) == (f"{called}\n", 0), run.stderr


@pytest.mark.parametrize(
    "command",
    [
        "node -e '({rmSync:1}); fs.rmSync(x)'",
        "node -e '[].map[`constructor`](x)()'",
        "node -e 'let i = 0; { let [i] = [x]; [].map[i](x)() }'",
        'node -e \'require("fs").readFileSync("a", {flag: "w"})\'',
        "php -r '$unlink=1; unlink($x);'",
        'php -r \'("unl"."ink")($x);\'',
        "ruby -e '[].each{|send|}; send(x)'",
        "ruby -e 'puts 4 / system(x).size / 2'",
        "ruby -e 'ARGV[0] = x; puts STDIN.read'",
        "lua -e 'local load=load load(x)()'",
        "Rscript -e 'cat(x, file=y)'",
        "Rscript -e 'mean <- x; sapply(y, mean)'",
        "perl -e 'print 1 , unlink(q(a)) , 2'",
        "perl -e 'print \"$h{unlink(q(a))}\"'",
        "perl -F'/,/);unlink(1);(' -ane print f",
        "perl -ne 'BEGIN { @ARGV = (1) } print' f",
        "perl -pie 's,a,b,' f",
        "perl -pe 's/a/b/' 'ls|'",
        "perl -pe 's/b/\\\\/.unlink(q(a))/x' f",
        "julia -e 'println(\"$(rm(x))\")'",
        "elixir -e 'm = x; m.rm(y)'",
    ],
)
def test_a_word_is_not_harmless_because_the_code_says_so(command: str) -> None:
    """Names that are declared, patterns that are none, texts that name functions, files that are commands."""
    assert "inline" in codes(command), said(command)


def test_a_backup_is_a_write_where_the_suffix_says() -> None:
    """Of programs that are no row of substitutions too."""
    assert "copy /models/a -> /tmp/out/a" in said("perl -i'/tmp/out/*' -ne 'print' /models/a")
    assert "write /models/a.bak" in said("perl -i.bak -ne 'print unless /x/' /models/a")


def test_a_program_reads_the_files_that_it_is_handed() -> None:
    """Also where no option makes a loop of it."""
    assert "copy /models/a -> /tmp/x" in said("perl -e 'while (<>) { print }' /models/a > /tmp/x")
    assert "copy /models/a -> /tmp/x" in said('node -p \'require("fs").readFileSync("/models/a", "hex")\' > /tmp/x')
    assert "net_recv http://h/x" in said("node -e 'fetch(\"http://h/x\")'")


def test_a_file_that_an_interpreter_runs_first_is_named() -> None:
    """What the call or the session wrote there runs."""
    found = said("Rscript -e 'print(1)'", view=NoFiles({"/w/.Rprofile": b""}))
    assert "exec_opaque /w/.Rprofile" in found
    assert "exec_opaque /w/a.yml" in said(
        "ruby -ryaml -e 'puts YAML.load_file(\"a.yml\")'", view=NoFiles({"/w/a.yml": b""})
    )


def test_a_slash_of_a_pattern_is_not_the_root_directory() -> None:
    """Nothing is said of `/` where code has a slash by itself."""
    assert "mention /" not in said("perl -pe 's/(x)/foo($1) / 2/ge' f")


def test_a_name_with_a_bar_is_a_command_of_perl() -> None:
    """So are names that begin with a sign."""
    assert is_plain_file(Field(text="a b.txt"))
    assert not any(is_plain_file(Field(text=name)) for name in ("ls|", "|ls", ">f", " <f", "+<f"))


def test_what_a_script_of_sed_is_made_of_flows_on() -> None:
    """Content in a replacement is in the output, and in the file."""
    view = NoFiles({"/models/a": b"1", "/w/f": b"x\n"})
    assert "copy /models/a -> /w/f" in said('sed -i "s/x/$(cat /models/a)/" f', view=view)
    assert "copy /models/a -> /w/g" in said('sed "s/x/$(cat /models/a)/" f > g', view=view)


@pytest.mark.parametrize(
    "script", ["s/a/$(date +%F)/", "s|x: .*|x: $(git rev-parse --short HEAD)|g", "s/$(date +%s)/b/"]
)
def test_a_number_in_a_part_of_a_substitution_keeps_it_an_edit(script: str) -> None:
    """It has no letter that could end the part."""
    assert codes(f'sed -i "{script}" f') == set()


@pytest.mark.parametrize(
    "script",
    [
        "s/a/b/$(git rev-parse HEAD)",
        "$(uname -m)d",
        "$(date +%s)w x",
        "s/a/\\\\$(date +%s)/",
        "s/a/$X/",
        "s/a/$(date +%s)/w x",
    ],
)
def test_what_is_not_known_elsewhere_in_a_script_is_code(script: str) -> None:
    """Flags, addresses, what follows a backslash, and any text."""
    assert codes(f'sed -i "{script}" f') == {"inline"} or "write /w/x" in said(f'sed -i "{script}" f')
