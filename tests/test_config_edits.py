"""Edits of config files by any tool: the keys that change, computed from the command, compared with the real tool."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.effects import key_changes
from guardrail.effects.keys._filters import edit, read_json, write_json
from guardrail.effects.keys._formats import read_document
from guardrail.effects.keys._lines import Foreign, perl_steps, ruby_steps, run_ed, run_ex, run_perl
from guardrail.effects.keys._objects import manifest_objects, patch_keys
from guardrail.effects.keys._patch import Malformed, apply_patch
from guardrail.effects.keys._regex import Unclear
from guardrail.effects.keys._sed import run
from guardrail.model import Edit, Effect
from tests.effects_support import NoFiles, RealFiles, effects_of, said

YAML: Final = "# control\non_: true\nlog: info\n\nlimits:\n  max: 100\n  name: a/b\nlist: [1, 2]\n"
JSON: Final = '{"on": true, "log": "info", "limits": {"max": 100, "names": ["a", "b"]}, "none": null}\n'
INI: Final = "; head\n[safety]\non = true\nlog = info\n\n[other]\npath = /a/b\n"
ENV: Final = "# head\nON=true\nexport LOG=info\nNAME='a b'\n"
TOML: Final = 'title = "t"\n\n[safety]\non = true\nlog = "info"\n'
FILES: Final = {"c.yaml": YAML, "c.json": JSON, "c.ini": INI, ".env": ENV, "c.toml": TOML}

UNKNOWN: Final = "unknown"
GONE: Final = "gone"


class Row(msgspec.Struct, frozen=True):
    """A command on one of the files above, and the keys that it changes.

    Args:
        file: which file.
        command: what is run beside it.
        keys: key -> value afterwards, GONE where there is none; UNKNOWN where no answer is the answer.
        exact: the computed bytes are those of the tool, and not only their meaning.
    """

    file: str
    command: str
    keys: dict[str, Any] | str
    exact: bool = True


def diff(file: str, *lines: str, at: int = 1) -> str:
    """A unified diff of one hunk."""
    left = sum(1 for line in lines if line[0] != "+")
    right = sum(1 for line in lines if line[0] != "-")
    return "\n".join((f"--- a/{file}", f"+++ b/{file}", f"@@ -{at},{left} +{at},{right} @@", *lines))


SED: Final = [
    Row("c.yaml", "sed -i 's/true/false/' c.yaml", {"on_": False}),
    Row("c.yaml", "sed -i s/info/debug/g c.yaml", {"log": "debug"}),
    Row("c.yaml", "sed -i -e 's/info/debug/' -e 's/100/5/' c.yaml", {"log": "debug", "limits.max": 5}),
    Row("c.yaml", "sed -i 's/info/debug/;s/100/5/' c.yaml", {"log": "debug", "limits.max": 5}),
    Row("c.yaml", "sed --in-place 's/^on_: .*/on_: false/' c.yaml", {"on_": False}),
    Row("c.yaml", "sed -i '/on_/d' c.yaml", {"on_": GONE}),
    Row("c.yaml", "sed -i '2d' c.yaml", {"on_": GONE}),
    Row("c.yaml", "sed -i '/limits/,/name/d' c.yaml", {"limits.max": GONE, "limits.name": GONE}),
    Row("c.yaml", "sed -i '2s/^/# /' c.yaml", {"on_": GONE}),
    Row("c.yaml", "sed -i '/^#/d' c.yaml", {}),
    Row("c.yaml", "sed -i '/^$/d' c.yaml", {}),
    Row("c.yaml", "sed -i '1i # more' c.yaml", {}),
    Row("c.yaml", "sed -i '$a new: 1' c.yaml", {"new": 1}),
    Row("c.yaml", "sed -i '/limits/a\\  min: 1' c.yaml", {"limits.min": 1}),
    Row("c.yaml", "sed -i '/limits:/a\\\n  min: 1' c.yaml", {"limits.min": 1}),
    Row("c.yaml", "sed -i 's/^limits:$/&\\n  min: 1/' c.yaml", {"limits.min": 1}),
    Row("c.yaml", "sed -i '/log/c log: x' c.yaml", {"log": "x"}),
    Row("c.yaml", "sed -i -E 's/(max): ([0-9]+)/\\1: \\20/' c.yaml", {"limits.max": 1000}),
    Row("c.yaml", "sed -i 's/\\(max\\): [0-9]*/\\1: 7/' c.yaml", {"limits.max": 7}),
    Row("c.yaml", "sed -ri 's|a/b|c|' c.yaml", {"limits.name": "c"}),
    Row("c.yaml", "sed -i 's#a/b#a/c#' c.yaml", {"limits.name": "a/c"}),
    Row("c.yaml", "sed -i 's/TRUE/false/I' c.yaml", {"on_": False}),
    Row("c.yaml", "sed -i 's/true/\"true\"/' c.yaml", {"on_": "true"}),
    Row("c.yaml", "sed -i 's/true/null/' c.yaml", {"on_": None}),
    Row("c.yaml", "sed -i 's/true/yes/' c.yaml", UNKNOWN),
    Row("c.yaml", "sed -i 's/true/true # why/' c.yaml", {}),
    Row("c.yaml", "sed -i 's/  */ /' c.yaml", {}),
    Row("c.yaml", "sed -i 'y/10/23/' c.yaml", {"limits.max": 233, "list": [2, 2]}),
    Row("c.yaml", "sed -i '/log/!s/1/9/' c.yaml", {"limits.max": 900, "list": [9, 2]}),
    Row("c.yaml", "sed -i '/limits/{s/x/y/;d}' c.yaml", UNKNOWN),
    Row("c.yaml", "sed -i 's/on_/off_/' c.yaml", {"on_": GONE, "off_": True}),
    Row("c.yaml", "sed -i 's/log: info/&\\nextra: 1/' c.yaml", {"extra": 1}),
    Row("c.yaml", "sed -i '0,/1/s//2/' c.yaml", UNKNOWN),
    Row("c.yaml", "sed -i '3,+1d' c.yaml", {"log": GONE}),
    Row("c.yaml", "sed -n -i '/on_/p' c.yaml", {"log": GONE, "limits.max": GONE, "limits.name": GONE, "list": GONE}),
    Row("c.yaml", "sed -i 'N;s/a/b/' c.yaml", UNKNOWN),
    Row("c.yaml", "sed -i.bak 's/info/debug/' c.yaml", {"log": "debug"}),
    Row("c.yaml", "printf 's/info/debug/\\n' > s.sed; sed -i -f s.sed c.yaml", {"log": "debug"}),
    Row("c.yaml", "sed -i 's/zzz/y/' c.yaml", {}),
    Row("c.ini", "sed -i 's/^on = .*/on = false/' c.ini", {"safety.on": "false"}),
    Row("c.ini", "sed -i 's/^on/;on/' c.ini", {"safety.on": GONE}),
    Row(
        "c.ini",
        "sed -i 's/\\[safety\\]/[x]/' c.ini",
        {"safety.on": GONE, "safety.log": GONE, "x.on": "true", "x.log": "info"},
    ),
    Row("c.ini", "sed -i 's/ = /=/' c.ini", {}),
    Row("c.ini", "sed -i '$a on = x' c.ini", {"other.on": "x"}),
    Row("c.ini", "sed -i '/log/a on = x' c.ini", UNKNOWN),
    Row(".env", "sed -i 's/ON=true/ON=false/' .env", {"ON": "false"}),
    Row(".env", "sed -i '/LOG/d' .env", {"LOG": GONE}),
    Row(".env", "sed -i 's/ON=true/ON=$(x)/' .env", UNKNOWN),
    Row("c.toml", "sed -i 's/on = true/on = false/' c.toml", {"safety.on": False}),
    Row("c.toml", 'sed -i \'s/"info"/"debug"/\' c.toml', {"safety.log": "debug"}),
    Row(
        "c.toml", "sed -i '/\\[safety\\]/d' c.toml", {"safety.on": GONE, "safety.log": GONE, "on": True, "log": "info"}
    ),
    Row("c.json", 'sed -i \'s/"on": true/"on": false/\' c.json', {"on": False}),
    Row("c.json", "sed -i 's/: /:/g' c.json", {}),
    Row("c.json", "sed -i 's/true,/true/' c.json", UNKNOWN),
]

JQ: Final = [
    Row("c.json", f"jq '{program}' c.json > t && mv t c.json", keys)
    for program, keys in [
        (".", {}),
        (".on = false", {"on": False}),
        ('.log |= "x"', {"log": "x"}),
        (".limits.max += 1", {"limits.max": 101}),
        (".limits.max -= 99", {"limits.max": 1}),
        ("del(.on)", {"on": GONE}),
        ("del(.limits)", {"limits.max": GONE, "limits.names": GONE}),
        ("del(.limits.names[0])", {"limits.names": ["b"]}),
        ('.limits.names += ["c"]', {"limits.names": ["a", "b", "c"]}),
        ('.a.b.c = {"d": 1}', {"a.b.c.d": 1}),
        (".on = null", {"on": None}),
        (".on |= not", {"on": False}),
        ('.on = "true"', {"on": "true"}),
        ('.on = false | .log = "x"', {"on": False, "log": "x"}),
        ('. + {"on": false}', {"on": False}),
        ('. * {"limits": {"max": 2}}', {"limits.max": 2}),
        ('.["log"] = 1', {"log": 1}),
        ("(.on, .log) = 0", {"on": 0, "log": 0}),
        (".on = .none", {"on": None}),
        ('setpath(["limits", "max"]; 3)', {"limits.max": 3}),
        ('.limits.names[] = "z"', {"limits.names": ["z", "z"]}),
        ("walk(.)", UNKNOWN),
        ("to_entries | from_entries", UNKNOWN),
        (".log = env.HOME", UNKNOWN),
    ]
] + [
    Row("c.json", "jq --arg v x '.log = $v' c.json > t && mv t c.json", {"log": "x"}),
    Row("c.json", "jq --argjson v false '.on = $v' c.json > t && mv t c.json", {"on": False}),
    Row("c.json", "jq -c '.on = false' c.json > t && mv -f t c.json", {"on": False}),
    Row("c.json", "jq -S --tab '.log = 2' c.json > t; cp t c.json", {"log": 2}),
    Row("c.json", "jq --indent 4 '.log = 2' < c.json > t; cat t > c.json", {"log": 2}),
    Row("c.json", "cat c.json | jq '.log = 2' > t; install t c.json", {"log": 2}),
    Row("c.json", "x=$(jq '.log = 2' c.json); echo \"$x\" > c.json", {"log": 2}),
    Row("c.json", 'echo "$(jq .log=2 c.json)" > c.json', {"log": 2}),
    Row("c.json", "printf '%s\\n' \"$(jq -c .log=2 c.json)\" > c.json", {"log": 2}),
    Row(
        "c.json",
        "jq -n '{\"on\": true}' > c.json",
        {"log": GONE, "limits.max": GONE, "limits.names": GONE, "none": GONE},
    ),
    Row("c.json", "echo '.on = false' > p.jq; jq -f p.jq c.json > t; mv t c.json", {"on": False}),
    Row("c.json", "jq '.log = 2' c.json > c.json", UNKNOWN),
    Row("c.json", "cat c.json | jq '.log = 2' > c.json", UNKNOWN),
    Row("c.json", "jq '.log = 2' c.json | tee c.json", UNKNOWN),
]

LINES: Final = [
    Row("c.yaml", "perl -i -pe 's/info/debug/' c.yaml", {"log": "debug"}),
    Row("c.yaml", "perl -pi -e 's/true/false/g' c.yaml", {"on_": False}),
    Row("c.yaml", "perl -i.bak -pe 's{a/b}{c}' c.yaml", {"limits.name": "c"}),
    Row("c.yaml", "perl -i -pe 's/^on_: \\K.*/false/' c.yaml", UNKNOWN),
    Row("c.yaml", "perl -i -pe 's/(max): (\\d+)/$1: 7/' c.yaml", {"limits.max": 7}),
    Row("c.yaml", "perl -i -pe 's/log: .*$/log: x/; s/100/5/' c.yaml", {"log": "x", "limits.max": 5}),
    Row("c.yaml", "perl -i -pe 's|TRUE|false|i' c.yaml", {"on_": False}),
    Row("c.yaml", "perl -i -ne 'print unless /on_/' c.yaml", UNKNOWN),
    Row("c.yaml", "perl -pe 's/info/debug/' c.yaml > t && mv t c.yaml", {"log": "debug"}),
    Row("c.yaml", "awk '{sub(/info/, \"debug\")} 1' c.yaml > t && mv t c.yaml", {"log": "debug"}),
    Row("c.yaml", "awk '{gsub(/[0-9]+/, \"9\"); print}' c.yaml > t && mv t c.yaml", {"limits.max": 9, "list": [9, 9]}),
    Row("c.yaml", "awk '/on_/{next} 1' c.yaml > t && mv t c.yaml", UNKNOWN),
    Row("c.yaml", "ed -s c.yaml <<'E'\n,s/info/debug/\nw\nq\nE", {"log": "debug"}),
    Row("c.yaml", "printf '%s\\n' '/on_/d' w q | ed -s c.yaml", {"on_": GONE}),
    Row("c.yaml", "printf '%s\\n' 'g/max/s/100/5/' wq | ed -s c.yaml", {"limits.max": 5}),
    Row("c.yaml", "ed -s c.yaml <<'E'\n$a\nnew: 1\n.\nwq\nE", {"new": 1}),
    Row("c.yaml", "ed -s c.yaml <<'E'\n2c\non_: false\n.\nw\nE", {"on_": False}),
    Row("c.yaml", "ed -s c.yaml <<'E'\n,s/zzz/y/\nw\nE", UNKNOWN),
    Row("c.yaml", "ed -s c.yaml <<'E'\n,s/info/debug/\nq\nE", {}),
    Row("c.yaml", "ex -sc '%s/info/debug/|x' c.yaml", {"log": "debug"}),
    Row("c.yaml", "ex -s -c '%s/true/false/g' -c 'wq' c.yaml", {"on_": False}),
    Row("c.yaml", "vim -es -c 'g/on_/d' -c 'wq' c.yaml", {"on_": GONE}),
    Row("c.yaml", "vim -es -c '%s/\\vinfo/x/' -c 'wq' c.yaml", UNKNOWN),
]

WHOLE: Final = [
    Row(
        "c.yaml",
        "echo 'on_: false' > c.yaml",
        {"on_": False, "log": GONE, "limits.max": GONE, "limits.name": GONE, "list": GONE},
    ),
    Row("c.yaml", "echo 'new: 1' >> c.yaml", {"new": 1}),
    Row("c.yaml", "echo 'on_: false' >> c.yaml", UNKNOWN),
    Row("c.yaml", "printf 'new: %s\\n' 1 >> c.yaml", {"new": 1}),
    Row("c.yaml", "cat >> c.yaml <<'E'\nnew:\n  a: 1\nE", {"new.a": 1}),
    Row("c.yaml", "tee -a c.yaml <<< 'new: 1' > /dev/null", {"new": 1}),
    Row("c.yaml", "echo 'new: 1' | tee -a c.yaml", {"new": 1}),
    Row(
        "c.json",
        "tee c.json <<'E'\n{\"on\": true}\nE",
        {"log": GONE, "limits.max": GONE, "limits.names": GONE, "none": GONE},
    ),
    Row(
        "c.json",
        "echo '{\"on\": 1}' > t; cp t c.json",
        {"on": 1, "log": GONE, "limits.max": GONE, "limits.names": GONE, "none": GONE},
    ),
    Row(
        "c.json",
        "echo '{}' > t; mv t c.json",
        {"on": GONE, "log": GONE, "limits.max": GONE, "limits.names": GONE, "none": GONE},
    ),
    Row(
        "c.json",
        "echo '{\"on\": 1}' | dd of=c.json status=none",
        {"on": 1, "log": GONE, "limits.max": GONE, "limits.names": GONE, "none": GONE},
    ),
    Row("c.json", "hostname > c.json", UNKNOWN),
    Row("c.yaml", "cp c.yaml b; echo 'x: 1' >> b; mv b c.yaml", {"x": 1}),
    Row("c.yaml", "cat c.yaml > t; echo 'x: 1' >> t; cp t c.yaml", {"x": 1}),
    Row("c.yaml", "sed -i s/info/x/ c.yaml; sed -i s/100/5/ c.yaml", {"log": "x", "limits.max": 5}),
    Row("c.yaml", "sed -i s/info/x/ c.yaml && echo 'y: 1' >> c.yaml", {"log": "x", "y": 1}),
    Row("c.yaml", "(echo 'y: 1' >> c.yaml); echo 'z: 1' >> c.yaml", UNKNOWN),
    Row("c.yaml", "{ cat c.yaml; echo 'y: 1'; } > t; mv t c.yaml", {"y": 1}),
    Row("c.yaml", "if true; then sed -i s/info/x/ c.yaml; fi", {"log": "x"}),
    Row("c.yaml", 'for k in info 100; do sed -i "s/$k/7/" c.yaml; done', {"log": 7, "limits.max": 7}),
    Row("c.yaml", "cat > f.sh <<'E'\nsed -i s/info/x/ c.yaml\nE\nsh f.sh", {"log": "x"}),
    Row("c.yaml", "echo 'sed -i s/info/x/ c.yaml' | sh", {"log": "x"}),
    Row("c.yaml", 'f() { sed -i "s/$1/$2/" c.yaml; }; f info x', {"log": "x"}),
    Row(
        "c.yaml",
        "echo 'on_: true' > c.yaml > /dev/null",
        {"on_": GONE, "log": GONE, "limits.max": GONE, "limits.name": GONE, "list": GONE},
    ),
    Row("c.yaml", "echo 'on_: true' > c.yaml 1>&2", UNKNOWN),
    Row("c.yaml", "{ test -f /nonexistent/x && echo 'a: 1'; } >> c.yaml", UNKNOWN),
    Row("c.yaml", "{ echo 'a: 1'; exit; echo 'b: 1'; } >> c.yaml", UNKNOWN),
    Row(".env", "echo 'NEW=1' >> .env", {"NEW": "1"}),
    Row(".env", "echo 'ON=false' >> .env", UNKNOWN),
]

PATCHES: Final = [
    Row(
        "c.yaml",
        f"patch -s -p1 <<'E'\n{diff('c.yaml', ' # control', '-on_: true', '+on_: false', ' log: info')}\nE",
        {"on_": False},
    ),
    Row("c.yaml", f"patch -s c.yaml <<'E'\n{diff('x', ' log: info', '+new: 1', ' ', ' limits:', at=3)}\nE", {"new": 1}),
    Row(
        "c.yaml", f"cat > d <<'E'\n{diff('c.yaml', '-log: info', '+log: x', at=3)}\nE\npatch -s -p1 -i d", {"log": "x"}
    ),
    Row(
        "c.yaml",
        f"git apply <<'E'\n{diff('c.yaml', ' # control', '-on_: true', ' log: info', ' ', ' limits:')}\nE",
        {"on_": GONE},
    ),
    Row(
        "c.yaml",
        f"cat > d <<'E'\n{diff('c.yaml', ' on_: true', '-log: info', '+log: x', ' ', at=2)}\nE\ngit apply d",
        {"log": "x"},
    ),
    Row("c.yaml", f"patch -s -p1 <<'E'\n{diff('c.yaml', ' other', '-log: info', '+log: x', at=2)}\nE", UNKNOWN),
    Row("c.yaml", f"patch -s -p1 <<'E'\n{diff('c.yaml', ' on_: true', '-log: info', '+log: x', at=1)}\nE", UNKNOWN),
]

YQ: Final = [
    Row("c.yaml", f"yq -y -i '{program}' c.yaml", keys, exact=False)
    for program, keys in [
        (".on_ = false", {"on_": False}),
        ('.log = "x"', {"log": "x"}),
        ("del(.limits.max)", {"limits.max": GONE}),
        (".limits.max += 1", {"limits.max": 101}),
        ('.a.b = "yes"', {"a.b": "yes"}),
        (".", {}),
        (".list[0] = 9", {"list": [9, 2]}),
        ("map_values(1)", UNKNOWN),
    ]
]

ABSENT: Final = [
    Row("c.yaml", "yq -i '.on_ = false' c.yaml", {"on_": False}, exact=False),
    Row("c.yaml", "yq e -i '.limits.max = 1 | .log = \"x\"' c.yaml", {"limits.max": 1, "log": "x"}, exact=False),
    Row("c.yaml", "yq w -i c.yaml limits.max 3", {"limits.max": 3}, exact=False),
    Row("c.yaml", "yq d -i c.yaml on_", {"on_": GONE}, exact=False),
    Row("c.toml", "tomlq -t -i '.safety.on = false' c.toml", {"safety.on": False}, exact=False),
    Row("c.yaml", "dasel put -f c.yaml -t bool -v false on_", {"on_": False}, exact=False),
    Row("c.yaml", "dasel delete -f c.yaml on_", {"on_": GONE}, exact=False),
    Row("c.ini", "crudini --set c.ini safety on false", {"safety.on": "false"}, exact=False),
    Row("c.ini", "crudini --set c.ini new key v", {"new.key": "v"}, exact=False),
    Row("c.ini", "crudini --del c.ini safety on", {"safety.on": GONE}, exact=False),
    Row("c.ini", "crudini --del c.ini safety", {"safety.on": GONE, "safety.log": GONE}, exact=False),
    Row("c.json", "jq '.log = 2' c.json | sponge c.json", {"log": 2}),
    Row("c.yaml", "sed s/info/x/ c.yaml | sponge c.yaml", {"log": "x"}),
    Row("c.yaml", "sd info x c.yaml", {"log": "x"}),
    Row("c.yaml", "ruby -i -pe 'gsub(/info/, \"x\")' c.yaml", {"log": "x"}),
    Row("c.yaml", "gawk -i inplace '{sub(/info/, \"x\")} 1' c.yaml", {"log": "x"}),
    Row("c.yaml", "augtool set /files/w/c.yaml/on_ false", UNKNOWN),
]

INSTALLED: Final = [*SED, *JQ, *LINES, *WHOLE, *PATCHES, *YQ]
ROWS: Final = [*INSTALLED, *ABSENT]


def result(effects: tuple[Effect, ...], path: str) -> Edit | None:
    """The edit of the last effect that changes a file; a write without one has no known result."""
    last: Edit | None = None
    for effect in effects:
        place = effect.target if effect.op in ("rename", "copy") and effect.target is not None else effect.resource
        if effect.op in ("write", "append", "create", "truncate", "rename", "copy") and place.path == path:
            last = effect.edit
    return last


def computed(row: Row, folder: str, view: NoFiles | RealFiles) -> bytes | None:
    """The content of the file after the command, as the analysis has it; None if it has no answer."""
    effects = effects_of(row.command, cwd=folder, view=view)
    path = f"{folder}/{row.file}"
    touched = any(
        place is not None and place.path == path and effect.op not in ("read", "list", "copy")
        for effect in effects
        for place in (effect.resource, effect.target)
    )
    if not touched:
        opaque = any(effect.op == "exec_opaque" for effect in effects)
        return None if opaque else FILES[row.file].encode()
    found = result(effects, path)
    return None if found is None else found.text.encode("utf-8", "surrogateescape")


def keys_of(row: Row, after: bytes | None) -> dict[str, Any] | str:
    """Key -> value afterwards."""
    changes = None if after is None else key_changes(row.file, FILES[row.file].encode(), after)
    if changes is None:
        return UNKNOWN
    return {change.key: change.after if change.has else GONE for change in changes}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.command.split("\n")[0][:60])
def test_the_keys_that_a_command_changes_are_known(row: Row) -> None:
    """A table of tools and formats; no answer is the answer where tools may differ."""
    view = NoFiles({f"/w/{name}": text.encode() for name, text in FILES.items()})
    assert keys_of(row, computed(row, "/w", view)) == row.keys


def test_the_table_of_edits_is_long_enough() -> None:
    """Every tool and format has its rows."""
    assert len(ROWS) >= 120


@pytest.mark.slow
@pytest.mark.parametrize("row", INSTALLED, ids=lambda row: row.command.split("\n")[0][:60])
def test_a_computed_edit_is_what_the_tool_really_does(row: Row, tmp_path: Path) -> None:
    """The command runs on a copy; what was computed before is compared with what is there afterwards."""
    tool = row.command.split()[0]
    if tool in ("sed", "perl", "jq", "yq", "ed", "ex", "vim", "awk", "patch", "git") and shutil.which(tool) is None:
        if os.environ.get("CI") and tool != "yq":  # of which there are two, and a host has either
            pytest.fail(f"{tool} is needed in CI")
        pytest.skip(f"{tool} is not installed")
    if tool == "yq" and b"python" not in Path(shutil.which("yq") or "/dev/null").read_bytes()[:64]:
        pytest.skip("another yq is installed")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    after = computed(row, str(tmp_path), RealFiles())
    subprocess.run(["bash", "-c", row.command], cwd=tmp_path, capture_output=True, timeout=30, check=False)
    file = tmp_path / row.file
    if after is None:
        return
    if row.exact:
        assert after == file.read_bytes()
    else:
        assert key_changes(row.file, after, file.read_bytes()) == ()


# -- generated edits

WORDS: Final = ("on", "off", "true", "false", "log", "a", "b", "max", "1", "20")


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A small text of assignments."""
    made = draw(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), min_size=1, max_size=6))
    return "".join(f"{name}: {value}\n" for name, value in made)


