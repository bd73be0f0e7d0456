"""kubectl, oc, helm: what is done to which object of a cluster.

Not concerned with manifests themselves (`_manifests`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._containers import content, go_values, inside, named_inside, set_inside
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import below as filled
from guardrail.effects.commands._manifests import act, is_pair, keys, kind_of, manifest, pairs, patch, thing
from guardrail.effects.commands._places import take_in, transfer
from guardrail.effects.domain._addresses import URL, at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import below, escape
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge, starred
from guardrail.model import Op, Resource
from guardrail.patterns import lazy

MAX_MANIFESTS: Final = 64
"""Most files of a directory of manifests that are read; with more, any object is meant."""

_POD_PATH: Final = lazy(r"(?:[A-Za-z0-9_.-]+/)?[A-Za-z0-9_.-]+:.*", re.DOTALL)
_FROM_FILE: Final = ("--from-file", "--from-env-file", "--cert", "--key")
_LISTED: Final = ("--all", "--selector", "--field-selector", "--all-namespaces")


def _facts(parsed: Parsed) -> dict[str, Any]:
    """The namespace, where one is named."""
    namespace = parsed.value("--namespace")
    return {"namespace": starred(namespace.text)} if namespace is not None else {}


def _dry(parsed: Parsed) -> bool:
    value = parsed.value("--dry-run")
    return parsed.has("--dry-run") and (value is None or value.text not in ("none", "false"))


def _named(parsed: Parsed, operands: list[Field]) -> list[Resource]:
    """`kind name…`, `kind/name…`, `kind1,kind2 -l x`."""
    words = [starred(field.text) for field in operands]
    if not words:
        return []
    if all("/" in word for word in words):
        return [thing(*word.rsplit("/", 1)) for word in words]
    kinds = words[0].split(",")
    names = words[1:] or (["*"] if parsed.has(*_LISTED) or len(words) == 1 else [])
    return [thing(kind, name.rpartition("/")[2]) for kind in kinds for name in names]


def _files(call: Call, parsed: Parsed, op: Op, facts: Mapping[str, Any]) -> bool:
    """Every manifest that is named; says whether there was one."""
    named = [*parsed.values_of("--filename"), *parsed.values_of("--kustomize")]
    for field in named:
        for part in field.text.split(","):
            _file(call, Field(text=part, glob=field.glob, sources=field.sources, span=field.span), op, facts)
    return bool(named)


def _file(call: Call, field: Field, op: Op, facts: Mapping[str, Any]) -> None:
    if URL.fullmatch(field.text):
        call.emit("net_recv", at("http", field.text))
        act(call, op, at("k8s", "*"), facts)
        return
    if field.text == "-":
        if call.stdin.text is None or not manifest(call, call.stdin.text, op, facts):
            act(call, op, at("k8s", "*"), facts)
        for source in call.stdin.sources:
            call.emit("copy", source, at("k8s", "*"), flow=call.stdin.flow)
        call.mention_input()
        return
    for source in call.read(field, recursive=True):
        call.emit("copy", source, at("k8s", "*"), may=True, flow=("net",))
    texts = _texts(call, field)
    if not texts or not all(manifest(call, text, op, facts) for text in texts):
        act(call, op, at("k8s", "*"), {**facts, "manifest": starred(field.text[:200])})


def _texts(call: Call, field: Field) -> list[str]:
    """The manifests of a file, or of the files of a directory."""
    place = call.place(field)
    if call.kind(place) != "dir":
        text = content(call, field)
        return [text] if text is not None else []
    names: list[str] = []
    for ending in ("yaml", "yml", "json"):
        names.extend(call.shell.view.glob(f"{escape((place.path or '').rstrip('/'))}/*.{ending}") or ())
    if len(names) > MAX_MANIFESTS:
        return []
    texts = [content(call, Field(text=name)) for name in names]
    return [text for text in texts if text is not None] if None not in texts else []


# -- verbs


def look(call: Call, parsed: Parsed) -> Stream:
    """`get`, `describe`, `logs` and their like; a manifest that is named says which objects."""
    go_values(parsed)
    for field in parsed.values_of("--filename"):
        if call.name.rpartition(" ")[2] != "logs" and not URL.fullmatch(field.text):
            call.read(field, reveals="some", recursive=True)
    places = _named(parsed, parsed.operands)
    for place in places[:1]:
        call.emit("read", place, attrs=_facts(parsed))
    return Stream(sources=tuple(places[:1]))


def change(call: Call, parsed: Parsed) -> Stream:
    """`apply`, `create -f`, `replace`, `edit`, `delete`: objects as a manifest says them, or by name."""
    go_values(parsed)
    verb = call.name.split(" ")[1]
    facts = {**_facts(parsed), "verb": verb}
    if _dry(parsed):
        for field in parsed.values_of("--filename"):
            call.read(field, recursive=True)
        return SOMETHING
    op: Op = "api_delete" if verb == "delete" else "create" if verb == "create" else "write"
    files = _files(call, parsed, op, facts)
    if parsed.has("--prune") or (verb == "replace" and parsed.has("--force")):
        act(call, "api_delete", at("k8s", "*"), facts)
    if parsed.value("--raw") is not None:
        act(call, op, at("k8s", (parsed.value("--raw") or Field(text="*")).text), facts)
    named = _named(parsed, parsed.operands)
    for place in named:
        act(call, op, place, facts)
    if not files and not named and parsed.value("--raw") is None:
        return call.opaque("program", reason=f"kubectl {verb} of something that is not named")
    return SOMETHING


def create(call: Call, parsed: Parsed) -> Stream:
    """`kubectl create KIND NAME`, or a manifest."""
    if parsed.has("--filename", "--kustomize", "--raw") or not parsed.operands:
        return change(call, parsed)
    go_values(parsed)
    kind = parsed.operands[0].text
    rest = parsed.operands[1:]
    if kind in ("secret", "service", "svc", "quota") and len(rest) > 1:
        rest = rest[1:]
    dry = _dry(parsed)
    place = thing(kind, rest[0].text if rest else "*")
    facts = {**_facts(parsed), "verb": "create"}
    for name, _, field in parsed.values:
        if name in _FROM_FILE:
            path = field.text.partition("=")[2] if "=" in field.text else field.text
            for source in call.read(Field(text=path, sources=field.sources), recursive=True):
                call.emit("copy", source, place, may=dry)
        elif name == "--from" and "/" in field.text:
            act(call, "api_copy", thing(*field.text.rsplit("/", 1)), facts, place)
        for source in field.sources:
            call.emit("copy", source, place)
    if not dry:
        act(call, "create", place, facts)
        literals = tuple(parsed.values_of("--from-literal"))
        for field in literals:
            set_inside(call, field.text)
        if kind_of(kind) == "configmap":
            keys(call, place, pairs(literals, "data"), facts)
        if "--" in [field.text for field in call.args]:
            inside(call, place, tuple(rest[1:]))
    return SOMETHING


def patched(call: Call, parsed: Parsed) -> Stream:
    """`kubectl patch`: keys of an object get other values."""
    go_values(parsed)
    facts = {**_facts(parsed), "verb": "patch"}
    if _dry(parsed) or parsed.has("--local"):
        return SOMETHING
    text = parsed.value("--patch")
    file = parsed.value("--patch-file")
    said = text.text if text is not None and text.known else content(call, file) if file is not None else None
    if file is not None:
        call.read(file)
    changes = patch(said) if said is not None else None
    places = _named(parsed, parsed.operands) or [at("k8s", "*")]
    for place in places:
        for source in text.sources if text is not None else ():
            call.emit("copy", source, place)
        if changes is None or not keys(call, place, iter(changes), facts):
            act(call, "write", place, facts)
    return SOMETHING


def marked(call: Call, parsed: Parsed) -> Stream:
    """`scale`, `annotate`, `label`, `taint`, `set`, `autoscale`: some keys of an object."""
    go_values(parsed)
    verb = call.name.split(" ")[1]
    facts = {**_facts(parsed), "verb": verb}
    if _dry(parsed) or parsed.has("--list", "--local"):
        return SOMETHING
    operands = list(parsed.operands)
    what = operands.pop(0).text if verb in ("set", "certificate") and operands else ""
    if verb == "certificate":
        for field in operands:
            act(call, "write", thing("csr", field.text), {**facts, "verb": what})
        return SOMETHING
    words = tuple(field for field in operands[1:] if is_pair(field))
    places = _named(parsed, [field for field in operands if field not in words])
    if _files(call, parsed, "write", facts):
        return SOMETHING
    for field in words if what == "env" else ():
        set_inside(call, field.text)
    prefix = {"annotate": "metadata.annotations", "label": "metadata.labels", "taint": "spec.taints"}.get(verb, what)
    for place in places or [at("k8s", "*")]:
        changes = list(pairs(words, prefix or "spec"))
        replicas = parsed.value("--replicas")
        if replicas is not None:
            changes.append(("spec.replicas", int(replicas.text) if replicas.text.isdecimal() else replicas.text))
        if not keys(call, place, iter(changes), facts):
            act(call, "write", place, facts)
    return SOMETHING


def service(call: Call, parsed: Parsed) -> Stream:
    """`rollout`, `drain`, `cordon`: what runs is started again, moved or held back."""
    go_values(parsed)
    verb = call.name.split(" ")[1]
    operands = list(parsed.operands)
    word = operands.pop(0).text if verb == "rollout" and operands else verb
    if word in ("status", "history") or _dry(parsed):
        return SOMETHING
    facts = {**_facts(parsed), "verb": word}
    nodes = [thing("node", field.text.removeprefix("node/")) for field in operands]
    for place in (_named(parsed, operands) if verb == "rollout" else nodes) or [at("k8s", "*")]:
        act(call, "service", place, facts)
    return SOMETHING


def execute(call: Call, parsed: Parsed) -> Stream:
    """`exec`, `attach`, `run`, `debug`, `rsh`: a command in a pod."""
    go_values(parsed)
    verb = call.name.rpartition(" ")[2]
    operands = parsed.operands
    facts = {**_facts(parsed), "verb": verb}
    pod = starred(operands[0].text) if operands else "*"
    place = thing(*pod.rsplit("/", 1)) if "/" in pod else thing("pod", pod)
    if verb in ("run", "debug"):
        if _dry(parsed):
            return SOMETHING
        act(call, "create", place, facts)
    copied = parsed.value("--copy-to")
    if copied is not None:
        act(call, "api_copy", place, facts, thing("pod", copied.text))
    override = parsed.value("--overrides")
    if override is not None:
        call.mention_text(override.text)
    for field in parsed.values_of("--env"):
        set_inside(call, field.text)
    return inside(call, place, tuple(operands[1:]))


def copy(call: Call, parsed: Parsed) -> Stream:
    """`kubectl cp` and `oc rsync`: files between a pod and here."""
    go_values(parsed)
    roles: list[tuple[str, Field]] = []
    for index, field in enumerate(parsed.operands[:2]):
        way = "to" if index else "from"
        if _POD_PATH.fullmatch(field.text) and not field.text.startswith(("/", ".")):
            pod, _, path = field.text.partition(":")
            call.name_text(path)
            where = Field(text=f"pod/{pod.rpartition('/')[2]}:{path}", sources=field.sources)
            roles.append((f"{way}@k8s", where))
        else:
            roles.append((way, field))
    call.mention(parsed.operands[2:])
    return transfer(call, parsed.spec.entry, roles, recursive=True, given=())


def reach(call: Call, parsed: Parsed) -> Stream:
    """`port-forward`, `proxy`, `expose`: something of the cluster is reached from elsewhere."""
    go_values(parsed)
    verb = call.name.rpartition(" ")[2]
    facts = {**_facts(parsed), "verb": verb}
    if verb == "expose":
        if not _dry(parsed):
            for place in _named(parsed, parsed.operands) or [at("k8s", "*")]:
                act(call, "api_visibility", place, facts)
        return SOMETHING
    www = parsed.value("--www")
    if www is not None:
        place = call.place(www, recursive=True)
        call.emit("copy", place, at("net", "kubectl proxy"), flow=("net",))
    call.emit("net_recv", at("net", f"kubectl {verb}"))
    return SOMETHING


def settings(call: Call, parsed: Parsed) -> Stream:
    """`kubectl config`: which cluster and account later commands use."""
    go_values(parsed)
    word = parsed.operands[0].text if parsed.operands else "view"
    if word in ("view", "current-context", "get-contexts", "get-clusters", "get-users"):
        return SOMETHING
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    named = parsed.value("--kubeconfig")
    file = call.place(named or Field(text=f"{home}/.kube/config"))
    key = starred(parsed.operands[1].text) if len(parsed.operands) > 1 else "*"
    call.emit("set_key", file, attrs={"key": f"{word}:{key}"[:200]})
    for _, role, field in parsed.values:
        if role == "mention":
            call.mention((field,))
    return SOMETHING


# -- helm


def helm(call: Call, parsed: Parsed) -> Stream:
    """`helm install`, `upgrade`, `uninstall`, `rollback`: a release of a chart."""
    go_values(parsed)
    verb = call.name.rpartition(" ")[2]
    facts = {**_facts(parsed), "verb": verb}
    operands = parsed.operands
    generated = parsed.has("--generate-name") or verb in ("template", "lint", "diff")
    names = operands if verb in ("uninstall", "delete", "rollback", "test") else [] if generated else operands[:1]
    chart = operands[0:1] if generated and len(operands) == 1 else operands[1:2]
    places = [at("helm", f"release/{field.text}") for field in names] or [at("helm", "release/*")]
    for _, role, field in parsed.values:
        if role == "opaque":
            call.opaque("inline", reason="an option of helm runs a program", words=(field,))
        elif role == "below":
            filled(call, field, ())
        elif role == "read":
            for part in field.text.split(","):
                file = Field(text=part.partition("=")[2] or part, sources=field.sources)
                take_in(call, file, places[0])
                named_inside(call, (), (content(call, file) or "") if file.known else "")
    for field in chart if verb not in ("uninstall", "delete", "rollback", "test") else ():
        _chart(call, field, places[0])
    if verb in ("template", "lint") or _dry(parsed):
        return SOMETHING
    op: Op = "api_delete" if verb in ("uninstall", "delete") else "service" if verb == "rollback" else "write"
    for place in places:
        act(call, "remote_exec" if verb == "test" else op, place, facts)
        words = [field for name in ("--set", "--set-string", "--set-json") for field in parsed.values_of(name)]
        split = tuple(Field(text=part) for field in words for part in field.text.split(","))
        keys(call, place, pairs(split, "values"), facts)
        call.told(words)  # a node may mount, or a job read, what a value is the path of
    return SOMETHING


def helm_pull(call: Call, parsed: Parsed) -> Stream:
    """`helm pull CHART…`: each lands here, or where an option says."""
    go_values(parsed)
    into = parsed.value("--destination") or parsed.value("--untardir") or Field(text=".")
    for field in parsed.operands:
        chart = at("helm", field.text)
        call.emit("net_recv", chart, attrs={"verb": "pull"})
        call.put("write", call.place(into, kind="dir"), (chart,), flow=("download",))
    return SOMETHING


def _chart(call: Call, field: Field, place: Resource) -> None:
    """A chart from here, or by name from a repository."""
    text = field.text
    local = text.startswith((".", "/", "~", TOP)) or text.endswith(".tgz") or call.kind(call.place(field)) is not None
    if URL.fullmatch(text) or not local:
        call.emit("net_recv", at("helm", f"chart/{text}"))
        return
    for source in call.read(field, recursive=True):
        call.emit("copy", source, place)
    call.read(below(field, "Chart.yaml"), reveals="some")


def _templated(family: Family) -> Family:
    """The same, with templates in files: their text is a part of what is printed."""

    def run(call: Call, parsed: Parsed) -> Stream:
        out = family(call, parsed)
        sources = out.sources
        for _, _, field in parsed.values:
            match = _TEMPLATE.fullmatch(field.text)
            if match is not None and match["file"]:
                sources = merge(sources, call.read(Field(text=match["file"])))
            elif match is not None:
                call.mention(call.args)  # the file is what `--template` says
        return out if sources == out.sources else msgspec.structs.replace(out, text=None, sources=sources)

    return run


_TEMPLATE: Final = lazy(r"=?(?:go-template|template|jsonpath|custom-columns)-file(?:=(?P<file>.*))?", re.DOTALL)

_KUBE: Final[Mapping[str, Family]] = {
    "kube_change": change,
    "kube_config": settings,
    "kube_copy": copy,
    "kube_create": create,
    "kube_exec": execute,
    "kube_look": look,
    "kube_marked": marked,
    "kube_patch": patched,
    "kube_reach": reach,
    "kube_service": service,
}

FAMILIES: Final[Mapping[str, Family]] = {
    "helm": helm,
    "helm_pull": helm_pull,
    **{name: _templated(family) for name, family in _KUBE.items()},
}
"""What `code` of a spec may say, for this module."""
