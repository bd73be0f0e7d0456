"""Kubernetes objects in manifests, and what applying, patching or deleting them does.

Not concerned with command lines (`_kube`). An object is named `k8s:kind/name`; its namespace is a fact beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardrail.effects.commands._containers import mounted, named_inside, set_inside
from guardrail.effects.commands._yaml import documents, items, table, text_of
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.model import Op, Resource

MAX_OBJECTS: Final = 256
"""Most objects of one manifest that are told apart; with more, any object is meant."""

MAX_LEAVES: Final = 64
"""Most keys of one patch or object that are told apart."""

MAX_DEPTH: Final = 16
"""Deepest nesting of a patch that is followed, in levels."""

_SHORT: Final[Mapping[str, str]] = {
    "cm": "configmap", "po": "pod", "deploy": "deployment", "svc": "service", "sts": "statefulset", "ds": "daemonset",
    "rs": "replicaset", "rc": "replicationcontroller", "cj": "cronjob", "ns": "namespace", "no": "node",
    "sa": "serviceaccount",
    "ing": "ingress", "hpa": "horizontalpodautoscaler", "pdb": "poddisruptionbudget", "netpol": "networkpolicy",
    "sc": "storageclass", "crd": "customresourcedefinition", "crb": "clusterrolebinding", "cr": "clusterrole",
    "rb": "rolebinding", "quota": "resourcequota", "limits": "limitrange", "ep": "endpoints", "ev": "event",
    "pc": "priorityclass", "csr": "certificatesigningrequest", "vs": "volumesnapshot", "dc": "deploymentconfig",
    "bc": "buildconfig", "is": "imagestream", "persistentvolumeclaim": "pvc", "persistentvolume": "pv",
    "app": "application", "ks": "kustomization", "hr": "helmrelease", "isvc": "inferenceservice",
}  # fmt: skip
_ACCOUNTS: Final = frozenset(
    "secret role rolebinding clusterrole clusterrolebinding serviceaccount certificatesigningrequest".split()
)


def kind_of(word: str) -> str:
    """The one name of a kind, whatever its spelling: `cm`, `ConfigMaps`, `configmap.v1`."""
    name = word.partition(".")[0].lower()
    name = _SHORT.get(name, name)
    if name.endswith("ies"):
        name = name[:-3] + "y"
    elif name.endswith(("sses", "xes")):
        name = name[:-2]
    elif name.endswith("s") and not name.endswith(("ss", "us")) and name not in ("endpoints", "pvcs"):
        name = name[:-1]
    return _SHORT.get(name, "pvc" if name == "pvcs" else name)


def thing(kind: str, name: str) -> Resource:
    """An object of a cluster."""
    return at("k8s", f"{kind_of(kind)}/{name or '*'}")


def act(call: Call, op: Op, place: Resource, facts: Mapping[str, Any], target: Resource | None = None) -> None:
    """One effect on an object, and on the accounts and schedules that it stands for."""
    attrs = {key: value for key, value in facts.items() if value not in (None, "")}
    call.emit(op, place, target, attrs=attrs)
    kind, _, name = (place.uri or "").removeprefix("k8s:").partition("/")
    if op == "read" or op == "list":
        return
    if kind in _ACCOUNTS:
        call.emit("set_security", at("account", f"k8s/{kind}/{name}"), attrs=attrs)
    if kind == "cronjob" and op != "api_delete":
        call.emit("schedule", place, attrs=attrs)


def keys(call: Call, place: Resource, changes: Iterator[tuple[str, Any]], facts: Mapping[str, Any]) -> bool:
    """One `set_key` for every key that is given a value; says whether there were any."""
    some = False
    for count, (key, after) in enumerate(changes):
        if count >= MAX_LEAVES:
            call.emit("write", place, attrs=dict(facts))
            break
        some = True
        plain = after if isinstance(after, str | int | float | bool | None) else str(after)
        value = plain[:200] if isinstance(plain, str) else plain
        call.emit("set_key", place, attrs={**facts, "key": key[:200], "after": value})
    return some


def leaves(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The keys that a merge patch sets, dotted; a list is one value, and null takes the key away."""
    inner = table(value)
    if not inner or depth >= MAX_DEPTH:
        if key:
            yield key, value
        return
    for name, item in inner.items():
        yield from leaves(item, f"{key}.{name}" if key else name, depth + 1)


def operations(value: Any) -> Iterator[tuple[str, Any]]:
    """The keys that a JSON patch sets."""
    for one in items(value):
        step = table(one)
        path = text_of(step.get("path")) or ""
        if step.get("op") != "test":
            yield path.strip("/").replace("/", ".").replace("~1", "/").replace("~0", "~"), step.get("value")


