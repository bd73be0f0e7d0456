"""Names of functions in `code` of a spec -> the functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from guardrail.effects import _archive, _files, _find, _git, _text, _transfer, _wrappers
from guardrail.effects._call import Call
from guardrail.effects._options import Parsed
from guardrail.effects._values import Stream

FAMILIES: Final[Mapping[str, Callable[[Call, Parsed], Stream]]] = {
    "awk": _text.awk,
    "basename": _text.basename_,
    "cat": _files.cat,
    "cmp": _text.cmp,
    "compress": _archive.compress,
    "cp": _files.cp,
    "count": _text.count,
    "curl": _transfer.curl,
    "dd": _files.dd,
    "dirname": _text.dirname_,
    "echo": _text.echo,
    "env": _wrappers.env,
    "find": _find.find,
    "git": _git.git,
    "install": _files.install,
    "jq": _text.jq,
    "kill": _text.kill,
    "ln": _files.ln,
    "make": _wrappers.make,
    "mv": _files.mv,
    "pager": _text.pager,
    "printf": _text.printf,
    "pwd": _text.pwd,
    "quiet": _text.quiet,
    "runner": _wrappers.runner,
    "scp": _transfer.scp,
    "sed": _files.sed,
    "seq": _text.seq,
    "sort": _text.sort,
    "ssh": _transfer.ssh,
    "tar": _archive.tar,
    "tee": _files.tee,
    "time": _wrappers.time,
    "touch": _files.touch,
    "truncate": _files.truncate,
    "watch": _wrappers.watch,
    "wget": _transfer.wget,
    "wrapper": _wrappers.wrapper,
    "xargs": _find.xargs,
    "yq": _text.yq,
}
"""What `code` may say."""