@st.composite
def scripts(draw: st.DrawFn) -> str:
    """A sed script of one or two commands."""
    atoms = st.sampled_from(
        (*WORDS, ".", "[a-z]", "[0-9]", "^", "$", "o*", ".*", "\\(a\\|b\\)", "[[:digit:]]*", "\\s", "x\\?")
    )
    out: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        address = draw(st.sampled_from(("", "", "1", "$", "2,3", "/o/", "/a/,/b/", "/t/!", "2,/a/", "1~2")))
        regex = "".join(draw(st.lists(atoms, min_size=1, max_size=3)))
        text = draw(st.sampled_from((*WORDS, "&&", "x&", "", "\\n")))
        command = draw(
            st.sampled_from(
                (f"s/{regex}/{text}/", f"s/{regex}/{text}/g", f"s/{regex}/{text}/2", "d", "p", "a x: y", "c z: 1")
            )
        )
        out.append(address + command)
    return "\n".join(out)


@pytest.mark.property
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=lines(), script=scripts(), extended=st.booleans())
def test_a_sed_script_gives_what_sed_gives_or_no_answer(text: str, script: str, extended: bool) -> None:
    """Random scripts on random texts."""
    if shutil.which("sed") is None:
        pytest.skip("sed is not installed")
    try:
        ours = run([script], text, extended=extended, quiet=False, in_place=False)
    except Unclear:
        return
    arguments = ["sed", "-E", script] if extended else ["sed", script]
    real = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=30, check=False)
    assert ours == real.stdout, real.stderr