def patch(text: str) -> list[tuple[str, Any]] | None:
    """The keys of a patch, merge or JSON; None if it is not understood."""
    found = documents(text)
    if found is None or len(found) != 1:
        return None
    changes = list(operations(found[0])) if items(found[0]) else list(leaves(found[0]))
    return changes or None


def objects_of(text: str) -> list[Mapping[str, Any]] | None:
    """All objects of a manifest, lists opened; None if it is not understood."""
    found = documents(text)
    if found is None:
        return None
    out: list[Mapping[str, Any]] = []
    for document in found:
        whole = table(document)
        inner = [table(item) for item in items(whole.get("items"))]
        out.extend(inner if str(whole.get("kind", "")).endswith("List") and inner else [whole])
    if len(out) > MAX_OBJECTS or not all(one.get("kind") for one in out):
        return None
    return out


def manifest(call: Call, text: str, op: Op, facts: Mapping[str, Any]) -> bool:
    """What a manifest does; says whether it was understood."""
    found = objects_of(text)
    if not found:
        return False
    for one in found:
        meta = table(one.get("metadata"))
        name = text_of(meta.get("name")) or f"{text_of(meta.get('generateName')) or ''}*"
        kind = kind_of(str(one["kind"]))
        place = thing(kind, name)
        more = {**facts, "namespace": text_of(meta.get("namespace")) or facts.get("namespace")}
        act(call, op, place, more)
        if op != "api_delete":
            _content(call, kind, place, one, more)
    return True


def _content(call: Call, kind: str, place: Resource, one: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    spec = table(one.get("spec"))
    plain = {key: value for key, value in facts.items() if value not in (None, "")}
    if kind == "configmap":
        keys(call, place, leaves(dict(table(one.get("data"))), "data"), plain)
    for source in _sources(kind, spec):
        call.emit("api_copy", source, place, attrs=plain)
    for key in ("replicas", "minAvailable", "maxUnavailable", "suspend"):
        if key in spec:
            keys(call, place, iter([(f"spec.{key}", spec[key])]), plain)
    for path, readonly in _host_paths(spec, 0):
        mounted(call, path, path, readonly=readonly, field=Field(text=path))
    named_inside(call, (), "\n".join(_commands(spec, 0)))
    for setting in _settings(spec, 0):
        set_inside(call, setting)


def _sources(kind: str, spec: Mapping[str, Any]) -> Iterator[Resource]:
    """What a new volume or snapshot is a copy of."""
    for key in ("dataSource", "dataSourceRef"):
        source = table(spec.get(key))
        if text_of(source.get("name")) is not None:
            yield thing(str(source.get("kind", "pvc")), str(source["name"]))
    claim = text_of(table(spec.get("source")).get("persistentVolumeClaimName"))
    if kind == "volumesnapshot" and claim is not None:
        yield thing("pvc", claim)
    for template in items(spec.get("volumeClaimTemplates")):
        yield from _sources("pvc", table(table(template).get("spec")))


def _host_paths(value: Any, depth: int) -> Iterator[tuple[str, bool]]:
    """Directories of the node that pods get, and volumes that are such directories."""
    if depth > MAX_DEPTH:
        return
    for key, item in table(value).items():
        path = text_of(table(item).get("path"))
        if key in ("hostPath", "local") and path is not None:
            yield path, False
        else:
            yield from _host_paths(item, depth + 1)
    for item in items(value):
        yield from _host_paths(item, depth + 1)


def _commands(value: Any, depth: int) -> Iterator[str]:
    """The words of containers."""
    if depth > MAX_DEPTH:
        return
    for key, item in table(value).items():
        if key in ("command", "args"):
            for word in items(item):
                yield str(word)
        else:
            yield from _commands(item, depth + 1)
    for item in items(value):
        yield from _commands(item, depth + 1)


def _settings(value: Any, depth: int) -> Iterator[str]:
    """The variables of containers, as `NAME=VALUE`."""
    if depth > MAX_DEPTH:
        return
    for key, item in table(value).items():
        for variable in items(item) if key == "env" else ():
            yield f"{table(variable).get('name')}={text_of(table(variable).get('value')) or ''}"
        yield from _settings(item, depth + 1)
    for item in items(value):
        yield from _settings(item, depth + 1)


def pairs(words: tuple[Field, ...], prefix: str) -> Iterator[tuple[str, Any]]:
    """`K=V` sets a key, `K-` takes it away."""
    for field in words:
        key, equals, value = field.text.partition("=")
        if equals:
            yield f"{prefix}.{key}", value
        elif field.text.endswith("-"):
            yield f"{prefix}.{field.text[:-1]}", None


def is_pair(field: Field) -> bool:
    """Whether a word sets or removes a key."""
    return re.fullmatch(r"[^=]+=.*|[^=/]*[a-z0-9A-Z/._-]-", field.text, re.DOTALL) is not None
