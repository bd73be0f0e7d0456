"""Keys, capabilities and other rights that are more than a mode: ssh-keygen, setcap, setfattr, chmod."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import configured
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, SOMETHING, Field, Stream
from guardrail.patterns import lazy


def modes(call: Call, parsed: Parsed) -> Stream:
    """`chmod`, `chown`, `chattr`: the first operand is the mode or owner, unless something else says that."""
    shape = parsed.spec.dashed
    given = any(shape is not None and shape.fullmatch(field.text) for field in call.args)
    recursive = parsed.has("--recursive")
    for option, _, field in parsed.values:
        if option == "--reference":
            call.emit("list", call.place(field))
            given = True
    operands = list(parsed.operands)
    if not given and operands and not operands[0].many:
        operands.pop(0)
    # In a tree chown goes through no link, nor does it follow one that is named, unless it is told to.
    words = [field.text for field in call.args]
    owner = call.name in ("chown", "chgrp", "gchown", "gchgrp")
    itself = parsed.has("--no-dereference") or (owner and recursive and not parsed.has("-H", "-L"))
    for field in operands:
        place = call.place(field, recursive=recursive, nofollow=itself)
        call.emit("set_security", place)
        if (home := _HOME.fullmatch((place.path or "").rstrip("/"))) is not None and _shut(home[1], words, owner=owner):
            call.emit("set_security", at("account", home[1]), attrs={"verb": call.name})
    return NOTHING


def _shut(name: str, words: Sequence[str], *, owner: bool) -> bool:
    """A home is given to another user, or its owner may not go in any more."""
    if not owner:
        return any(map(_NOT_IN.fullmatch, words))
    users = [word.partition(":")[0] for word in words if word[:1] not in ("-", "/")]
    return any(_USER.fullmatch(user) and user != name for user in users[:1])


_HOME: Final = lazy(r"/(?:home/|Users/|(?=root$))([^/*]+)")
_USER: Final = lazy(r"[A-Za-z_][\w.-]*")
_NOT_IN: Final = lazy(r"[0-7]?0[0-7]{2}|0{1,2}|(?![go]+[-=])[ugoa]*+(?:-[rw]*[xX]|=[rw]*(?:,|$)).*")
"""Modes that shut the owner of a folder out of it."""


def acl(call: Call, parsed: Parsed) -> Stream:
    """`setfacl`: what takes entries away changes nothing where there are none."""
    for field in parsed.values_of("--restore"):
        _restored(call, field)
    with call.perhaps(parsed.has("-b", "--remove", "-k")):
        return apply_spec(call, parsed)


def _restored(call: Call, field: Field) -> None:
    """What `getfacl` printed is set again: each file is named in a comment."""
    text = configured(call, field)
    for name in re.findall(r"^# file: (.*)$", text or "", re.MULTILINE):
        call.emit("set_security", call.place(Field(text=name)))


def xattrs(call: Call, parsed: Parsed) -> Stream:
    """`setfattr`, `attr`: a value of any size beside a file's content."""
    apply_spec(call, parsed)
    for field in parsed.operands:
        for _, _, value in parsed.values:
            for source in value.sources:
                call.emit("copy", source, call.place(field), flow=("argument",))
        for source in call.stdin.sources if call.name == "attr" and parsed.has("-s") else ():
            call.emit("copy", source, call.place(field), flow=call.stdin.flow)
    return SOMETHING


def setcap(call: Call, parsed: Parsed) -> Stream:
    """`setcap CAPS FILE [CAPS FILE]…`, `setcap -r FILE`."""
    if parsed.has("-v", "-h"):
        return SOMETHING
    rights = 0
    for field in parsed.operands:
        if field.text in ("-", "") or re.fullmatch(r"(?:[a-z0-9_,]*+[=+-][eip]*+[ ]?)++", field.text):
            rights += 1
            continue
        call.emit("set_security", call.place(field))
    return NOTHING


def ssh_keygen(call: Call, parsed: Parsed) -> Stream:
    """`ssh-keygen`: makes a key and its public half, or changes, shows, signs or forgets one."""
    out = apply_spec(call, parsed)
    file = parsed.value("-f")
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    if parsed.has("-R"):
        known = file or Field(text=f"{home}/.ssh/known_hosts")
        call.emit("write", call.place(known))
        call.emit("write", call.place(Field(text=known.text + ".old")))
        return SOMETHING
    if parsed.has("-Y"):
        for field in parsed.operands:
            call.put("write", call.place(Field(text=f"{field.text}.sig")), call.read(field, reveals="digest"))
    if parsed.has("-l", "-y", "-B", "-F", "-e", "-i", "-L", "-Q", "-r", "-Y") or parsed.has("-D"):
        sources = call.read(file, reveals="digest" if parsed.has("-l") else "content") if file is not None else ()
        return Stream(sources=sources) if parsed.has("-y", "-e", "-i") else out
    if parsed.has("-s"):
        for field in parsed.operands:
            stem = field.text.removesuffix(".pub")
            call.put("write", call.place(Field(text=f"{stem}-cert.pub")), call.read(field))
        return SOMETHING
    key = file or Field(text=f"{home}/.ssh/id_{(parsed.value('-t') or Field(text='ed25519')).text}")
    if parsed.has("-A"):
        key = Field(text=f"{file.text if file is not None else ''}/etc/ssh/ssh_host_key")
    call.emit("write", call.place(key))
    if not parsed.has("-p", "-c"):
        call.emit("write", call.place(Field(text=key.text + ".pub")))
    return SOMETHING


def ssh_copy_id(call: Call, parsed: Parsed) -> Stream:
    """`ssh-copy-id HOST`: from then on the key opens the account there."""
    apply_spec(call, parsed)
    if parsed.has("-n", "-h"):
        return SOMETHING
    for field in parsed.operands:
        host = at("ssh", f"//{field.text}")
        call.emit("set_security", at("account", field.text), attrs={"verb": "authorized_keys"})
        identity = parsed.value("-i")
        for source in call.read(identity, reveals="some") if identity is not None and identity.text else ():
            call.emit("copy", source, host, flow=("net",))
        call.emit("net_send", host)
        call.emit("remote_exec", host)
    return SOMETHING


def userdel(call: Call, parsed: Parsed) -> Stream:
    """`userdel`, `deluser`: the account, and with it what is in its home."""
    apply_spec(call, parsed)
    for field in parsed.operands[:1] if parsed.has("--remove") else ():
        home = Field(text=f"/home/{field.text}")
        call.emit("delete", call.place(home, kind="dir", recursive=True, nofollow=True), may=True)
    return NOTHING


def kept(call: Call, parsed: Parsed) -> Stream:
    """A store of secrets takes what comes in: it can be of any size."""
    apply_spec(call, parsed)
    for source in call.stdin.sources:
        call.emit("copy", source, at("keyring", "*"), flow=call.stdin.flow)
    return NOTHING


FAMILIES: Final[Mapping[str, Family]] = {
    "acl": acl,
    "kept": kept,
    "modes": modes,
    "setcap": setcap,
    "ssh_copy_id": ssh_copy_id,
    "ssh_keygen": ssh_keygen,
    "userdel": userdel,
    "xattrs": xattrs,
}
"""What `code` of a spec may say, for this module."""