PLAIN: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def filters(draw: st.DrawFn) -> str:
    """A jq filter of assignments, some of which do not fit."""
    parts: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        steps = draw(
            st.lists(st.sampled_from((".on", ".log", '["a"]', ".b", "[0]", "[]", "[-1]")), min_size=1, max_size=3)
        )
        path = "".join(steps) if steps[0][0] == "." else "." + "".join(steps)
        value = json.dumps(draw(PLAIN))
        parts.append(
            draw(
                st.sampled_from(
                    (f"{path} = {value}", f"{path} |= {value}", f"del({path})", f"{path} += 1", f". * {value}")
                )
            )
        )
    return " | ".join(parts)


@pytest.mark.property
@settings(max_examples=150, deadline=None)
@given(document=st.dictionaries(st.sampled_from(WORDS), PLAIN, max_size=4), program=filters())
def test_a_jq_filter_gives_what_jq_gives_or_no_answer(document: dict[str, Any], program: str) -> None:
    """Random assignments on random documents."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    text = json.dumps(document)
    try:
        ours = write_json(edit(program, read_json(text)))
    except Unclear:
        return
    real = subprocess.run(["jq", program], input=text, capture_output=True, text=True, timeout=30, check=False)
    assert ours == real.stdout, real.stderr


@pytest.mark.property
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_a_diff_that_fits_gives_what_patch_gives(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Diffs of random texts, made and applied by the real tools."""
    if shutil.which("patch") is None or shutil.which("diff") is None:
        pytest.skip("patch or diff is not installed")
    chance = random.Random(seed)
    old = [chance.choice("abc") * chance.randint(0, 3) for _ in range(chance.randint(0, 12))]
    new = [line for line in old if chance.random() < 0.8]
    new.insert(chance.randint(0, len(new)), "new")
    folder = tmp_path_factory.mktemp("diff")
    left = "\n".join(old) + ("\n" if old and chance.random() < 0.7 else "")
    right = "\n".join(new) + ("\n" if chance.random() < 0.7 else "")
    (folder / "f").write_text(left)
    (folder / "g").write_text(right)
    made = subprocess.run(
        ["diff", f"-U{chance.choice([0, 1, 3])}", "f", "g"], cwd=folder, capture_output=True, text=True, check=False
    )
    if not made.stdout:
        return
    (patch,) = apply_patch(made.stdout)
    assert patch.apply(left.encode()) == right.encode()


