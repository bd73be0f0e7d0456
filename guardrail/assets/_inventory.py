"""The declared assets, and which of them an effect bears on.

Not concerned with where assets lie, which `_index` knows, nor with what a pattern can mean, which
`_patterns` does, nor with what an edit changes, which `_edits` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.assets._addresses import asks_model, is_this_process, process_name
from guardrail.assets._asset import CODE, NAME, PACKAGE, PROCESS, Asset, declared_asset, names_of, own_asset
from guardrail.assets._astray import astray
from guardrail.assets._beneath import Beneath
from guardrail.assets._controls import returned, variable_effect
from guardrail.assets._edits import Edits
from guardrail.assets._fetched import fetched
from guardrail.assets._files import LiveFiles
from guardrail.assets._forged import ForgedDates
from guardrail.assets._inclusions import taken_in
from guardrail.assets._index import MAX_INDEXED_FILES, AssetIndex
from guardrail.assets._left_out import is_left_out, within
from guardrail.assets._lineage import TAKING, Lineage
from guardrail.assets._look import MAX_ASSETS_PER_EFFECT, NO_ARGS, Found, Look, split
from guardrail.assets._onward import TREES, is_repository, last_of, onward
from guardrail.assets._patterns import Patterns
from guardrail.assets._places import Place, locate, walk_files
from guardrail.config import Config
from guardrail.errors import AnalysisFault
from guardrail.model import Effect, Resource
from guardrail.parse import strings

if TYPE_CHECKING:
    from guardrail.assets._recognition import Recognition

_WHOLE: Final = frozenset({"read", "copy", "net_send"})
"""Ops that take the content of every file in a tree, under whatever name it lies there."""

_ASKING: Final = frozenset(("net_send", "copy"))
LOOKING: Final = frozenset({"read", "list", "net_recv", "env", "exec", "exec_opaque", "remote_exec", "mention"})
"""Ops that change nothing by themselves."""

_TAKING_IT: Final = frozenset({"read", "copy", "link", "rename", "net_send", "api_copy"})
"""Ops on a file that was to be made from an asset, and is not there yet, that will find it there."""

_NAMED_KINDS: Final = frozenset({"object", "service", "net"})
"""Kinds of things elsewhere that may be what an asset is called here."""

_TAKING: Final = frozenset(("control", "criteria"))
"""Classes of assets of which what they take in is a part."""

_DOWNWARD: Final = frozenset({"rename", "delete", "mount", "mention"})
"""Ops on a directory that reach what lies in it, even where the command does not say `-r`."""

_STORED: Final = frozenset({"copy", "api_copy", "api_delete", "api_visibility"})
"""Ops on the address of a bucket, or of a part of one, that reach what lies in it."""

_STANDARD_STREAMS: Final = frozenset(
    {"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty", "/dev/zero", "/dev/urandom", "/dev/random"}
)


class Inventory:
    """Every asset, and the way from a path to it.

    Args:
        config: where the assets are declared; the guard's own files are added to them.
        files: the filesystem, for reading control configs.
        own: the guard's own files, each with the id of what it is a part of.
        recognition: tells registered assets by their content; without it they are known by place and inode.
        lineage: tells what was made from assets, which is then taken from them.
    """

    def __init__(
        self,
        config: Config,
        files: LiveFiles | None = None,
        *,
        own: Sequence[tuple[str, str]] = (),
        recognition: Recognition | None = None,
        lineage: Lineage | None = None,
    ) -> None:
        self._recognition = recognition
        self._lineage = lineage
        self._files = files or LiveFiles(config.limits.expansions)
        self._index = AssetIndex(recognition)
        self._beneath = Beneath(self._index, self._files.trees, recognition)
        self._patterns = Patterns(self._index, self._beneath)
        self._edits = Edits(self._index, self._files, config.limits.script_bytes)
        self._forged = ForgedDates(self._index, recognition)
        here = str(config.path(""))
        for declared in config.assets:
            spelled = [os.path.join(here, os.path.expanduser(path)) for path in declared.paths]
            if declared.asset_class in _TAKING:
                spelled += [other for path in spelled for other in taken_in(path)]
            places = [locate(path) for path in spelled]
            self._index.add(declared_asset(declared, places), spelled, places)
            for uri in declared.uris:
                self._index.addresses.add(uri, declared.id)
            for name in names_of(declared):
                self._index.addresses.name(name, declared.id)
        kept: dict[str, list[str]] = {}
        for asset_id, path in own:
            kept.setdefault(asset_id, []).append(path)
        for asset_id, paths in kept.items():
            places = [locate(path) for path in paths]
            self._index.add(own_asset(asset_id, [place.real for place in places]), paths, places)
        if own:
            self._index.add(own_asset(PROCESS), (), ())
        if CODE in kept:
            self._index.addresses.add(PACKAGE, CODE)
        self._watched = frozenset(self._index.variables)

    def __len__(self) -> int:
        return len(self._index.assets)

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._index.assets.values())

    @property
    def variables(self) -> frozenset[str]:
        """Names of environment variables that stand for keys of control files."""
        return self._watched

    def get(self, asset_id: str) -> Asset | None:
        """The asset of that id, if there is one."""
        return self._index.assets.get(asset_id)

    def facts(self, asset_id: str) -> dict[str, Any]:
        """What rules may know about an asset."""
        asset = self._index.assets.get(asset_id)
        if asset is None:
            raise AnalysisFault(f"no asset `{asset_id}` in the inventory")
        return asset.facts

    def files_of(self, asset_id: str, within: str = "") -> Iterator[str]:
        """Regular files of an asset that exist now.

        Args:
            asset_id: the asset.
            within: only those at or below this real path, and those there that were made from the asset; if nothing
                there is known to be, all files there, because some is.
        """
        asset = self._index.assets.get(asset_id)
        roots = asset.roots if asset else ()
        if within:
            made = self._lineage.made_of(asset_id) if self._lineage is not None else ()
            roots = tuple(lower for root in (*roots, *made) if (lower := _lower(root, within))) or (within,)
        for root in roots:
            yield from (path for path, _ in walk_files(root, MAX_INDEXED_FILES))

    def resolve(self, effects: Sequence[Effect], args: Mapping[str, Any] = NO_ARGS) -> tuple[Effect, ...]:
        """Say on which assets effects bear.

        Args:
            effects: what analysis found, with paths as asked for.
            args: the arguments of the call: what they speak of may be what something is that is known in part.

        Returns:
            The effects with `real`, `dev`, `ino` and `asset` filled in; one effect on several assets becomes several;
            a mention of what is no asset is dropped; a known edit of a control config becomes key changes.
        """
        resolved: list[Effect] = []
        # One look at each path: the effects of one call name the same few, and all must be judged on the same answer.
        look = Look(args)
        if self._recognition is not None:
            self._recognition.refresh()
        for effect in effects:
            if effect.op == "env" and effect.attrs.get("key") in self._index.variables:
                asset_id, control = self._index.variables[effect.attrs["key"]]
                resolved.append(variable_effect(effect, asset_id, control, self._index.assets[asset_id].controls))
                continue
            resolved.extend(self._resolve_one(effect, look))
            if effect.op == "set_security" and not effect.resource.recursive and resolved[-1].asset is None:
                # Who may enter or change a directory decides who reaches what lies in it, and who can delete it.
                resolved.extend(self._resolve_one(msgspec.structs.replace(effect, op="mention"), look))
            if self._index.by_key and effect.op == "exec_opaque" and (effect.resource.uri or "").startswith("tool:"):
                resolved.extend(self._edits.named_in(effect, args))
        if any(effect.op == "net_recv" for effect in resolved):
            resolved = fetched(resolved, self._index.addresses)
        if any(effect.resource.asset is not None for effect in resolved):
            resolved = astray(onward(_deleted(resolved), self._class_of))
        return returned(resolved)

    def _class_of(self, asset_id: str) -> str | None:
        asset = self._index.assets.get(asset_id)
        return asset.asset_class if asset is not None else None

    # -- one effect ---------------------------------------------------------------------------------------------

    def _resolve_one(self, effect: Effect, look: Look) -> Iterable[Effect]:
        downward = effect.resource.recursive or effect.op in _DOWNWARD
        downward = downward or (effect.resource.uri is not None and effect.op in _STORED)
        if effect.attrs.get("cwd"):
            downward = False  # being below an asset counts, being above one does not: every build runs above something
        source = self._sources(effect, downward, look)
        if "spares" in effect.attrs:
            effect = msgspec.structs.replace(effect, attrs={k: v for k, v in effect.attrs.items() if k != "spares"})
        target = None if effect.target is None else self._look_up(effect.target, False, look)
        untouched = self._untouched(effect, source, target)
        return (untouched,) if untouched is not None else self._touched(effect, source, target, look)

    def _untouched(self, effect: Effect, source: Found, target: Found | None) -> Effect | None:
        """The effect, if it bears on no asset: nearly none does, and of those nothing else has to be found out."""
        if effect.op == "mention" or (effect.resource.recursive and effect.op in _WHOLE) or effect.attrs.get("follows"):
            return None
        here, there = source.resources[0], None if target is None else target.resources[0]
        if source.anything or here.asset is not None or here.uri is not None:
            return None
        if target is not None and (
            target.anything or there is None or there.asset is not None or there.uri is not None
        ):
            return None
        if self._edits.overridden(effect, here, there) is not None:
            return None
        return msgspec.structs.replace(effect, resource=here, target=there, edit=None)

    def _touched(self, effect: Effect, source: Found, target: Found | None, look: Look) -> Iterator[Effect]:
        sources, any_source, more = source
        if any_source and effect.op == "mention" and not (effect.resource.pattern or "").startswith("**"):
            # A word that only ends in something unknown, such as `app:$(git rev-parse HEAD)`, is not held for it.
            any_source = False
        targets: list[Resource | None] = [None]
        any_target = False
        if target is not None:
            targets, any_target = list[Resource | None](target.resources), target.anything
            more += target.more
        if effect.op == "mention":
            # A program that is given a directory above the guard's own files is every build; it does not name them.
            sources = [one for one in sources if one.uri is not None or self._is_named(one)]
            sources = [one for one in sources if one.uri is None or one.asset is not None]
            if not sources and not any_source:
                return
            sources = sources or [effect.resource]
        sources = self._edits.controlled(effect) or sources
        attrs = effect.attrs
        more += max(len(sources) - MAX_ASSETS_PER_EFFECT, 0) + max(len(targets) - MAX_ASSETS_PER_EFFECT, 0)
        if more:
            # INVARIANT: no mandate covers what it was not asked about; the assets that are left out could be any.
            attrs = {**attrs, "assets_more": more}
        if any_source or any_target or more:
            attrs = {**attrs, "any": True}
        attrs = {**attrs, **self._forged.told(effect, sources[:MAX_ASSETS_PER_EFFECT], look)}
        if effect.attrs.get("follows"):
            yield from self._beneath.followed(effect, sources[0], targets[0], attrs, look)
        if effect.resource.recursive and effect.op in _WHOLE:
            yield from self._beneath.linked(effect, sources[0], targets[0], attrs, look)
        for here in sources[:MAX_ASSETS_PER_EFFECT]:
            for there in targets[:MAX_ASSETS_PER_EFFECT]:
                one = msgspec.structs.replace(effect, resource=here, target=there, attrs=attrs)
                yield from self._edits.changes(one)
        yield from self._by_name(effect, sources, targets)

    def _sources(self, effect: Effect, downward: bool, look: Look) -> Found:
        found = self._look_up(effect.resource, downward, look)
        if spares := effect.attrs.get("spares"):
            found = self._without(found, spares)
        if self._lineage is not None and effect.op in TAKING and self._lineage.any:
            found = found._replace(resources=list(self._made_of(effect, found.resources, look)))
        return found

    def _without(self, found: Found, spares: Sequence[str]) -> Found:
        """The same without assets of which all that lies there is left out; where mounts are, any name may lead in."""
        if found.anything or found.more or self._index.mounts.several:
            return found
        kept: list[Resource] = []
        for one in found.resources:
            real = (one.real or "").rstrip("/")
            roots = self._index.assets[one.asset].roots if one.asset is not None else ()
            inside = within(real, roots) if real else []
            if not inside or not all(is_left_out(root, spares) for root in inside):
                kept.append(one)
        return Found(kept or [msgspec.structs.replace(found.resources[0], asset=None)])

    def _made_of(self, effect: Effect, sources: Sequence[Resource], look: Look) -> Iterator[Resource]:
        """The same; what was made from an asset is taken from that asset."""
        for source in sources:
            place = None
            if source.asset is None and source.path is not None and source.path not in _STANDARD_STREAMS:
                place = look.at(source.path, nofollow=source.nofollow)
            if self._lineage is None or (place is None and source.pattern is None):
                yield source
                continue
            if place is not None and not place.exists and effect.op not in _TAKING_IT:
                yield source
                continue
            if place is None:
                name = last_of(source.pattern or "")
                below = self._lineage.named_below(source.real, name) if source.real and not source.asset else ()
                known = [one for one in below if one in self._index.assets]
                yield from (msgspec.structs.replace(source, asset=one) for one in known)
                if not known:
                    yield source
                continue
            held = list(self._lineage.assets_of(place))
            named = effect.op == "mention" and not effect.attrs.get("cwd")
            tree = named or effect.op in TREES or (source.recursive and effect.op in _WHOLE)
            if not held and place.directory and (tree or is_repository(effect)):
                held = [*self._lineage.below(place.real if tree else f"{place.real}/.git")]
            known = [one for one in held if one in self._index.assets]
            for one in known:
                yield msgspec.structs.replace(source, asset=one)
            if not known:
                yield source

    def _by_name(
        self, effect: Effect, sources: Sequence[Resource], targets: Sequence[Resource | None]
    ) -> Iterator[Effect]:
        """A mention of the asset that something elsewhere is named like: it may be the same, or a copy of it."""
        if effect.op in LOOKING:
            return
        for place in (*sources, *targets):
            if place is None or place.uri is None or place.asset is not None or place.kind not in _NAMED_KINDS:
                continue
            if effect.op in _ASKING and "method" not in effect.attrs and asks_model(place.uri):
                continue
            asset = self._index.addresses.by_name(place.uri) or self._index.addresses.alike(place.uri)
            if asset is not None:
                named = msgspec.structs.replace(place, asset=asset)
                attrs = {"named_like": asset}
                yield msgspec.structs.replace(
                    effect, op="mention", resource=named, target=None, attrs=attrs, precision="opaque", modality="may"
                )

    def _is_named(self, resource: Resource) -> bool:
        asset = self._index.assets.get(resource.asset or "")
        if asset is None or asset.asset_class != "guard":
            return asset is not None
        real = resource.real or ""
        return any(real == root or real.startswith(root + "/") for root in asset.roots)

    def _look_up(self, resource: Resource, downward: bool, look: Look) -> Found:
        """Resources with their assets, and whether it could be anything at all."""
        if resource.pattern is not None:
            return self._patterns.look_up(resource, look)
        if resource.uri is not None:
            if resource.uri.startswith("process:"):
                resource = self._named_process(resource)
                if resource.asset is not None:
                    return Found([resource])
                if "*" in (resource.uri or "") and self._speaks_of_this_process(look.args):
                    return Found([resource], True)
            found, anything = self._index.addresses.find(resource.uri or "", downward=downward or resource.recursive)
            return split(resource, found)._replace(anything=anything)
        if resource.path is None or resource.path in _STANDARD_STREAMS:
            return Found([resource], resource.kind == "any" and bool(self._index.assets))
        place = look.at(resource.path, nofollow=resource.nofollow)
        if place is None:
            return Found([resource], bool(self._index.assets))
        return self._place_assets(resource, place, downward, look)

    def _speaks_of_this_process(self, args: Mapping[str, Any]) -> bool:
        """A call has a name of the guard's process in it, so that one of which nothing is known may be that.

        Blind spot: a number that is worked out without any name, as from a port, is that of no process in particular.
        """
        if PROCESS not in self._index.assets:
            return False
        # What runs a tool is the parent of its shell.
        names = (NAME, process_name(str(os.getpid())), "ppid")
        texts = " ".join(strings(args)).lower()
        return any(name and name.lower() in texts for name in names)

    def _named_process(self, resource: Resource) -> Resource:
        """The same; a process that is given by its number has a name besides, and may be this one."""
        number = (resource.uri or "").removeprefix("process:")
        if PROCESS in self._index.assets and is_this_process(number):
            return msgspec.structs.replace(resource, asset=PROCESS)
        number = number.lstrip("-")
        name = process_name(number) if number.isdecimal() else ""
        return msgspec.structs.replace(resource, uri=f"{resource.uri} ({name})") if name else resource

    def _place_assets(self, resource: Resource, place: Place, downward: bool, look: Look) -> Found:
        if place.real in look.assets:
            asset_id = look.assets[place.real]
        else:
            asset_id = look.assets[place.real] = self._index.at(place)
        # An asset may hold others: what takes the whole takes each of them, and needs leave for each.
        base = msgspec.structs.replace(resource, real=place.real, dev=place.dev, ino=place.ino)
        below = self._index.below(place.real) if downward else ()
        if asset_id is None and not below:
            # Where this process may not look, neither a link on the way nor a copy would be seen.
            unseen = place.hidden or self._index.is_unread(place)
            return Found([base], unseen and bool(self._index.assets))
        if asset_id is None:
            return split(base, below)
        return split(
            base, [asset_id, *(one for one in below[: MAX_ASSETS_PER_EFFECT + 1] if one != asset_id)], len(below)
        )


def _lower(one: str, other: str) -> str:
    """Of two paths of which one lies below the other the one that does; empty if neither does."""
    if f"{one}/".startswith(f"{other.rstrip('/')}/"):
        return one
    return other if f"{other}/".startswith(f"{one.rstrip('/')}/") else ""


def _deleted(effects: list[Effect]) -> list[Effect]:
    """The same; what is written over for its deletion is so only if it is deleted, and not a link that leads to it."""
    if not any("destroys" in effect.attrs for effect in effects):
        return effects
    gone = {effect.resource.asset for effect in effects if effect.op == "delete"}
    return [
        effect
        if "destroys" not in effect.attrs or effect.resource.asset in gone
        else msgspec.structs.replace(effect, attrs={k: v for k, v in effect.attrs.items() if k != "destroys"})
        for effect in effects
    ]
