"""Other ways to the same files: mounts, loop devices, overlays, filesystems in user space."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._buckets import bucket_of, mounts
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import REMOTE, URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename, below
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream
from guardrail.model import Resource
from guardrail.patterns import lazy

_PSEUDO: Final = frozenset(
    "none tmpfs ramfs proc sysfs devpts devtmpfs overlay aufs unionfs cgroup cgroup2 mqueue hugetlbfs debugfs tracefs "
    "securityfs configfs bpf binfmt_misc pstore efivarfs fusectl nsfs swap shm udev".split()
)
_TAGS: Final = lazy(r"(?:UUID|LABEL|PARTUUID|PARTLABEL|ID)=.*")
_LAYERS: Final = lazy(r"(?:^|,)(?:lowerdir|upperdir|workdir|dirs|br|subdir|modules)[=:]([^,]*)")
_PROGRAMS: Final = lazy(r"command|sftp_server|^sshfs|slave|proxy", re.IGNORECASE)
"""Options of sshfs and of the ssh below it that run something."""

_FAR: Final = lazy(r"//[^/]+/.*")
_BRANCH: Final = lazy(r"[=+](?:RW|RO|NC|ro|rw|wh|nowh|R|W).*")


def mount(call: Call, parsed: Parsed) -> Stream:
    """`mount SOURCE DIR`: what is in the source has another name from then on, and what was in DIR is hidden."""
    operands = parsed.operands
    _options(call, parsed)
    layers = list(_layers(parsed))
    if _remounted(parsed, layers):
        # The same files are where they were; how they may be used is another thing.
        for field in operands:
            call.emit("service", at("kernel", f"mount:{field.text}"), attrs={"verb": "remount"})
        call.mention(operands)
        return SOMETHING
    if not operands and not layers and parsed.value("--target") is None:
        if parsed.has("--all"):
            call.emit("mount", at("kernel", "fstab"), attrs={"verb": "all"})
        return SOMETHING
    point = parsed.value("--target") or (operands[-1] if operands else Field(text=TOP))
    first = operands[0] if len(operands) > (0 if parsed.value("--target") is not None else 1) else None
    source = parsed.value("--source") or first
    store = _bucket(parsed, source)
    if store is not None:
        mounts(call, store, point)
        return SOMETHING
    sources = [*layers, *([source] if source is not None else [])]
    _mounted(call, sources, point, image=not parsed.has("--bind", "--rbind", "--move"))
    return SOMETHING


def _bucket(parsed: Parsed, source: Field | None) -> Resource | None:
    """What `-t fuse.s3fs BUCKET` mounts, also as `-t fuse s3fs#BUCKET`; None if it is no bucket."""
    kind = parsed.value("--types")
    if kind is None or source is None:
        return None
    program, mark, rest = source.text.partition("#")
    if kind.text == "rclone":
        return at("rclone", source.text)
    return bucket_of(program, rest) if mark else bucket_of(kind.text, source.text)


def _remounted(parsed: Parsed, layers: Sequence[Field]) -> bool:
    """`-o remount,…`: only the options of a mount become others."""
    words = [word for field in parsed.values_of("--options") if field.known for word in field.text.split(",")]
    moves = parsed.has("--bind", "--rbind", "--move", "--all") or "bind" in words or "move" in words
    return "remount" in words and not moves and not layers and bool(parsed.operands)


def _options(call: Call, parsed: Parsed) -> None:
    for _, role, field in parsed.values:
        if role == "list":
            call.emit("list", call.place(field))


def _layers(parsed: Parsed) -> Iterator[Field]:
    """Directories that an overlay is made of; a `data=` of another filesystem names none."""
    for field in parsed.values_of("--options"):
        if TOP in field.text:
            yield Field(text=TOP)
            continue
        for match in _LAYERS.finditer(field.text):
            for part in match[1].split(":"):
                if part:
                    yield Field(text=_BRANCH.sub("", part), span=field.span)


def _mounted(call: Call, sources: Sequence[Field], point: Field, *, image: bool) -> None:
    where = call.place(point, kind="dir", recursive=True)
    for source in sources:
        if source.text in _PSEUDO or _TAGS.fullmatch(source.text):
            continue
        far = _far(call, source)
        if far is not None:
            call.emit("net_recv", far)
            call.emit("mount", far, where)
            _named_there(call, source)
            continue
        place = call.place(source, recursive=True)
        if image and call.kind(place) != "dir":
            call.emit("read", place, attrs={"reveals": "content"})
        call.emit("mount", place, where)
    call.emit("mount", where)
    if where.path is not None:
        call.shell.directories |= {where.path.rstrip("/")}


def _named_there(call: Call, field: Field) -> None:
    """The other host may be this one, or hold what is here: its path may be that of an asset."""
    if not URL.fullmatch(field.text) and not _FAR.fullmatch(field.text):
        call.name_text(field.text.partition(":")[2])


def _far(call: Call, field: Field) -> Resource | None:
    text = field.text
    if URL.fullmatch(text):
        return remote(text) if not text.startswith("file://") else None
    if _FAR.fullmatch(text):
        return at("nfs", text)
    if not REMOTE.fullmatch(text) or text.startswith(("/", ".")):
        return None
    host, _, path = text.partition(":")
    return at("ssh", f"//{host}/{path.lstrip('/')}") if call.name == "sshfs" else at("nfs", text)


def fuse(call: Call, parsed: Parsed) -> Stream:
    """A filesystem in user space: `SOURCE DIR`, where a union has several sources with colons between."""
    if parsed.has("--help", "--version") or not parsed.operands:
        return SOMETHING
    _options(call, parsed)
    for option, role, field in parsed.values:
        if role == "read":
            call.read(field, reveals="some")
        elif role == "opaque" or (option == "--options" and _PROGRAMS.search(field.text)):
            call.opaque("inline", reason=f"an option of {call.name} names a program", words=(field,))
        elif option == "--options":
            call.mention((field,))
    sources: list[Field] = list(_layers(parsed))
    for field in parsed.operands[:-1]:
        several = call.name in ("mergerfs", "unionfs", "unionfs-fuse", "mhddfs") and field.known
        parts = re.split(r"[:,]", field.text) if several else [field.text]
        sources.extend(Field(text=_BRANCH.sub("", part), glob=field.glob if not several else None) for part in parts)
    _mounted(call, sources, parsed.operands[-1], image=True)
    return SOMETHING


def losetup(call: Call, parsed: Parsed) -> Stream:
    """`losetup`: a file becomes a block device."""
    if parsed.has("--list", "--all", "--associated", "--help", "--version"):
        return SOMETHING
    devices = [field for field in parsed.operands if field.text.startswith("/dev/loop")]
    files = [field for field in parsed.operands if field not in devices]
    if len(parsed.operands) > 1 and not files:
        files = list(parsed.operands[1:])
    device = devices[0] if devices else Field(text=f"/dev/loop{TOP}")
    for field in files:
        call.emit("mount", call.place(field), call.place(device))
    for field in parsed.values_of("--detach"):
        call.emit("mount", call.place(field))
    if parsed.has("--detach-all"):
        call.emit("mount", call.place(Field(text=f"/dev/loop{TOP}")))
    return SOMETHING


def nbd(call: Call, parsed: Parsed) -> Stream:
    """`qemu-nbd`: an image becomes a block device, or is served to whoever connects."""
    device = parsed.value("--connect")
    for field in parsed.values_of("--disconnect"):
        call.emit("mount", call.place(field))
    for field in parsed.operands:
        place = call.place(field)
        call.emit("read", place, attrs={"reveals": "content"})
        if device is not None:
            call.emit("mount", place, call.place(device))
            continue
        call.emit("copy", place, at("net", "served"), flow=("served",))
        call.emit("net_send", at("net", "served"))
    return SOMETHING


# -- snapshots


def snapshot(call: Call, parsed: Parsed) -> Stream:
    """`btrfs subvolume snapshot SOURCE TARGET`: a whole copy at once, inside TARGET if that is a directory."""
    operands = parsed.operands
    if len(operands) < 2:
        return call.opaque("program") if any(field.many for field in operands) else SOMETHING
    source, target = operands[0], operands[-1]
    origin = call.place(source, recursive=True)
    names = [target]
    if call.kind(call.place(target)) == "dir" or target.text.endswith("/") or not target.known:
        names = [below(target, basename(source.text))]
    elif call.shell.emit.made:
        names.append(below(target, basename(source.text)))
    call.emit("read", origin, attrs={"reveals": "content"})
    for name in names:
        place = call.place(name, kind="dir", recursive=True)
        call.emit("copy", origin, place, flow=("snapshot",))
        call.emit("write", place)
    return NOTHING


def dataset(call: Call, parsed: Parsed) -> Stream:
    """`zfs`, `zpool`: datasets are no paths, but by default are mounted below the root by their names."""
    out = apply_spec(call, parsed)
    for field in parsed.operands:
        name = re.split(r"[@#%]", field.text)[0]
        if "=" in name or not name or field.text.startswith(("/", "-")):
            continue
        if not re.fullmatch(r"[\w.:-]+(?:/[^/]+)*", name):
            call.mention((field,))
            continue
        mounted = call.place(Field(text=f"/{name}"), kind="dir", recursive=True)
        call.emit("mention", mounted, attrs={"dataset": True}, precision="opaque", may=True)
    sent = call.name.endswith((" send", " recv", " receive"))
    if not sent:
        return out
    sources = [call.place(Field(text=f"/{re.split('[@#]', f.text)[0]}"), recursive=True) for f in parsed.operands[-1:]]
    if call.name.endswith(" send"):
        return Stream(sources=tuple(sources))
    for place in sources:
        call.put("write", place, call.stdin.sources, flow=call.stdin.flow)
    return SOMETHING


def debugfs(call: Call, parsed: Parsed) -> Stream:
    """`debugfs DEVICE`: files are read, and with `-w` changed, below the filesystem."""
    for field in parsed.operands:
        place = call.place(field)
        call.emit("read", place, attrs={"reveals": "content"})
        if parsed.has("-w"):
            call.emit("write", place)
    for field in parsed.values_of("-R"):
        words = field.text.replace('"', " ").split()
        if not field.known or not words:
            call.opaque("dynamic", reason="what debugfs is asked is not known")
            continue
        call.mention_text(field.text)
        if words[0] in ("dump", "rdump", "dump_inode", "logdump") and len(words) > 1:
            where = call.place(Field(text=words[-1]), recursive=words[0] == "rdump")
            for one in (*(call.place(f) for f in parsed.operands), call.place(Field(text=words[-2]))):
                call.emit("copy", one, where)
            call.emit("write", where)
        elif words[0] == "write" and len(words) > 1:
            call.read(Field(text=words[1]))
        elif parsed.has("-w"):
            call.opaque("program", reason="a change below the filesystem")
    if parsed.has("-f", "-d") or not parsed.has("-R"):
        scripted = parsed.has("-f") or call.stdin.connected
        call.opaque("inline" if scripted else "program", reason="debugfs takes requests that are not looked into")
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "dataset": dataset,
    "debugfs": debugfs,
    "fuse": fuse,
    "losetup": losetup,
    "mount": mount,
    "nbd": nbd,
    "snapshot": snapshot,
}
"""What `code` of a spec may say, for this module."""