# -- the functions by themselves


@pytest.mark.parametrize(
    "script",
    [
        "w /x",
        "s/a/b/w /x",
        "s/a/b/e",
        "e ls",
        "r /x",
        "h;G",
        ":a;N;ba",
        "s/a/b/m",
        "s/\\(a\\)*/\\1/",
        "s/a\\{2/b/",
        "Q",
        "s//x/",
        "a",
    ],
)
def test_a_sed_script_that_does_more_has_no_answer(script: str) -> None:
    """Files, commands, branches and what regular expressions of two programs differ in."""
    with pytest.raises(Unclear):
        run([script], "a\n", extended=False, quiet=False, in_place=True)


def test_a_long_line_ends_the_work_of_an_expression() -> None:
    """The bound is on length and repetitions, so nothing is tried for ever."""
    with pytest.raises(Unclear, match="too much work"):
        run(["s/a*a*a*a*b/x/"], "a" * 3000 + "\n", extended=False, quiet=False, in_place=True)


def test_an_expression_with_an_anchored_alternative_goes_on() -> None:
    """Only one that matches where a line begins and nowhere else ends with its first match."""
    text = "# true\n#{true, true}\n"
    assert run(["s/^#|true/x/g"], text, extended=True, quiet=False, in_place=True) == "x x\nx{x, x}\n"


