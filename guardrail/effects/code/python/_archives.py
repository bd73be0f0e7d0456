"""Temporary files, files as memory, archives, and removals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import carried, content
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._files import open_places
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._path_functions import put_together
from guardrail.effects.code.python._system import argument_of, temporary
from guardrail.effects.code.python._values import (
    NAME,
    NONE,
    Args,
    Const,
    Handle,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    path_texts,
    text,
)
from guardrail.effects.domain._values import TOP, merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


# -- temporary files


def _temporary_name(machine: Machine, args: Args, pos: tuple[int, int, int]) -> str:
    folder = args.get(pos[2], "dir")
    end = args.get(pos[0], "suffix")
    start = args.get(pos[1], "prefix")
    base = path_texts(folder)[0] if isinstance(folder, Text) else temporary(machine).alternatives[0]
    tail = path_texts(end)[0] if isinstance(end, Text) else ""
    head = path_texts(start)[0] if isinstance(start, Text) else ""
    for value in (folder, end, start):
        machine.account(value)
    return put_together(base, head + NAME + tail)


@handles("tempfile.mkdtemp", "tempfile.mktemp")
def make_directory(machine: Machine, args: Args) -> Value:
    """A new directory."""
    name = text(_temporary_name(machine, args, (0, 1, 2)))
    machine.each("create", machine.places(name, kind="dir"))
    return name


@handles("tempfile.TemporaryDirectory")
def temporary_directory(machine: Machine, args: Args) -> Value:
    """A directory that is removed again."""
    name = make_directory(machine, args)
    return Thing("tempfile.TemporaryDirectory", {"name": name, "entered": name})


@handles("tempfile.gettempdir")
def temporary_place(machine: Machine, _args: Args) -> Value:
    """Where temporary files are."""
    return temporary(machine)


@handles("tempfile.mkstemp")
def make_temporary(machine: Machine, args: Args) -> Value:
    """A new file: descriptor and name."""
    name = text(_temporary_name(machine, args, (0, 1, 2)))
    return Seq([open_places(machine, machine.places(name), "wb"), name], "tuple")


@handles("tempfile.NamedTemporaryFile", "tempfile.TemporaryFile")
def temporary_file(machine: Machine, args: Args) -> Value:
    """A new file that is open."""
    mode = single(args.get(0, "mode")) or "w+b"
    machine.account(args.get(0, "mode"))
    name = text(_temporary_name(machine, args, (4, 5, 6)))
    handle = open_places(machine, machine.places(name), mode)
    handle.name = name
    return handle


@handles("mmap.mmap")
def mapped(machine: Machine, args: Args) -> Value:
    """A file as memory: what it holds, and a way to write it."""
    source = argument_of(args, 0)
    access = args.named.get("access") or args.named.get("prot")
    reads = access is not None and _is_read_only(access)
    held = machine.contents_of(source)
    if reads or not isinstance(source, Handle):
        return Unknown(held)
    return Thing("mmap.mmap", {"to": source}, sources=held)


def _is_read_only(access: Value) -> bool:
    return isinstance(access, Ref) and access.name in ("mmap.ACCESS_READ", "mmap.PROT_READ", "mmap.ACCESS_COPY")


@handles("fileinput.input", "fileinput.FileInput")
def file_input(machine: Machine, args: Args) -> Value:
    """Lines of files, which `inplace` rewrites."""
    files = args.get(0, "files")
    inplace = args.get(1, "inplace")
    changes = inplace is not None and not (isinstance(inplace, Const) and not inplace.value)
    found: tuple[Resource, ...] = ()
    items, rest = machine.items_of(files) if isinstance(files, Seq) else ([files or anything()], None)
    for item in [*items, *([rest] if rest is not None else [])]:
        places = machine.places(item)
        found = merge(found, machine.read(places))
        if changes:
            backup = args.get(2, "backup")
            ends = path_texts(backup) if isinstance(backup, Text) and single(backup) != "" else (".bak",)
            machine.account(backup)
            for end in ends:
                for place in machine.places(Text(tuple(name + end for name in path_texts(item)))):
                    for source in places:
                        machine.emit("rename", source, place)
            machine.put("write", places, ())
    return Seq([], "list", anything(found), machine.branch)


@handles("shutil.make_archive")
def make_archive(machine: Machine, args: Args) -> Value:
    """A directory goes into `base_name` with the extension of the format."""
    base, form = argument_of(args, 0, "base_name"), single(args.get(1, "format"))
    root = args.get(2, "root_dir") or args.get(3, "base_dir") or text(".")
    inner = args.get(3, "base_dir")
    end = {"zip": ".zip", "tar": ".tar", "gztar": ".tar.gz", "bztar": ".tar.bz2", "xztar": ".tar.xz"}.get(
        form or "", TOP
    )
    target = Text(tuple(item + end for item in path_texts(base)))
    machine.account(args.get(1, "format"))
    sources = machine.places(root, recursive=True)
    if inner is not None and not (isinstance(root, Text) and root is inner):
        sources = (*sources, *machine.places(inner, recursive=True))
    machine.put("write", machine.places(target), sources)
    return target


@handles("pathlib.Path.touch")
def touch(machine: Machine, args: Args) -> Value:
    """A file that is there gets a new date, another one is made."""
    for place in machine.places(argument_of(args, 0)):
        kind = machine.call.kind(place)
        if kind is None:
            machine.emit("create", place)
        machine.emit("set_times", place)
    return NONE


@handles("zipfile.ZipFile", "tarfile.open", "tarfile.TarFile", "zipfile.PyZipFile", "tarfile.TarFile.open")
def archive(machine: Machine, args: Args) -> Value:
    """An archive that is read, or that things are put into."""
    path = args.get(0) or args.named.get("file") or args.named.get("name") or args.named.get("fileobj") or Unknown()
    mode = single(args.get(1, "mode")) if args.get(1, "mode") is not None else "r"
    machine.account(args.get(1, "mode"))
    mode = "w" if mode is None else mode
    if isinstance(path, Const) and path.value is None:
        path = args.named.get("fileobj", Unknown())
    if mode[:1] in ("w", "a", "x"):
        if not isinstance(path, Handle):
            machine.put("append" if mode[:1] == "a" else "write", machine.places(path), ())
        return Thing("archive", {"to": path})
    held = machine.contents_of(path) if isinstance(path, Handle) else machine.read(machine.places(path))
    return Thing("archive", {}, held=held)


@handles("archive.write", "archive.add", "archive.addfile", "archive.mkdir")
def put_in_archive(machine: Machine, args: Args) -> Value:
    """Something goes into an archive."""
    owner = args.pos[0]
    found: tuple[Resource, ...] = ()
    for value in args.pos[1:2]:
        found = machine.places(value, recursive=True) if isinstance(value, Text) else carried(value)
    for value in (*args.pos[2:], *args.named.values()):
        found = merge(found, carried(value))
        machine.account(value)
    if isinstance(owner, Thing) and "to" in owner.facts:
        target = owner.facts["to"]
        if isinstance(target, Handle):
            machine.sink(target, found, None)
        else:
            for place in machine.places(target):
                for source in found:
                    machine.emit("copy", source, place)
    return NONE


@handles("archive.writestr")
def put_text_in_archive(machine: Machine, args: Args) -> Value:
    """`writestr(name, data)`: the name is one in the archive."""
    if len(args.pos) > 1:
        machine.account(args.pos[1])
    named = Unknown(content(Args(args.pos[1:2])))
    return put_in_archive(machine, Args([args.pos[0], named, *args.pos[2:]], args.named, args.vague))


@handles("archive.extractall", "archive.extract")
def extract(machine: Machine, args: Args) -> Value:
    """What an archive holds is written below a directory."""
    owner = args.pos[0]
    member = args.pos[1:2] if len(args.pos) > 2 else []
    target = args.named.get("path") or (
        args.pos[2] if len(args.pos) > 2 else args.pos[1] if len(args.pos) > 1 else None
    )
    for value in member:
        machine.account(value)
    folder = target if target is not None else text(".")
    held = owner.held if isinstance(owner, Thing) else ()
    machine.put("write", machine.places(folder, kind="dir", recursive=True), held)
    return NONE


@handles("archive.open", "archive.read", "archive.extractfile")
def member(machine: Machine, args: Args) -> Value:
    """One file of an archive: what is written to it goes into the archive."""
    owner = args.pos[0]
    for value in args.pos[1:]:
        machine.account(value)
    if isinstance(owner, Thing) and "to" in owner.facts:
        machine.sink(owner, content(args.after(1)), None)  # the name may say something
        return Thing("<member>", {"to": owner.facts["to"]})
    handle = Handle("memory", mode="r+b")
    handle.inside, handle.text = carried(owner), None
    return handle
