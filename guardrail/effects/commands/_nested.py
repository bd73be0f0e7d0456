"""Commands that run another one given as a word, a text or a list: su, script, flock, parallel, tmux and their like.

Not concerned with wrappers whose words simply go on with a command: those are `wrapper` in the specs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_role
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import below, named_by
from guardrail.effects.commands._typed import keys
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import note_start_file
from guardrail.effects.domain._values import NAME, NOTHING, PATH, SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_JOBS: Final = 64
"""Most commands of one `parallel` that are looked into one by one."""

_MARK: Final = lazy(r"\{(?:[./#%]|//|/\.|\d+[./]?|[+-]?\d+)?\}")
_SOURCES: Final = frozenset((":::", "::::", ":::+", "::::+"))


def _text(call: Call, field: Field, stdin: Stream | None = None) -> Stream:
    """A shell text of its own."""
    if not field.known:
        return call.opaque("dynamic", reason="the text of the command is not known")
    return _shell(call, field.text, call.stdin if stdin is None else stdin)


def _shell(call: Call, text: str, stdin: Stream) -> Stream:
    words = (Field(text="sh"), Field(text="-c"), Field(text=text, span=call.span))
    return call.shell.again(call, words, external=True, stdin=stdin)


def user(call: Call, parsed: Parsed) -> Stream:
    """`su`, `runuser`, `sg`, `newgrp`: a shell of another user, with a text or with nothing known."""
    for field in parsed.values_of("-s"):
        apply_role(call, "run", field, (), recursive=False)
    texts = parsed.values_of("--command")
    if texts:
        return _text(call, texts[-1])  # of several the last one counts
    operands = parsed.operands
    if call.name == "runuser" and parsed.has("--user") and operands:
        return call.shell.again(call, tuple(operands), external=True)
    if call.name == "sg" and len(operands) > 1:
        return _text(call, operands[1])
    rest = [field for field in operands if field.text != "-"][1:]
    if rest and call.name in ("su", "runuser"):
        # What follows the name of the user are words for that user's shell.
        return call.shell.again(call, (Field(text="sh"), *rest), external=True)
    if call.stdin.text is not None:
        return _text(call, Field(text=call.stdin.text), SOMETHING)
    return call.opaque("dynamic", reason="a shell of another user")


def script(call: Call, parsed: Parsed) -> Stream:
    """`script`: records what a shell, or the text given to it, prints."""
    log = parsed.operands[0] if parsed.operands else None
    texts = parsed.values_of("--command")
    command = parsed.operands[1:]
    if command and not texts:
        # The script of the BSDs takes the words of a command.
        out = call.shell.again(call, tuple(command), external=True)
    else:
        out = _text(call, texts[-1]) if texts else call.opaque("dynamic", reason="a shell that is recorded")
    for field in [*([log] if log is not None else []), *(f for _, role, f in parsed.values if role == "write")]:
        call.put("write", call.place(field), out.sources)
    if log is None and not any(role == "write" for _, role, _ in parsed.values):
        call.emit("write", call.place(Field(text="typescript")))
    return out


def flock(call: Call, parsed: Parsed) -> Stream:
    """`flock FILE COMMAND`: the file is made if it is missing."""
    operands = parsed.operands
    if not operands:
        return SOMETHING
    if not operands[0].text.isdecimal():
        call.emit("create", call.place(operands[0]), may=True)
    texts = parsed.values_of("--command")
    rest = operands[1:]
    if rest and rest[0].text in ("-c", "--command"):
        texts, rest = rest[1:2], []
    if texts:
        return _text(call, texts[-1])
    return call.shell.again(call, tuple(rest), external=True) if rest else NOTHING


def rooted(call: Call, parsed: Parsed) -> Stream:
    """`chroot`, `nsenter`, `unshare`: a path may lead elsewhere there; what it names here is meant as well."""
    operands = list(parsed.operands)
    if call.name == "chroot":
        if not operands:
            return SOMETHING
        root = operands.pop(0)
        call.emit("mention", call.place(root, kind="dir", recursive=True), precision="opaque", may=True)
        same = root.known and root.text.strip("/") == ""
    else:
        same = not parsed.has("--root", "--wd")
    if not operands:
        return call.opaque("dynamic", reason=f"{call.name} starts a shell")
    if not same:
        call.opaque("inline", reason="a command under another root", words=operands)
    return call.shell.again(call, tuple(operands), external=True)


# -- parallel


def parallel(call: Call, _parsed: Parsed) -> Stream:
    """`parallel COMMAND ::: words`: a text for each word, or for each line of the input."""
    words = list(call.args)
    kept: list[tuple[str, Field]] = []
    while words and words[0].text.startswith("-"):
        field = words.pop(0)
        option = field.text
        name, equals, _ = option.partition("=")
        if name in _PARALLEL_VALUES and (words or equals):
            kept.append((name, field.tail(len(name) + 1) if equals else words.pop(0)))
        elif option.split("=")[0] not in _PARALLEL_FLAGS and not re.fullmatch(r"-[jPNnL]\d*%?|--(?:jobs|j)=.*", option):
            return call.opaque("inline", reason="an option of parallel is not known")
    cut = next((i for i, field in enumerate(words) if field.text in _SOURCES), len(words))
    command, given = words[:cut], words[cut:]
    jobs, sources = _jobs(call, given)
    if not all(field.known for field in command):
        return call.opaque("dynamic", reason="the command of parallel is not known", words=(*words,))
    text = " ".join(field.text for field in command)
    codes = [match["code"] for match in _PERL.finditer(text)]
    if not all(_PLAIN_PERL.fullmatch(code) for code in codes):
        call.mention_text(text)
        return call.opaque("inline", reason="an expression of Perl in a command of parallel")
    with call.perhaps():
        out = [_job(call, text, job, sources) for job in jobs]
    found = sources
    for one in out:
        found = merge(found, one.sources)
    _kept(call, kept, found)
    return Stream(sources=found)


def _kept(call: Call, options: Sequence[tuple[str, Field]], sources: tuple[Resource, ...]) -> None:
    """What `parallel` writes down of its jobs, and the hosts that it sends them to."""
    for name, field in options:
        if name == "--joblog":
            call.put("write", call.place(field), sources)
        elif name in ("--results", "--res", "--tmpdir"):
            below(call, field, sources)
        elif name in ("-S", "--sshlogin"):
            for host in field.text.split(","):
                call.emit("remote_exec", at("ssh", f"ssh://{host.rpartition('@')[2].rpartition('/')[2]}"))


def _jobs(call: Call, given: Sequence[Field]) -> tuple[Sequence[str], tuple[Resource, ...]]:
    """The words that commands are run on; TOP for one that is not known."""
    sources: tuple[Resource, ...] = merge((), tuple(source for field in given for source in field.sources))
    kinds = [field.text for field in given if field.text in _SOURCES]
    if kinds == [":::"] and all(field.known for field in given) and len(given) <= MAX_JOBS:
        return [field.text for field in given[1:]], sources
    if not kinds and call.stdin.text is not None and call.stdin.text.count("\n") <= MAX_JOBS:
        return call.stdin.text.splitlines(), merge(sources, call.stdin.sources)
    if not kinds and call.stdin.text is None and call.stdin.listed:
        return call.stdin.listed, merge(sources, call.stdin.sources)
    for field in given:
        if field.text not in _SOURCES and "::::" in kinds:
            sources = merge(sources, call.read(field, reveals="some"))
    return [TOP], merge(sources, call.stdin.sources)


_PERL: Final = lazy(r"\{(?:[-+]?\d+)?=(?P<code>.*?)=\}", re.DOTALL)
"""What `parallel` evaluates for each job."""

_PLAIN_PERL: Final = lazy(
    r"\s*+(?:(?:s|tr|y)(?P<mark>[/|#:,!])(?:(?!(?P=mark)|\(\?)[^\\$@]|\\.)*\$?(?P=mark)"
    r"(?:(?!(?P=mark))[\w ./-])*(?P=mark)[gi]*"
    r"|(?:\$_ ?= ?)?(?:uc|lc|ucfirst|lcfirst)(?:\(\$_\)| \$_)?|)\s*+;?\s*+"
)
"""One that only changes the letters of the word."""

_WORD: Final = lazy(rf"(?:[A-Za-z0-9_./:@%+=,-]|{NAME}|{PATH})+")
"""A word that means itself, or a name that was listed."""


def _job(call: Call, text: str, job: str, sources: tuple[Resource, ...]) -> Stream:
    text, changed = _PERL.sub("{}", text), _PERL.search(text) is not None
    job = TOP if changed else job
    if not text:
        whole = job
    elif _MARK.search(text):
        whole = _MARK.sub(lambda match: _named(match[0], job) if _WORD.fullmatch(job) else TOP, text)
    else:
        whole = f"{text} {job if _WORD.fullmatch(job) else TOP}"
    if TOP not in whole:
        return _shell(call, whole, NOTHING)
    plain = re.fullmatch(r"[A-Za-z0-9_./ :@%+=,{}-]+", text)
    if text and plain and not re.search(r"(?:^|/| )(?:ba|da|z|k)?sh |eval|python|perl", text):
        words = tuple(Field(text=word, sources=sources if TOP in word else ()) for word in whole.split())
        return call.shell.again(call, words, external=True, stdin=NOTHING)
    return call.opaque("dynamic", reason="parallel runs a text with words that are not known")


def _named(mark: str, job: str) -> str:
    """What a mark makes of a plain word: its last name, its directory, or that without its ending."""
    if mark == "{}":
        return job
    template = {"{/}": "{name}", "{.}": "{stem}", "{/.}": "{short}"}.get(mark)
    known = template is not None and not job.endswith("/") and "." in job.rpartition("/")[2].lstrip(".")
    return named_by(template, Field(text=job)).text if known and template is not None else TOP


_PARALLEL_VALUES: Final = frozenset(
    "-j --jobs -P -N -n -L -S --sshlogin --delay --timeout --retries --joblog --results --res --tmpdir --colsep -C -d "
    "--delimiter --halt --halt-on-error --block --recstart --recend --nice --load --memfree --shuf-seed".split()
)
_PARALLEL_FLAGS: Final = frozenset(
    "-k --keep-order --bar --eta --progress --dry-run --dryrun -v --verbose -t --will-cite -0 --null --no-notice -u "
    "--ungroup --line-buffer --lb --no-run-if-empty -r -q --quote --tag --group -m -X --linebuffer".split()
)


# -- terminals

_LOOKING: Final = frozenset(
    "ls list-sessions attach a attach-session kill-session kill-server has-session list-windows list-panes lsp lsw "
    "capture-pane -V -ls -list -r -dr -x".split()
)


_QUITTING: Final = lazy(r"(?:-S ([\w.-]+) )?-X (?:quit|kill)")
"""`screen -S NAME -X quit`."""


def terminal(call: Call, _parsed: Parsed) -> Stream:
    """`tmux`, `screen`: what is typed into a terminal, or run in one, is a shell text."""
    words = call.args
    if words and words[0].text in _LOOKING and not _goes_on(call):
        if words[0].text in ("kill-session", "kill-server"):
            call.emit("signal", at("process", words[-1].text if len(words) > 1 else "*"))
        return SOMETHING
    if call.name == "screen" and all(field.known for field in words):
        quitting = _QUITTING.fullmatch(" ".join(field.text for field in words))
        if quitting is not None:
            call.emit("signal", at("process", quitting[1] or "*"))
            return SOMETHING
    started = None if _goes_on(call) else keys(call) if call.name == "tmux" else None
    started = _started(call) if started is None and not _goes_on(call) else started
    if started is not None:
        return started
    out = call.opaque("inline", reason=f"{call.name} runs commands in a terminal")
    with call.perhaps():
        for field in words:
            if field.known and " " in field.text.strip():
                typed = field.text.replace("\\n", "\n").replace("^M", "\n").replace("\\015", "\n")
                _shell(call, typed, NOTHING)
    return out


def _goes_on(call: Call) -> bool:
    """Further commands stand in the words, or one that a running `screen` is sent, or one within a format of tmux."""
    words = call.args
    for index, field in enumerate(words):
        last, text = index + 1 == len(words), field.text
        if call.name == "screen":
            found = re.match(r"-[^-]*[XQ]", text) is not None or (text.startswith(TOP) and not last)
        else:
            form = index > 0 and words[index - 1].text == "-F" and not field.known
            found = text.endswith(";") or "#(" in text or form or (text.endswith(TOP) and not last)
        if found or field.many:
            return True
    return False


def _started(call: Call) -> Stream | None:
    """`tmux new -d 'TEXT'`, `screen -dmS NAME COMMAND`: what runs in a new terminal; None for anything else."""
    words = list(call.args)
    if not words or not all(field.known for field in words):
        return None
    tmux = call.name == "tmux"
    if tmux and words.pop(0).text not in ("new", "new-session", "neww", "new-window", "splitw", "split-window"):
        return None
    cwd = call.cwd
    values = _TMUX_VALUES if tmux else _SCREEN_VALUES
    detached = tmux
    log: Field | None = None
    while words and words[0].text[:1] == "-":
        option = words.pop(0).text
        if option == "-Logfile" and not tmux and words:
            log = words.pop(0)
            continue
        if "L" in option and not tmux:
            log = Field(text="screenlog.*", glob="screenlog.*")
        letters = _TMUX_FLAGS if tmux else _SCREEN_FLAGS
        if not re.fullmatch(rf"-[{letters}]*[{values}]?", option):
            return None
        detached = detached or {"d", "m"} <= set(option)
        if option[-1] in values:
            if not words:
                return None
            value = words.pop(0)
            cwd = call.place(value, kind="dir").path if option[-1] == "c" and tmux else cwd
    if not words or not detached:
        note_start_file(call)  # what runs in it is a shell, and which one is a setting
        return SOMETHING if tmux else None
    with call.perhaps():
        if len(words) > 1 or not tmux:
            out = call.shell.again(call, tuple(words), external=True, cwd=cwd, stdin=NOTHING)
            if log is not None:
                call.put("write", call.place(log), out.sources)
            return out
        state = call.state.copy()
        state.cwds = (cwd,)
        return call.shell.run_text(words[0].text, state, NOTHING)[2]


_TMUX_FLAGS: Final = "dPADEXhvbfIZ"
_TMUX_VALUES: Final = "sncxytF"
_SCREEN_FLAGS: Final = "dmLUaO"
_SCREEN_VALUES: Final = "SthT"


def hosted(call: Call, parsed: Parsed) -> Stream:
    """`mosh HOST -- COMMAND`, `vagrant ssh -c TEXT`: a command on another host."""
    operands = [field for field in parsed.operands if field.text != "--"]
    texts = parsed.values_of("--command")
    host = at("ssh", f"ssh://{operands[0].text.rpartition('@')[2]}") if operands else at("ssh", "ssh://*")
    rest = tuple(operands[1:])
    for field in parsed.values_of("--ssh"):
        apply_role(call, "run", field, (), recursive=False)
    texts += parsed.values_of("--server")
    call.emit("remote_exec", host)
    for source in call.stdin.sources:
        call.emit("copy", source, host, flow=call.stdin.flow)
    call.mention(rest)
    for field in (*rest, *texts):
        call.mention_text(field.text)
    for field in texts:
        if not field.known:
            call.opaque("dynamic", reason="the text of the command is not known", words=(field,))
            continue
        out = call.shell.elsewhere(call, host, field.text)
        if not rest:
            return out
    return call.shell.elsewhere(call, host, rest) if rest else SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "flock": flock,
    "hosted": hosted,
    "parallel": parallel,
    "rooted": rooted,
    "script": script,
    "terminal": terminal,
    "user": user,
}
"""What `code` of a spec may say, for this module."""