@pytest.mark.parametrize("regex", ["a?" * 20 + "a" * 20, "a{0,9}" * 9 + "b", "(a|a)" * 25 + "b", "a*a*b" + "c?" * 9])
def test_every_choice_of_an_expression_counts_as_work(regex: str) -> None:
    """Also optional and counted parts, and alternatives."""
    with pytest.raises(Unclear, match="too much work"):
        run([f"s/{regex}/x/"], "a" * 120 + "\n", extended=True, quiet=False, in_place=True)


def test_a_last_line_without_its_newline_gets_one_from_q() -> None:
    """So that what is printed is not certain here."""
    with pytest.raises(Unclear):
        run(["1q"], "a", extended=False, quiet=False, in_place=False)


@pytest.mark.property
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from(("a", "b", "true", "\u2028", "\x85", "\x0b", " ", "$1", "é", "\n")), max_size=9),
    regex=st.lists(
        st.sampled_from(("a", "b", "t.*e", "(a)", "(b*)", "^", "$", "\\s", "[^a]", "|", "\\$")), min_size=1, max_size=3
    ),
    put=st.lists(st.sampled_from(("x", "$1", "$&", "\\$1", "\\\\", "\\/", "{", "[0]", "&", "@", "$")), max_size=3),
    flags=st.sampled_from(("", "g", "i", "gi")),
)
def test_a_perl_program_gives_what_perl_gives_or_no_answer(
    text: list[str], regex: list[str], put: list[str], flags: str
) -> None:
    """Random substitutions on random lines, with characters that some take for the end of one."""
    if shutil.which("perl") is None:
        pytest.skip("perl is not installed")
    code, whole = f"s/{''.join(regex)}/{''.join(put)}/{flags}", "".join(text)
    try:
        ours = run_perl(perl_steps(code), whole)
    except (Unclear, Foreign):
        return
    real = subprocess.run(["perl", "-pe", code], input=whole.encode(), capture_output=True, timeout=30, check=False)
    assert (ours.encode(), real.returncode) == (real.stdout, 0), real.stderr


