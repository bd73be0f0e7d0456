"""Buckets and their objects as `boto3.resource` shows them: a client by its name, a collection, and each of its items.

Not concerned with `boto3.client`, whose calls name a bucket and a key each time: the tables say those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import content
from guardrail.effects.code.python._core import remote
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._values import NONE, Args, Dict, Seq, Text, Thing, Unknown, Value, path_texts
from guardrail.effects.domain._values import TOP
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

MAX_BUCKETS: Final = 8
"""Most buckets, and most keys in one, that a value is taken to be."""

_COLLECTIONS: Final = ("objects", "object_versions", "multipart_uploads")
_ANY: Final = Text((TOP,))
_SETTINGS: Final = {
    "Bucket": ("Acl", "Policy", "Cors", "Lifecycle", "LifecycleConfiguration", "Versioning", "Website", "Notification"),
    "Object": ("Acl",),
}
"""What `boto3.resource` has of a bucket or an object that says who may do what with it."""


def _meta() -> Thing:
    return Thing("boto3.meta", {"client": Thing("boto3.client")})


def _object(name: Value, key: Value) -> Thing:
    return Thing("boto3.object", {"bucket_name": name, "key": key, "meta": _meta()})


def _collection(name: Value, prefix: Value | None) -> Thing:
    below = _ANY if prefix is None else Text(tuple(f"{text}{TOP}" for text in path_texts(prefix)[:MAX_BUCKETS]))
    facts: dict[str, Value] = {"bucket_name": name, "items": _object(name, below)}
    if prefix is not None:
        facts["prefix"] = prefix
    return Thing("boto3.collection", facts)


def _places(owner: Value, key: str) -> list[Resource]:
    """The addresses of an object, or of all objects whose keys begin so."""
    facts = owner.facts if isinstance(owner, Thing) else {}
    names = path_texts(facts.get("bucket_name", _ANY))[:MAX_BUCKETS] or (TOP,)
    keys = path_texts(facts[key])[:MAX_BUCKETS] if key in facts else ("",)
    found: dict[Resource, None] = {}
    for name in names:
        for text in keys:
            uri = remote(f"s3://{name}/{text}".rstrip("/")).uri
            found[Resource(kind="object", uri=uri, recursive=key != "key" or TOP in text)] = None
    return list(found)


@handles("boto3.resource")
def resource(machine: Machine, args: Args) -> Value:
    """A service by its objects."""
    for value in args.all():
        machine.account(value)
    return Thing("boto3.resource", {"meta": _meta()})


@handles("boto3.resource.Bucket")
def bucket(machine: Machine, args: Args) -> Value:
    """A bucket by its name."""
    name = args.get(1, "name") or _ANY
    machine.account(name)
    facts: dict[str, Value] = {one: _collection(name, None) for one in _COLLECTIONS}
    return Thing("boto3.bucket", {"bucket_name": name, "name": name, "meta": _meta(), **facts})


@handles("boto3.resource.Object", "boto3.resource.ObjectSummary", "boto3.resource.ObjectVersion")
def named_object(machine: Machine, args: Args) -> Value:
    """An object by its bucket and its key."""
    name, key = args.get(1, "bucket_name") or _ANY, args.get(2, "key") or args.named.get("object_key") or _ANY
    machine.account(name)
    machine.account(key)
    return _object(name, key)


@handles("boto3.bucket.Object")
def object_of_bucket(machine: Machine, args: Args) -> Value:
    """An object of a bucket by its key."""
    owner, key = args.pos[0], args.get(1, "key") or _ANY
    machine.account(key)
    return _object(owner.facts["bucket_name"] if isinstance(owner, Thing) else _ANY, key)


@handles("boto3.object.Object", "boto3.object.Version", "boto3.object.Bucket", "boto3.object.load",
         "boto3.object.wait_until_exists", "boto3.collection.limit", "boto3.collection.page_size")  # fmt: skip
def same(_machine: Machine, args: Args) -> Value:
    """The same, or some of it."""
    return args.pos[0]


@handles("boto3.collection.all", "boto3.collection.filter", "boto3.collection.pages")
def chosen(machine: Machine, args: Args) -> Value:
    """The objects whose keys begin with something; all of them, if nothing is said."""
    owner, prefix = args.pos[0], args.named.get("Prefix")
    for value in args.named.values():
        machine.account(value)
    if not isinstance(owner, Thing) or prefix is None:
        return owner
    return _collection(owner.facts.get("bucket_name", _ANY), prefix)


@handles("boto3.collection.delete")
def delete_all(machine: Machine, args: Args) -> Value:
    """What was chosen is gone, with all its versions where those were chosen."""
    for place in _places(args.pos[0], "prefix"):
        machine.emit("api_delete", place)
    return NONE


@handles("boto3.object.delete")
def delete_one(machine: Machine, args: Args) -> Value:
    """An object is gone."""
    for place in _places(args.pos[0], "key"):
        machine.emit("api_delete", place)
    return NONE


@handles("boto3.bucket.delete")
def delete_bucket(machine: Machine, args: Args) -> Value:
    """A bucket is gone."""
    for place in _places(args.pos[0], ""):
        machine.emit("api_delete", place)
    return NONE


@handles(*(f"boto3.resource.{kind}{name}" for kind, names in _SETTINGS.items() for name in names),
         "boto3.bucket.Acl", "boto3.bucket.Policy", "boto3.bucket.Lifecycle", "boto3.bucket.LifecycleConfiguration",
         "boto3.object.Acl")  # fmt: skip
def setting(machine: Machine, args: Args) -> Value:
    """Who may see a bucket or an object, and how long it is kept."""
    owner = args.pos[0]
    facts = dict(owner.facts) if isinstance(owner, Thing) and owner.kind != "boto3.resource" else {}
    for name, value in zip(("bucket_name", "key"), args.pos[1:3], strict=False):
        machine.account(value)
        facts[name] = value
    return Thing("boto3.setting", facts)


@handles("boto3.setting.put", "boto3.setting.delete")
def change(machine: Machine, args: Args) -> Value:
    """A setting is changed: others may see what is there, or it is deleted in time."""
    for value in args.named.values():
        machine.account(value)
    for place in _places(args.pos[0], "key"):
        machine.emit("api_visibility", place)
        if any("Lifecycle" in name for name in args.named):
            machine.emit("api_delete", place, may=True)
    return NONE


@handles("gcs.list_blobs")
def blobs(_machine: Machine, _args: Args) -> Value:
    """The objects of a bucket of Google."""
    return Thing("gcs", {"items": Thing("gcs")})


@handles("boto3.bucket.delete_objects")
def delete_listed(machine: Machine, args: Args) -> Value:
    """The objects of a list are gone; of one that is not known, any."""
    listed = args.get(1, "Delete")
    machine.account(listed)
    named = listed.items.get("Objects") if isinstance(listed, Dict) else None
    keys: list[str] = []
    known = isinstance(named, Seq) and named.known
    for item in named.items if isinstance(named, Seq) else ():
        key = item.items.get("Key") if isinstance(item, Dict) else None
        known = known and key is not None
        keys += path_texts(key) if key is not None else ()
    owner = args.pos[0]
    name = owner.facts["bucket_name"] if isinstance(owner, Thing) else _ANY
    for place in _places(_object(name, Text(tuple(keys)) if known and keys else _ANY), "key"):
        machine.emit("api_delete", place)
    return NONE


@handles("boto3.object.upload_file", "boto3.bucket.upload_file", "boto3.object.upload_fileobj",
         "boto3.bucket.upload_fileobj")  # fmt: skip
def upload(machine: Machine, args: Args) -> Value:
    """A file becomes an object."""
    value = args.get(1, "Filename") or args.named.get("Fileobj") or Unknown()
    sources = machine.read(machine.places(value)) if isinstance(value, Text) else machine.contents_of(value)
    machine.put("write", _written(machine, args, 2), sources)
    return NONE


@handles("boto3.object.put", "boto3.bucket.put_object")
def put(machine: Machine, args: Args) -> Value:
    """Content becomes an object."""
    for value in args.named.values():
        machine.account(value)
    machine.put("write", _written(machine, args, -1), content(args.after(1)))
    return NONE


@handles("boto3.object.download_file", "boto3.bucket.download_file", "boto3.object.download_fileobj",
         "boto3.bucket.download_fileobj")  # fmt: skip
def download(machine: Machine, args: Args) -> Value:
    """An object becomes a file."""
    owner = args.pos[0]
    of_bucket = isinstance(owner, Thing) and owner.kind == "boto3.bucket"
    target = args.get(2 if of_bucket else 1, "Filename") or args.named.get("Fileobj") or Unknown()
    found = tuple(_written(machine, args, 1))
    machine.each("read", found, attrs={"reveals": "content"})
    if isinstance(target, Text):
        machine.put("write", machine.places(target), found)
    else:
        machine.sink(target, found, None)
    return NONE


@handles("boto3.object.get")
def get(machine: Machine, args: Args) -> Value:
    """What an object holds."""
    found = tuple(_places(args.pos[0], "key"))
    machine.each("read", found, attrs={"reveals": "content"})
    return Unknown(found)


@handles("boto3.object.copy", "boto3.object.copy_from", "boto3.bucket.copy")
def copy(machine: Machine, args: Args) -> Value:
    """An object is made of another one."""
    source = args.get(1, "CopySource")
    machine.account(source)
    if isinstance(source, Dict):
        held = _object(source.items.get("Bucket", _ANY), source.items.get("Key", _ANY))
        found = _places(held, "key")
    else:
        found = [remote(f"s3://{text}") for text in (path_texts(source) if source is not None else (TOP,))]
    for place in found[:MAX_BUCKETS]:
        for target in _written(machine, args, 2)[:MAX_BUCKETS]:
            machine.emit("api_copy", Resource(kind="object", uri=place.uri), target)
    return NONE


def _written(machine: Machine, args: Args, index: int) -> list[Resource]:
    """The object that a method of a bucket names, or the object whose method it is."""
    owner = args.pos[0]
    if isinstance(owner, Thing) and owner.kind == "boto3.object":
        return _places(owner, "key")
    key = args.get(index, "Key") or _ANY
    machine.account(key)
    return _places(_object(owner.facts["bucket_name"] if isinstance(owner, Thing) else _ANY, key), "key")
