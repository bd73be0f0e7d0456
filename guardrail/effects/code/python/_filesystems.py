"""Filesystems behind one interface, here or elsewhere: fsspec, and the libraries of stores that are built on it.

Not concerned with what a store is: a path behind a scheme is an address, and one of this machine a path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import carried, content
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._stores import open_store
from guardrail.effects.code.python._values import (
    NONE,
    Args,
    Dict,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    options,
    path_texts,
)
from guardrail.effects.domain._values import TOP
from guardrail.model import Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

_SCHEMES: Final = {
    "file": "", "local": "", "s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az", "azure": "az",
}  # fmt: skip
"""Names of protocols that are called otherwise in an address; none for files of this machine."""


_WRAPPING: Final = frozenset("simplecache filecache blockcache cached dir reference asyn_wrapper".split())
"""Filesystems that stand before another one."""


def _filesystem(protocol: str) -> Thing:
    return Thing("fsspec.fs", {"<scheme>": Text((_SCHEMES.get(protocol, protocol),))})


@handles("fsspec.filesystem", "fsspec.get_filesystem_class")
def filesystem(machine: Machine, args: Args) -> Value:
    """A filesystem by its protocol; one that is not known is any."""
    for value in args.all():
        machine.account(value)
    protocol = single(args.get(0, "protocol")) or TOP
    if protocol in _WRAPPING:
        protocol = single(args.named.get("target_protocol")) or TOP
    return _filesystem(protocol)


@handles("s3fs.S3FileSystem", "s3fs.core.S3FileSystem", "pyarrow.fs.S3FileSystem")
def s3(_machine: Machine, _args: Args) -> Value:
    """Buckets of S3."""
    return _filesystem("s3")


@handles("gcsfs.GCSFileSystem", "gcsfs.core.GCSFileSystem", "pyarrow.fs.GcsFileSystem")
def gcs(_machine: Machine, _args: Args) -> Value:
    """Buckets of Google."""
    return _filesystem("gs")


@handles("adlfs.AzureBlobFileSystem", "adlfs.AzureDatalakeFileSystem")
def azure(_machine: Machine, _args: Args) -> Value:
    """Containers of Azure."""
    return _filesystem("az")


@handles("pyarrow.fs.LocalFileSystem")
def local(_machine: Machine, _args: Args) -> Value:
    """Files of this machine."""
    return _filesystem("file")


@handles("huggingface_hub.HfFileSystem", "huggingface_hub.hffs")
def hub(_machine: Machine, _args: Args) -> Value:
    """Repositories of the hub."""
    return _filesystem("hf")


@handles("fsspec.core.url_to_fs", "fsspec.url_to_fs")
def of_url(machine: Machine, args: Args) -> Value:
    """The filesystem of an address, and the path in it."""
    url = args.get(0, "url") or anything()
    machine.account(url)
    exact = single(url)
    if exact is None:
        return Seq([_filesystem(TOP), anything()], "tuple")
    scheme, mark, path = exact.partition("://")
    return Seq([_filesystem(scheme if mark else "file"), Text((path if mark else exact,))], "tuple")


def _paths(owner: Value, value: Value | None) -> Text:
    """Paths in a filesystem as this process would write them: an address, or a path of this machine."""
    scheme = single(owner.facts["<scheme>"]) if isinstance(owner, Thing) else None
    found: list[str] = []
    for option in options(value) if value is not None else ():
        found += [text for item in _items(option) for text in path_texts(item)]
        if isinstance(option, Seq) and option.rest is not None:
            found += path_texts(option.rest)
    if value is None or scheme is None or not found:
        return Text((TOP,))
    return Text(tuple(text if not scheme or "://" in text else f"{scheme}://{text.lstrip('/')}" for text in found))


def _items(value: Value) -> list[Value]:
    if isinstance(value, Dict):  # what is put there, by where it goes
        return [Text((key,)) if isinstance(key, str) else anything() for key in value.items]
    return value.items if isinstance(value, Seq) else [value]


def _things(machine: Machine, text: Text, *, recursive: bool) -> tuple[Resource, ...]:
    found = machine.places(text, recursive=recursive)
    return tuple(
        Resource(kind="object", uri=place.uri, recursive=recursive) if place.uri is not None else place
        for place in found
    )


@handles(
    *(
        f"fsspec.fs.{name}"
        for name in "rm rm_file _rm delete rmdir rm_many delete_dir delete_file delete_dir_contents".split()
    )
)
def remove(machine: Machine, args: Args) -> Value:
    """Files or trees are gone."""
    _account(machine, args)
    for place in _things(machine, _paths(args.pos[0], args.get(1, "path")), recursive=True):
        machine.emit("delete" if place.uri is None else "api_delete", place, may=place.uri is None)
    return NONE


@handles(*(f"fsspec.fs.{name}" for name in "get get_file download".split()))
def fetch(machine: Machine, args: Args) -> Value:
    """Something of the filesystem comes to this machine."""
    _account(machine, args)
    found = machine.read(_things(machine, _paths(args.pos[0], args.get(1, "rpath")), recursive=True))
    machine.put("write", machine.places(args.get(2, "lpath") or anything()), found)
    return NONE


@handles(*(f"fsspec.fs.{name}" for name in "put put_file upload".split()))
def bring(machine: Machine, args: Args) -> Value:
    """Something of this machine goes into the filesystem."""
    _account(machine, args)
    found = machine.read(machine.places(args.get(1, "lpath") or anything(), recursive=True))
    machine.put("write", machine.places(_paths(args.pos[0], args.get(2, "rpath"))), found)
    return NONE


@handles(*(f"fsspec.fs.{name}" for name in "cp copy cp_file copy_file".split()))
def copy(machine: Machine, args: Args) -> Value:
    """A copy inside the filesystem."""
    _account(machine, args)
    for source in _things(machine, _paths(args.pos[0], args.get(1, "path1")), recursive=True):
        for target in machine.places(_paths(args.pos[0], args.get(2, "path2"))):
            machine.emit("copy" if source.uri is None else "api_copy", source, target)
    return NONE


@handles(*(f"fsspec.fs.{name}" for name in "mv move mv_file rename".split()))
def move(machine: Machine, args: Args) -> Value:
    """A move inside the filesystem: elsewhere it is a copy whose source is then gone."""
    for source in _things(machine, _paths(args.pos[0], args.get(1, "path1")), recursive=True):
        for target in machine.places(_paths(args.pos[0], args.get(2, "path2"))) if source.uri is None else ():
            machine.emit("rename", source, target)
    copy(machine, args)
    return remove(machine, Args(args.pos[:2], {"path": args.named.get("path1", NONE)}))


@handles(*(f"fsspec.fs.{name}" for name in "cat cat_file read_bytes read_text head tail read_block".split()))
def show(machine: Machine, args: Args) -> Value:
    """What a file holds."""
    _account(machine, args)
    return Unknown(machine.read(machine.places(_paths(args.pos[0], args.get(1, "path")))))


@handles(*(f"fsspec.fs.{name}" for name in "pipe pipe_file write_bytes write_text touch".split()))
def fill(machine: Machine, args: Args) -> Value:
    """Content goes into a file."""
    _account(machine, args)
    given = args.get(1, "path")
    machine.put("write", machine.places(_paths(args.pos[0], given)), content(args.after(2)))
    return NONE


@handles(*(f"fsspec.fs.{name}" for name in "open_output_stream open_append_stream".split()))
def open_to_write(machine: Machine, args: Args) -> Value:
    """A file of the filesystem is opened to be written."""
    return machine.call_ref("builtins.open", Args([_paths(args.pos[0], args.get(1, "path")), Text(("wb",))]))


@handles("fsspec.fs.open", "fsspec.fs.open_input_stream", "fsspec.fs.open_input_file")
def open_in(machine: Machine, args: Args) -> Value:
    """A file of the filesystem is opened as one of this machine is."""
    mode = args.get(2, "mode") or Text(("rb",))
    return machine.call_ref("builtins.open", Args([_paths(args.pos[0], args.get(1, "path")), mode]))


@handles("fsspec.open", "fsspec.core.open", "smart_open.open", "smart_open.smart_open")
def open_url(machine: Machine, args: Args) -> Value:
    """A file at an address is opened."""
    _account(machine, Args(args.pos[2:], args.named))
    mode = args.get(1, "mode") or Text(("rb",))
    address = args.get(0, "urlpath") or anything()
    if not any("::" in text for text in path_texts(address)):
        return machine.call_ref("builtins.open", Args([address, mode]))
    # Filesystems before the last one keep what is read through them, or look for a part of it.
    last = Text(tuple(text.rpartition("::")[2] for text in path_texts(address)))
    opened = machine.call_ref("builtins.open", Args([last, mode]))
    if any(_CACHING.match(text) for text in path_texts(address)):
        machine.put("write", machine.places(anything()), carried(opened))
    return opened


_CACHING: Final = lazy(r"(?:.*::)?(?:simplecache|filecache|blockcache|cached)::")


@handles("fsspec.get_mapper", "fsspec.mapping.get_mapper")
def mapper(machine: Machine, args: Args) -> Value:
    """A tree as a mapping: what is done to that is done to its files, of which any may be meant."""
    machine.mention(args.get(0, "url") or anything())
    return open_store(machine, args.get(0, "url") or anything(), "r+", ())


@handles("fsspec.generic.rsync", "pyarrow.fs.copy_files")
def bring_all(machine: Machine, args: Args) -> Value:
    """A tree is brought to another place, perhaps in place of what is there."""
    _account(machine, args)
    found = machine.read(machine.places(args.get(0, "source") or anything(), recursive=True))
    machine.put("write", machine.places(args.get(1, "destination") or anything(), recursive=True), found)
    return NONE


@handles("fsspec.open_files")
def open_urls(machine: Machine, args: Args) -> Value:
    """Several files are opened."""
    items, rest = machine.items_of(args.get(0, "urlpath") or anything())
    given = [*items, *([rest] if rest is not None else [])]
    return Seq([open_url(machine, Args([value, *args.pos[1:]], args.named)) for value in given], rest=None)


def _account(machine: Machine, args: Args) -> None:
    for value in args.all():
        machine.account(value)