@pytest.mark.parametrize(
    "code",
    ["$_.sub(/true/, 'false')", "sub!(/a/, 'b')", "gsub(/(a)/, '$1')", "gsub(/[a[b]]/, 'c')", "gsub(/[a&&b]/, 'c')"],
)
def test_what_ruby_reads_in_another_way_is_no_edit(code: str) -> None:
    """A method that returns and does not change, a dollar that is one, sets with operators."""
    with pytest.raises(Foreign):
        ruby_steps(code)


@pytest.mark.parametrize(
    "code",
    [
        "s/a/b/e",
        "s/b/\\\\/.unlink(q(a))/x",
        "s/a/\\$1/",
        "s/(a)/$1{b}/",
        "s/a/$&[0]/",
        "print",
        "s/a/@{[ls]}/",
        "s/(?{x})/b/",
        "system('x')",
        "s/a/`x`/",
        "unlink; s/a/b/",
    ],
)
def test_a_program_of_perl_that_does_more_is_foreign(code: str) -> None:
    """Only substitutions are edits."""
    with pytest.raises(Foreign):
        perl_steps(code)


@pytest.mark.parametrize("code", ["system('x')", "gsub(/a/) { `x` }", '$_.sub!(/a/, "#{x}")', "puts"])
def test_a_program_of_ruby_that_does_more_is_foreign(code: str) -> None:
    """Only substitutions are edits."""
    with pytest.raises(Foreign):
        ruby_steps(code)


def test_perl_steps_are_applied_line_by_line() -> None:
    """Each statement on each line."""
    assert run_perl(perl_steps("s/a/b/g; s/^(x) /$1/"), "aa\nx a\n") == "bb\nxb\n"


@pytest.mark.parametrize(
    "script",
    [
        '%s/a/b/|call delete("x")\nwq',
        '%s/a/\\\\/|call delete("x")\nwq',
        "%s/a/b/|w /x\nq",
        "g/a/s/a/b/|!ls\nwq",
        "%s/a/b/\nq\n!ls",
        "%s/a/b|wq\n!ls",
        "%s/a/b/\nwq\n!ls",
        "%s/a/b/g\n" * 300 + "!ls",
    ],
)
def test_a_command_of_vim_behind_another_is_foreign(script: str) -> None:
    """Behind a bar, behind one that leaves and may not, behind too many others."""
    with pytest.raises(Foreign):
        run_ex(script, "a\n")


@pytest.mark.parametrize(
    "script", ["/zz/a\n!ls\n.\nw", "9c\n1,2w /x\n.\nw", ",s/a/b/\nq\n!ls", "p\n" * 300 + "!ls", ",s/a/\\\\/w x\nw"]
)
def test_a_command_of_ed_that_may_be_reached_is_foreign(script: str) -> None:
    """A body whose address is not found, what stands behind a `q` that is refused, behind too many others."""
    with pytest.raises(Foreign):
        run_ed(script, "a\n")


def test_lines_that_look_a_little_like_commands_can_be_inserted() -> None:
    """Settings are no commands."""
    assert run_ed("$a\nenabled: false\nwidth: 1\n- run\n.\nw\nq", "a\n") == "a\nenabled: false\nwidth: 1\n- run\n"


@pytest.mark.parametrize("script", ["!ls", "w /x", "r !ls", "e /x", "%!sort", "w !sh"])
def test_an_editor_that_reaches_beyond_its_file_is_foreign(script: str) -> None:
    """Commands that run programs or name files."""
    with pytest.raises(Foreign):
        run_ed(script, "a\n")
    with pytest.raises(Foreign):
        run_ex(script, "a\n")


def test_an_envelope_names_each_file_and_what_happens_to_it() -> None:
    """Added, deleted, updated and moved."""
    text = (
        "*** Begin Patch\n*** Add File: n.txt\n+a\n+b\n*** Delete File: d.txt\n*** Update File: u.txt\n"
        "*** Move to: v.txt\n@@ head\n a\n-b\n+c\n*** End Patch"
    )
    added, deleted, updated = apply_patch(text)
    assert (added.op, added.path, added.apply(None)) == ("add", "n.txt", b"a\nb\n")
    assert (deleted.op, deleted.path) == ("delete", "d.txt")
    assert (updated.op, updated.path, updated.new_path) == ("move", "u.txt", "v.txt")
    assert updated.apply(b"head\na\nb\nx\n") == b"head\na\nc\nx\n"
    assert updated.apply(b"a\nb\n") is None
    assert updated.apply(b"head\na\nb\na\nb\n") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "*** Begin Patch\n*** Odd: x\n*** End Patch",
        "*** Begin Patch\n*** Add File: a\nx\n*** End Patch",
        "--- a\n+++ b\n",
        f"Index: c\n1c1\n< a\n---\n> b\n{diff('f', '-a', '+b')}",
        f"Index: c\n{diff('f', '-a', '+b')}",
        f"1c1\n< a\n---\n> b\n{diff('f', '-a', '+b')}",
        f"1d\n.\n{diff('f', '-a', '+b')}",
        f" --- c\n +++ c\n @@ -1 +1 @@\n -a\n +b\n{diff('f', '-a', '+b')}",
        f"- --- c\n- +++ c\n- @@ -1 +1 @@\n--a\n-+b\n{diff('f', '-a', '+b')}",
        f"diff --git a/l b/l\nnew file mode 120000\n{diff('l', '+/models')}",
        f"diff --git a/l b/l\nindex 0..1 120000\n{diff('l', '-a', '+/models')}",
        f"diff --git a/b b/c\nrename from b\nrename to c\n{diff('f', '-a', '+b')}",
        f"diff --git a/c b/c\ndeleted file mode 100644\n1c1\n< a\n---\n> b\n{diff('f', '-a', '+b')}",
        f"diff --git a/c b/c\n{diff('f', '-a', '+b')}",
        "diff --git a/c b/c\n--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/b b/c\nold mode 100644\nnew mode 100755\n",
        "diff --git a/b b/c\nrename from b\nrename from d\nrename to c\n",
    ],
)
def test_a_patch_that_is_not_understood_is_refused(text: str) -> None:
    """Nothing of it is guessed."""
    with pytest.raises(Malformed):
        apply_patch(text)


def test_prose_around_a_diff_is_no_diff() -> None:
    """Mails, and the lines that version control puts before a diff."""
    text = f"From 1 Mon\nSubject: 2d arrays\n---\n f | 2 +-\n\n{diff('f', '-a', '+b')}\n-- \n2.4\n"
    assert [one.path for one in apply_patch(text)] == ["a/f"]
    (one,) = apply_patch("Index: f\n=====\n--- f\t(revision 1)\n+++ f\t(copy)\n@@ -1 +1 @@\n-a\n+b\n")
    assert one.apply(b"a\n") == b"b\n"


def test_a_patch_of_many_anchored_hunks_takes_no_longer_than_it_must() -> None:
    """Each line is looked up, and none is searched for."""
    hunks = "".join(f"@@ head {i}\n-x\n-{i}\n+y\n" for i in range(10_000))
    (one,) = apply_patch(f"*** Begin Patch\n*** Update File: f\n{hunks}*** End Patch")
    before = "".join(f"head {i}\nx\n{i}\n" for i in range(10_000))
    began = time.thread_time()
    after = one.apply(before.encode())
    assert time.thread_time() - began < 2
    assert after is not None
    assert after.count(b"y\n") == 10_000


def test_a_patch_of_many_equal_lines_gives_up() -> None:
    """Where there are too many places to look at."""
    hunk = "@@\n" + "-x\n" * 2000 + "-y\n+z\n"
    (one,) = apply_patch(f"*** Begin Patch\n*** Update File: f\n{hunk * 20}*** End Patch")
    began = time.thread_time()
    assert one.apply(b"x\n" * 20_000 + b"y\n" * 20_000) is None
    assert time.thread_time() - began < 2


def test_a_patch_that_git_renames_with_is_a_move() -> None:
    """Extended headers."""
    (one,) = apply_patch("diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n")
    assert (one.op, one.path, one.new_path) == ("move", "x", "y")
    (two,) = apply_patch("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n")
    assert two.apply(b"a") is None


@pytest.mark.parametrize(
    ("name", "text", "tables"),
    [
        ("c.properties", "a.b=1\nc: 2\n", {"": {"a.b": "1", "c": "2"}}),
        ("c.ini", "[a]\nb = 1\n", {"": {"a": {"b": "1"}}}),
        (
            "app.service",
            "[Service]\nEnvironment=A=1\nEnvironment=B=2\n",
            {"": {"Service": {"Environment": ["A=1", "B=2"]}}},
        ),
        (".env.local", "A='b c' # d\n".replace(" # d", ""), {"": {"A": "b c"}}),
        ("settings", '{"a": 1}', {"": {"a": 1}}),
        ("settings", "a: 1\nb: x\n", {"": {"a": 1, "b": "x"}}),
        ("c.yaml.bak", "a: 1\n", {"": {"a": 1}}),
    ],
)
def test_a_format_is_read_by_name_or_as_the_only_one_it_can_be(name: str, text: str, tables: dict[str, Any]) -> None:
    """Plain assignments have no types."""
    assert read_document(name, text.encode()).tables == tables


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.ini", "[a]\nb=1\nB=2\n"),
        ("c.ini", "[a]\nb=1\n  more\n"),
        (".env", "A=$B\n"),
        (".env", "A=1\nA=2\n"),
        (".env", "A=`x`\n"),
        ("main.tf", "a = 1\n"),
        ("settings", "a = 1\n"),
        ("Makefile", "a: b\n"),
        ("c.yaml", "kind: A\napiVersion: v1\nmetadata: {name: x}\n---\nkind: A\napiVersion: v1\nmetadata: {name: x}\n"),
        ("c.properties", "a=1\na=2\n"),
        ("c.ini", "[a]\nb=1\n[a]\nc=1\n"),
        ("c.yaml", "#\u2028on: true\u2028x: |\n on: false\n"),
        ("c.yaml", "a: b\x85c: d\n"),
    ],
)
def test_a_file_with_more_than_one_meaning_has_none(name: str, text: str) -> None:
    """Names that stand twice, values that a shell expands, formats that cannot be told apart."""
    with pytest.raises((Unclear, ValueError)):
        read_document(name, text.encode())


def test_a_bracket_behind_the_name_of_a_section_makes_it_unknown() -> None:
    """Some readers take the name up to the last bracket."""
    assert key_changes("x.ini", b"[s]\nb=1\n", b"[s] ;]\nb=1\n") is None
    assert key_changes("x.ini", b"[s]\nb=1\n", b"[s] ; why\nb=1\n") == ()


def test_objects_of_a_cluster_are_told_apart_by_kind_and_name() -> None:
    """Also in one file, and the files in a ConfigMap key by key."""
    before = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  labels: {a.b/c: x}\ndata:\n"
        "  a.yaml: |\n    on_: true\n"
        "    log: x\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {n: 1}\n"
    )
    found = key_changes("k.yaml", before.encode(), before.replace("true", "false").replace("n: 1", "n: 2").encode())
    assert found is not None
    assert [change.key for change in found] == ['ConfigMap/c.data."a.yaml".on_', "Pod/p.spec.n"]


def test_a_patch_of_an_object_names_its_keys() -> None:
    """Merge patches and operations."""
    assert patch_keys('{"spec": {"replicas": 0, "x": null}}') == (("spec.replicas", 0), ("spec.x", None))
    assert patch_keys('[{"op": "replace", "path": "/spec/a~1b", "value": 1}]') == (("spec.a/b", 1),)
    assert patch_keys('[{"op": "remove", "path": "/metadata/labels/x.y"}]') == (('metadata.labels."x.y"', None),)
    assert patch_keys("spec:\n  a: 1\n") == (("spec.a", 1),)
    assert patch_keys("nonsense") is None


def test_a_manifest_names_its_objects_and_whose_content_they_take() -> None:
    """Volumes made from a snapshot, and lists."""
    text = "kind: PersistentVolumeClaim\nmetadata: {name: a, namespace: n}\nspec:\n"
    text += "  dataSource: {kind: VolumeSnapshot, name: s}\n"
    found = manifest_objects(text)
    assert found is not None
    assert [(one.kind, one.name, one.namespace, one.references) for one in found] == [
        ("PersistentVolumeClaim", "a", "n", (("VolumeSnapshot", "s"),))
    ]
    assert manifest_objects("a: 1\n") is None
    listed = manifest_objects('{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "p"}}]}')
    assert listed is not None
    assert [one.name for one in listed] == ["p"]


def test_what_files_hold_is_not_spelled_out_in_the_words_of_commands() -> None:
    """It may be a secret; only what the call itself wrote is its own."""
    view = NoFiles({"/w/key.txt": b"s3cret\n"})
    assert not any("s3cret" in line for line in said("curl http://h/$(cat key.txt); ./x < key.txt", view=view))
    assert "delete /models/a" in said("echo /models/a > l; rm $(cat l)")
