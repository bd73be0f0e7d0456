"""The declared assets, and which of them an effect bears on.

Look-up is by real path (an asset covers what lies below it), by inode (other names of the same file), and, for effects
that reach downwards, by what lies below. Each costs the depth of a path, not the number of assets.
"""

from __future__ import annotations

import fnmatch
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from guardrail.assets._addresses import Addresses, is_this_process, process_name
from guardrail.assets._controls import (
    ControlKeys,
    Overrides,
    control_keys,
    key_effects,
    keyed,
    over,
    returned,
    variable_effect,
    watched_name,
)
from guardrail.assets._dates import contradiction
from guardrail.assets._files import (
    LiveFiles,
    Place,
    found_at,
    links_below,
    locate,
    locate_in,
    names_below,
    odd_below,
    of_process,
    walk_files,
)
from guardrail.assets._lineage import TAKING, Lineage
from guardrail.assets._mounts import Coordinates, Mounts
from guardrail.assets._records import called_record, record_effects
from guardrail.config import AssetConfig, Config, RecordConfig, dotted
from guardrail.errors import AnalysisFault
from guardrail.model import ANY_DEPTH, AssetClass, Effect, Resource

if TYPE_CHECKING:
    from guardrail.assets._recognition import Recognition

MAX_INDEXED_FILES: Final = 200_000
"""Most files whose inode is remembered for one asset; further ones are known by path only."""

MAX_ASSETS_PER_EFFECT: Final = 64
"""Most assets one effect is split over; a further one is counted in `attrs.assets_more`."""

INDEX_CHEAP_SECONDS: Final = 0.005
"""A walk over all assets in search of new names that took longer, in seconds, gets at most a tenth of the time."""

STAT_SECONDS: Final = 2e-6
"""What looking at one file again is taken to cost, in seconds."""

INDEX_WAITED_SECONDS: Final = 0.1
"""A walk that takes longer, in seconds, is made beside the calls, which do not wait for it."""

MAX_PATTERN_ENTRIES: Final = 20_000
"""Most directory entries that are looked at to see where a pattern leads; beyond, it could lead anywhere."""

MAX_STRANGERS: Final = 100_000
"""Most files with several names that are remembered as no asset's."""

MAX_WALKED: Final = 2_000
"""Most entries of a directory tree that are looked at for other names of assets, when a call takes a whole tree."""

_WHOLE: Final = frozenset({"read", "copy", "net_send"})
"""Ops that take the content of every file in a tree, under whatever name it lies there."""

_TRANSFERS: Final = frozenset({"copy", "link", "rename", "net_send", "api_copy"})
"""Ops by which a model gets elsewhere, for which its age may be the reason."""

MAX_DATED: Final = 256
"""Most files of a directory whose dates are looked at."""

_LOOKING: Final = frozenset({"read", "list", "net_recv", "env", "exec", "exec_opaque", "remote_exec", "mention"})
"""Ops that change nothing by themselves."""

_NAMED_KINDS: Final = frozenset({"object", "service", "net"})
"""Kinds of things elsewhere that may be what an asset is called here."""

_EDITING: Final = frozenset({"write", "append", "create", "truncate"})
"""Ops whose edit is the new content of their own resource."""

_BRINGING: Final = frozenset({"rename", "copy", "link"})
"""Ops whose edit is the content that their target gets."""

_DOWNWARD: Final = frozenset({"rename", "delete", "mount", "mention"})
"""Ops on a directory that reach what lies in it, even where the command does not say `-r`."""

_STANDARD_STREAMS: Final = frozenset(
    {"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty", "/dev/zero", "/dev/urandom", "/dev/random"}
)


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """Something the operator declared worth guarding.

    Args:
        id: its name in rules, mandates and the trail.
        asset_class: what sort of asset.
        roots: real paths it lives at.
        facts: what rules may know about it; from the inventory, never from the file.
        controls: for a control config: which keys are controls.
        record: for an evaluation record: which key is what.
        uris: addresses it lives at where there is no path.
    """

    id: str
    asset_class: AssetClass
    roots: tuple[str, ...]
    facts: dict[str, Any]
    controls: ControlKeys = ControlKeys()
    record: RecordConfig | None = None
    uris: tuple[str, ...] = ()

    @property
    def is_read_by_key(self) -> bool:
        """Whether an edit of known content is judged by what changes in it."""
        return bool(self.controls) or self.record is not None


class _Found(NamedTuple):
    """What an address turned out to be.

    Args:
        resources: it, once for each asset that it is, lies in or holds; at most one more than one effect is split over.
        anything: it could be any asset.
        more: assets that are not among the resources.
    """

    resources: list[Resource]
    anything: bool = False
    more: int = 0


class _Anywhere(Exception):
    """A pattern may lead anywhere."""


class _Look:
    """What one call's paths turned out to be."""

    __slots__ = ("_folders", "_places", "assets")

    def __init__(self) -> None:
        self.assets: dict[str, str | None] = {}  # real paths -> the asset that is there
        self._places: dict[tuple[str, bool], Place | None] = {}
        self._folders: dict[str, Place] = {}

    def at(self, path: str, *, nofollow: bool) -> Place | None:
        """The place of a path, looked up once; None if it leads through a process of which nothing is known here."""
        key = (path, nofollow)
        if key not in self._places:
            self._places[key] = self._found(path, nofollow)
        return self._places[key]

    def _found(self, path: str, nofollow: bool) -> Place | None:
        place = self._located(path, nofollow)
        # A path that is its own resolution has crossed no link, and so no process.
        if place.real == path and "/proc/" not in path and not path.startswith("/dev/"):
            return place
        inside = of_process(path, nofollow=nofollow)
        if inside is None:
            return None
        return place if inside == path else locate(inside, nofollow=nofollow)

    def _located(self, path: str, nofollow: bool) -> Place:
        """`locate`, which for another file in the same directory need not resolve that again."""
        head, _, name = path.rpartition("/")
        if not head or name in ("", ".", ".."):
            return locate(path, nofollow=nofollow)
        folder = self._folders.get(head)
        if folder is None:
            folder = self._folders[head] = locate(head)
        if not folder.directory:
            return locate(path, nofollow=nofollow)
        return locate_in(folder, path, name, nofollow=nofollow)


PROCESS: Final = "guardrail:process"
"""The process that the guard runs in, as an asset of its own."""

_ANYBODY: Final = "?"
"""Whose a file is that cannot be read; no asset has such an id."""


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
        self._script_bytes = config.limits.script_bytes
        self._assets: dict[str, Asset] = {}
        self._roots: dict[str, str] = {}
        self._below: dict[str, list[str]] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._by_key: dict[str, list[str]] = {}
        self._addresses = Addresses()
        self._mounts = Mounts()
        self._mounted: dict[Coordinates, str] = {}
        self._mounted_below: dict[Coordinates, list[str]] = {}
        self._mounted_version = -1
        self._overrides = Overrides()
        self._variables: dict[str, tuple[str, str]] = {}
        self._inodes: dict[tuple[int, int], tuple[str, int, int]] = {}
        self._indexed_at = 0.0
        self._index_cost = 0.0
        self._strangers: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()
        here = str(config.path(""))
        for declared in config.assets:
            spelled = [os.path.join(here, os.path.expanduser(path)) for path in declared.paths]
            places = [locate(path) for path in spelled]
            self._add(_asset(declared, places), spelled, places)
            for uri in declared.uris:
                self._addresses.add(uri, declared.id)
            for name in _names(declared):
                self._addresses.name(name, declared.id)
        kept: dict[str, list[str]] = {}
        for asset_id, path in own:
            kept.setdefault(asset_id, []).append(path)
        for asset_id, paths in kept.items():
            places = [locate(path) for path in paths]
            roots = tuple(place.real for place in places)
            self._add(
                Asset(id=asset_id, asset_class="guard", roots=roots, facts=_facts(asset_id, "guard")), paths, places
            )
        if own:
            facts = _facts(PROCESS, "guard")
            self._assets[PROCESS] = Asset(id=PROCESS, asset_class="guard", roots=(), facts=facts)
        self._watched = frozenset(self._variables)
        self._indexed_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._assets)

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._assets.values())

    @property
    def variables(self) -> frozenset[str]:
        """Names of environment variables that stand for keys of control files."""
        return self._watched

    def get(self, asset_id: str) -> Asset | None:
        """The asset of that id, if there is one."""
        return self._assets.get(asset_id)

    def facts(self, asset_id: str) -> dict[str, Any]:
        """What rules may know about an asset."""
        asset = self._assets.get(asset_id)
        if asset is None:
            raise AnalysisFault(f"no asset `{asset_id}` in the inventory")
        return asset.facts

    def files_of(self, asset_id: str) -> Iterator[str]:
        """Regular files of an asset that exist now."""
        asset = self._assets.get(asset_id)
        for root in asset.roots if asset else ():
            yield from (path for path, _ in walk_files(root, MAX_INDEXED_FILES))

    def resolve(self, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Say on which assets effects bear.

        Args:
            effects: what analysis found, with paths as asked for.

        Returns:
            The effects with `real`, `dev`, `ino` and `asset` filled in; one effect on several assets becomes several;
            a mention of what is no asset is dropped; a known edit of a control config becomes key changes.
        """
        resolved: list[Effect] = []
        # One look at each path: the effects of one call name the same few, and all must be judged on the same answer.
        look = _Look()
        if self._recognition is not None:
            self._recognition.refresh()
        for effect in effects:
            if effect.op == "env" and effect.attrs.get("key") in self._variables:
                asset_id, control = self._variables[effect.attrs["key"]]
                resolved.append(variable_effect(effect, asset_id, control, self._assets[asset_id].controls))
                continue
            resolved.extend(self._resolve_one(effect, look))
        return returned(resolved)

    # -- one effect ---------------------------------------------------------------------------------------------

    def _resolve_one(self, effect: Effect, look: _Look) -> Iterable[Effect]:
        downward = effect.resource.recursive or effect.op in _DOWNWARD
        if effect.attrs.get("cwd"):
            downward = False  # being below an asset counts, being above one does not: every build runs above something
        source = self._sources(effect, downward, look)
        target = None if effect.target is None else self._look_up(effect.target, False, look)
        untouched = self._untouched(effect, source, target)
        return (untouched,) if untouched is not None else self._touched(effect, source, target, look)

    def _untouched(self, effect: Effect, source: _Found, target: _Found | None) -> Effect | None:
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
        side = there if effect.op in _BRINGING else here if effect.op in _EDITING else None
        if side is not None and self._overrides.of(side.real) is not None:
            return None
        return msgspec.structs.replace(effect, resource=here, target=there, edit=None)

    def _touched(self, effect: Effect, source: _Found, target: _Found | None, look: _Look) -> Iterator[Effect]:
        sources, any_source, more = source
        if any_source and effect.op == "mention" and not (effect.resource.pattern or "").startswith("**"):
            # A word that only ends in something unknown, such as `app:$(git rev-parse HEAD)`, is not held for it.
            any_source = False
        targets: list[Resource | None] = [None]
        any_target = False
        if target is not None:
            targets, any_target = [*target.resources], target.anything
            more += target.more
        if effect.op == "mention":
            # A program that is given a directory above the guard's own files is every build; it does not name them.
            sources = [one for one in sources if one.uri is not None or self._is_named(one)]
            sources = [one for one in sources if one.uri is None or one.asset is not None]
            if not sources and not any_source:
                return
            sources = sources or [effect.resource]
        sources = self._controlled(effect) or sources
        attrs = effect.attrs
        more += max(len(sources) - MAX_ASSETS_PER_EFFECT, 0) + max(len(targets) - MAX_ASSETS_PER_EFFECT, 0)
        if more:
            # INVARIANT: no mandate covers what it was not asked about; the assets that are left out could be any.
            attrs = {**attrs, "assets_more": more}
        if any_source or any_target or more:
            attrs = {**attrs, "any": True}
        attrs = {**attrs, **self._dated(effect, sources, look)}
        if effect.attrs.get("follows"):
            yield from self._followed(effect, sources[0], targets[0], attrs)
        if effect.resource.recursive and effect.op in _WHOLE:
            yield from self._linked(effect, sources[0], targets[0], attrs)
        for here in sources[:MAX_ASSETS_PER_EFFECT]:
            for there in targets[:MAX_ASSETS_PER_EFFECT]:
                one = msgspec.structs.replace(effect, resource=here, target=there, attrs=attrs)
                yield from self._with_keys(self._over(one))
        yield from self._by_name(effect, sources, targets)

    def _sources(self, effect: Effect, downward: bool, look: _Look) -> _Found:
        found = self._look_up(effect.resource, downward, look)
        if self._lineage is not None and effect.op in TAKING and self._lineage.any:
            found = found._replace(resources=list(self._made_of(effect, found.resources, look)))
        return found

    def _dated(self, effect: Effect, sources: Sequence[Resource], look: _Look) -> dict[str, Any]:
        """What the date of what is taken away says of it, if it cannot be true."""
        if effect.op not in _TRANSFERS:
            return {}
        for source in sources[:MAX_ASSETS_PER_EFFECT]:
            if source.asset is None or source.path is None:
                continue
            place = look.at(source.path, nofollow=source.nofollow)
            found = self._forged(source.asset, place) if place is not None and place.exists else None
            if found is not None:
                return {"forged_time": found}
        return {}

    def _forged(self, asset_id: str, place: Place) -> str | None:
        if place.directory:
            places = [found_at(path, status) for path, status in walk_files(place.real, MAX_DATED)]
        else:
            places = [place]
        for one in places:
            found = contradiction(one.real, one)
            # A copy that kept the date of the file it was made from, or a file that was restored before it was
            # declared, has an old date and no false one.
            if found is not None and one.mtime_ns not in self._known_dates(asset_id):
                return found
        return None

    def _known_dates(self, asset_id: str) -> frozenset[int]:
        registered = self._recognition.dates(asset_id) if self._recognition is not None else frozenset[int]()
        if registered:
            return registered
        return frozenset(mtime_ns for owner, _, mtime_ns in self._inodes.values() if owner == asset_id)

    def _made_of(self, effect: Effect, sources: Sequence[Resource], look: _Look) -> Iterator[Resource]:
        """The same; what was made from an asset is taken from that asset."""
        for source in sources:
            place = None
            if source.asset is None and source.path is not None and source.path not in _STANDARD_STREAMS:
                place = look.at(source.path, nofollow=source.nofollow)
            if place is None or self._lineage is None or not place.exists:
                yield source
                continue
            asset = self._lineage.asset_of(place)
            held = [asset] if asset is not None else []
            if asset is None and place.directory and source.recursive and effect.op in _WHOLE:
                held = [*self._lineage.below(place.real)]
            known = [one for one in held if one in self._assets]
            for one in known:
                yield msgspec.structs.replace(source, asset=one)
            if not known:
                yield source

    def _controlled(self, effect: Effect) -> list[Resource]:
        """Control configs that have a key of this name, where a tool changes settings without saying of which file."""
        if effect.op != "set_key" or not (effect.resource.uri or "").startswith("config:"):
            return []
        key = effect.attrs.get("key")
        found = self._by_key.get(key, ()) if isinstance(key, str) else ()
        return [msgspec.structs.replace(effect.resource, asset=asset) for asset in found]

    def _by_name(
        self, effect: Effect, sources: Sequence[Resource], targets: Sequence[Resource | None]
    ) -> Iterator[Effect]:
        """A mention of the asset that something elsewhere is named like: it may be the same, or a copy of it."""
        if effect.op in _LOOKING:
            return
        for place in (*sources, *targets):
            if place is None or place.uri is None or place.asset is not None or place.kind not in _NAMED_KINDS:
                continue
            asset = self._addresses.by_name(place.uri)
            if asset is not None:
                named = msgspec.structs.replace(place, asset=asset)
                attrs = {"named_like": asset}
                yield msgspec.structs.replace(
                    effect, op="mention", resource=named, target=None, attrs=attrs, precision="opaque", modality="may"
                )

    def _linked(
        self, effect: Effect, place: Resource, target: Resource | None, attrs: dict[str, Any]
    ) -> Iterator[Effect]:
        """Other names and copies of assets below a directory whose whole content is read, copied or sent."""
        if place.real is None or place.dev is None or place.asset is not None:
            return
        known: set[str] = set()
        large = self._recognition.least() if self._recognition is not None else None
        for path, status in names_below(place.real, MAX_WALKED, large=large):
            asset, _, _ = self._inodes.get((status.st_dev, status.st_ino), (None, 0, 0))
            there = found_at(path, status)
            asset = asset or self._by_content(there)
            whose = asset if asset is not None else _ANYBODY if self._is_unread(there) else None
            if whose is None or whose in known:
                continue
            known.add(whose)
            resource = msgspec.structs.replace(
                effect.resource,
                path=path,
                real=path,
                dev=status.st_dev,
                ino=status.st_ino,
                asset=asset,
                recursive=False,
            )
            facts = attrs if asset is not None else {**attrs, "any": True}
            yield msgspec.structs.replace(effect, resource=resource, target=target, attrs=facts, edit=None)

    def _followed(
        self, effect: Effect, place: Resource, target: Resource | None, attrs: dict[str, Any]
    ) -> Iterator[Effect]:
        """Assets that a command which goes through symbolic links would reach from a directory."""
        if place.real is None or place.dev is None or place.asset is not None:
            return
        known: set[str] = set()
        for path in links_below(place.real, MAX_WALKED):
            there = locate(path)
            reached = [self._asset_at(there), *(self._assets_below(there.real) if there.directory else ())]
            for asset in reached:
                if asset is not None and asset not in known:
                    known.add(asset)
                    resource = msgspec.structs.replace(effect.resource, path=path, real=there.real, asset=asset)
                    yield msgspec.structs.replace(effect, resource=resource, target=target, attrs=attrs, edit=None)

    def _over(self, effect: Effect) -> Effect:
        """The same; what is put over a control from a file beside it bears on that control."""
        side = effect.target if effect.op in _BRINGING else effect.resource if effect.op in _EDITING else None
        asset = self._overrides.of(side.real) if side is not None and side.asset is None else None
        if side is None or asset is None:
            return effect
        attrs = {**effect.attrs, "override": True}
        named = msgspec.structs.replace(side, asset=asset)
        unknown = effect.edit is None and (side.real or "").endswith("/.env")
        if effect.op in _BRINGING:
            return msgspec.structs.replace(effect, target=named, attrs=attrs)
        # A file of variables is mostly for other things: a change that is not known is a question, not an answer.
        precision = "opaque" if unknown else effect.precision
        return msgspec.structs.replace(effect, resource=named, attrs=attrs, precision=precision)

    def _is_named(self, resource: Resource) -> bool:
        asset = self._assets.get(resource.asset or "")
        if asset is None or asset.asset_class != "guard":
            return asset is not None
        real = resource.real or ""
        return any(real == root or real.startswith(root + "/") for root in asset.roots)

    def _with_keys(self, effect: Effect) -> Iterator[Effect]:
        asset = self._assets.get(effect.resource.asset or "")
        if asset is not None and effect.op == "set_key" and effect.resource.uri is not None:
            yield keyed(effect, asset.controls)
            return
        if asset is not None and effect.op == "record_score" and asset.record is not None:
            yield called_record(effect, asset.record, asset.facts["model"])
            return
        # INVARIANT: only an op that changes the resource's own content is judged by its edit; what is moved, copied or
        # linked carries the content of its target.
        known = effect.edit if effect.op in _EDITING else None
        if effect.op in _BRINGING and effect.edit is not None and self._is_edit_of_target(effect):
            yield from self._brought(effect)
            return
        if asset is None or known is None or not asset.is_read_by_key or effect.resource.real is None:
            yield effect if effect.edit is None else msgspec.structs.replace(effect, edit=None)
            return
        before = self._files.read(effect.resource.real, self._script_bytes)
        if before is None and effect.resource.ino is not None:
            # It is there and cannot be read, or is too large: what an edit makes of it is not known.
            yield msgspec.structs.replace(effect, edit=None)
            return
        if asset.record is not None:
            yield from record_effects(effect, known, before, asset.record, asset.facts["model"])
            return
        yield from key_effects(effect, known, before, asset.controls)

    def _is_edit_of_target(self, effect: Effect) -> bool:
        """A regular file that is no asset, moved or copied over one that is judged by its keys."""
        target = self._assets.get(effect.target.asset or "") if effect.target is not None else None
        source = effect.resource
        if target is None or not target.is_read_by_key or source.asset is not None or source.path is None:
            return False
        # INVARIANT: a link that is moved brings what it leads to, whoever may change that.
        return not os.path.islink(source.path)

    def _brought(self, effect: Effect) -> Iterator[Effect]:
        """The keys that change, and the move or copy itself, which then is of no asset."""
        target = effect.target
        if target is None:
            return
        plain = msgspec.structs.replace(target, asset=None)
        yield msgspec.structs.replace(effect, target=plain, edit=None, attrs={**effect.attrs, "over": target.asset})
        yield from self._with_keys(over(effect))

    def _look_up(self, resource: Resource, downward: bool, look: _Look) -> _Found:
        """Resources with their assets, and whether it could be anything at all."""
        if resource.pattern is not None:
            return self._look_up_pattern(resource, look)
        if resource.uri is not None:
            if resource.uri.startswith("process:"):
                resource = self._named_process(resource)
                if resource.asset is not None:
                    return _Found([resource])
            found, anything = self._addresses.find(resource.uri or "", downward=downward or resource.recursive)
            return _split(resource, found)._replace(anything=anything)
        if resource.path is None or resource.path in _STANDARD_STREAMS:
            return _Found([resource], resource.kind == "any" and bool(self._assets))
        place = look.at(resource.path, nofollow=resource.nofollow)
        if place is None:
            return _Found([resource], bool(self._assets))
        return self._place_assets(resource, place, downward, look)

    def _named_process(self, resource: Resource) -> Resource:
        """The same; a process that is given by its number has a name besides, and may be this one."""
        number = (resource.uri or "").removeprefix("process:")
        if PROCESS in self._assets and is_this_process(number):
            return msgspec.structs.replace(resource, asset=PROCESS)
        number = number.lstrip("-")
        name = process_name(number) if number.isdecimal() else ""
        return msgspec.structs.replace(resource, uri=f"{resource.uri} ({name})") if name else resource

    def _place_assets(self, resource: Resource, place: Place, downward: bool, look: _Look) -> _Found:
        if place.real in look.assets:
            asset_id = look.assets[place.real]
        else:
            asset_id = look.assets[place.real] = self._asset_at(place)
        # An asset may hold others: what takes the whole takes each of them, and needs leave for each.
        base = msgspec.structs.replace(resource, real=place.real, dev=place.dev, ino=place.ino)
        below = self._assets_below(place.real) if downward else ()
        if asset_id is None and not below:
            # Where this process may not look, neither a link on the way nor a copy would be seen.
            unseen = place.hidden or self._is_unread(place)
            return _Found([base], unseen and bool(self._assets))
        if asset_id is None:
            return _split(base, below)
        return _split(
            base, [asset_id, *(one for one in below[: MAX_ASSETS_PER_EFFECT + 1] if one != asset_id)], len(below)
        )

    def _asset_at(self, place: Place) -> str | None:
        real = place.real
        while True:
            asset_id = self._roots.get(real)
            if asset_id is not None:
                return asset_id
            if real == "/":
                break
            real = real.rpartition("/")[0] or "/"
        if self._mounts.several and (asset_id := self._asset_mounted(place.real)) is not None:
            return asset_id
        if place.dev is None or place.ino is None or place.directory:
            return None
        return self._by_inode(place, (place.dev, place.ino)) or self._by_content(place)

    def _by_inode(self, place: Place, key: tuple[int, int]) -> str | None:
        known = self._inodes.get(key)
        if known is None:
            return self._asset_of_linked(place, key) if place.links > 1 and self._assets else None
        # An inode whose file was deleted is given to the next new file: that one has neither the size nor the date.
        asset_id, size, mtime_ns = known
        return asset_id if place.links > 1 or size == place.size or mtime_ns == place.mtime_ns else None

    def _is_unread(self, place: Place) -> bool:
        return self._recognition is not None and self._recognition.is_unread(place)

    def _by_content(self, place: Place) -> str | None:
        asset_id = self._recognition.asset_of(place) if self._recognition is not None else None
        # What was registered and is declared no more has no rules either.
        return asset_id if asset_id in self._assets else None

    def _asset_of_linked(self, place: Place, key: tuple[int, int]) -> str | None:
        # A second name of some file, perhaps made since the index was built. Making a name moves the inode's ctime,
        # so an inode once found to be no asset's stays so until its ctime moves.
        if self._strangers.get(key) == place.ctime_ns:
            return None
        with self._lock:
            if self._index_cost > INDEX_CHEAP_SECONDS and time.monotonic() - self._indexed_at < 10 * self._index_cost:
                # Only a process that is not guarded can have made a name since: making one is an effect on the asset.
                return None
            if self._index_cost > INDEX_WAITED_SECONDS:
                # So many that no call can wait for them; what holds for one within that time holds here.
                threading.Thread(target=self._index_inodes, name="guardrail-inodes", daemon=True).start()
                self._indexed_at = time.monotonic()
                return None
            self._index_inodes()
            known = self._inodes.get(key)
            if known is not None:
                return known[0]
            if len(self._strangers) >= MAX_STRANGERS:
                self._strangers.clear()
            self._strangers[key] = place.ctime_ns
        return None

    def _asset_mounted(self, real: str) -> str | None:
        """The asset that a path leads to by a mount that gives it another name."""
        here = self._mounts.coordinates(real)
        if here is None:
            return None
        known, (device, path) = self._coordinates(), here
        while True:
            if (device, path) in known:
                return known[device, path]
            if path == "/":
                return None
            path = path.rpartition("/")[0] or "/"

    def _coordinates(self) -> Mapping[Coordinates, str]:
        """Where the assets lie, by the table of mounts as it is now."""
        if self._mounted_version != self._mounts.version:
            version = self._mounts.version
            found: dict[Coordinates, str] = {}
            inside: dict[Coordinates, list[str]] = {}
            for root, asset in self._roots.items():
                here = self._mounts.coordinates(root)
                if here is not None:
                    found.setdefault(here, asset)
                    device, path = here
                    while path not in ("", "/"):
                        path = path.rpartition("/")[0] or "/"
                        inside.setdefault((device, path), []).append(asset)
            self._mounted, self._mounted_below, self._mounted_version = found, inside, version
        return self._mounted

    def _assets_below(self, real: str) -> Sequence[str]:
        found = self._below.get(real.rstrip("/") or "/", [])
        if not self._mounts.several:
            return found
        # Below a directory an asset may be mounted, or what holds one.
        more: dict[str, None] = dict.fromkeys(found)
        for point in (real, *self._mounts.below(real)):
            here = self._mounts.coordinates(point)
            asset = self._asset_mounted(point) if point != real else None
            if asset is not None:
                more[asset] = None
            if here is not None:
                self._coordinates()
                within = self._mounted_below.get(here, [])
                # Below the one name of a directory lies what lies below the other.
                more.update(dict.fromkeys(within))
        return list(more)

    def _look_up_pattern(self, resource: Resource, look: _Look) -> _Found:
        pattern = resource.pattern or ""
        if not self._assets:
            return _Found([resource])
        base, deep, name = pattern.rpartition(f"/{ANY_DEPTH}")
        if deep and pattern.startswith("/") and "**" not in pattern and "/" not in name:
            return self._look_up_listed(resource, base or "/", name, look)
        # `**` is a part of which nothing is known, so it may hold slashes and `..`; `*` is a glob within one name.
        if not pattern.startswith("/") or "**" in pattern:
            return _Found([resource], True)
        parts = pattern.split("/")
        first = next((i for i, part in enumerate(parts) if any(char in part for char in "*?[")), len(parts))
        base, rest = "/".join(parts[:first]) or "/", [part for part in parts[first:] if part not in ("", ".")]
        place = look.at(base, nofollow=False)
        if place is None or ".." in rest:
            return _Found([resource], True)
        hits: dict[str, None] = {}
        try:
            self._reach(place, rest, hits, [MAX_PATTERN_ENTRIES])
        except _Anywhere:
            return _Found([resource], True)
        return _split(msgspec.structs.replace(resource, real=place.real), list(hits))

    def _look_up_listed(self, resource: Resource, base: str, name: str, look: _Look) -> _Found:
        """Assets among the files below a directory whose names end like this, as a lister such as `find` gives them."""
        place = None if any(char in base for char in "*?[") else look.at(base, nofollow=False)
        # A name with a blank in it becomes several words, which may be other paths.
        if place is None or odd_below(place.real, MAX_PATTERN_ENTRIES) is not False:
            return _Found([resource], True)
        hits: dict[str, None] = {}
        if asset_id := self._asset_at(place):
            hits[asset_id] = None
        below = self._assets_below(place.real)
        if len(below) > MAX_WALKED:
            return _Found([resource], True)
        for asset in below:
            for root in self._assets[asset].roots:
                files = [root, *(path for path, _ in walk_files(root, MAX_WALKED))]
                fits = any(fnmatch.fnmatchcase(os.path.basename(path), name) for path in files)
                if len(files) > MAX_WALKED or fits or (resource.recursive and _leads(place.real, root, name)):
                    hits[asset] = None
        for path in () if resource.nofollow else links_below(place.real, MAX_PATTERN_ENTRIES):
            if fnmatch.fnmatchcase(os.path.basename(path), name):
                there = locate(path)
                reached = [self._asset_at(there), *(self._assets_below(there.real) if there.directory else ())]
                hits.update((asset, None) for asset in reached if asset is not None)
        for path, status in names_below(place.real, MAX_PATTERN_ENTRIES):
            fits = fnmatch.fnmatchcase(os.path.basename(path), name)
            if not fits and not (resource.recursive and _leads(place.real, path, name)):
                continue
            known = self._inodes.get((status.st_dev, status.st_ino))
            # Of an asset that was replaced since, the names are not in the index yet.
            linked = known[0] if known is not None else self._asset_at(locate(path))
            if linked is not None:
                hits[linked] = None
        return _split(msgspec.structs.replace(resource, real=place.real), list(hits))

    def _reach(self, place: Place, rest: Sequence[str], hits: dict[str, None], left: list[int]) -> None:
        """Collect the assets that a pattern below a place can name: by their names, and by what is there now.

        Raises:
            _Anywhere: if it leads into a process, or over a bound.
        """
        asset_id = self._asset_at(place)
        if asset_id:
            hits[asset_id] = None
        if not rest:
            hits.update(dict.fromkeys(self._assets_below(place.real)))
            return
        self._reach_names(place.real, rest, hits, left)
        if self._mounts.several:
            self._reach_mounted(place.real, rest, hits)
        if place.real.startswith("/proc") or (place.real == "/" and fnmatch.fnmatchcase("proc", rest[0])):
            raise _Anywhere
        try:
            with os.scandir(place.real) as entries:
                for entry in entries:
                    left[0] -= 1
                    if left[0] < 0:
                        raise _Anywhere
                    if fnmatch.fnmatchcase(entry.name, rest[0]) and (
                        entry.is_symlink() or len(rest) > 1 or entry.is_file()
                    ):
                        self._reach(locate(entry.path), rest[1:], hits, left)
        except OSError:
            return  # nothing is there, or nothing that can be listed: the names are all there is

    def _reach_names(self, real: str, rest: Sequence[str], hits: dict[str, None], left: list[int]) -> None:
        """Collect the assets whose declared names a pattern below a directory fits, whether or not they are there.

        Raises:
            _Anywhere: if it leads over a bound.
        """
        base = real.rstrip("/")
        for child in self._children.get(base or "/", ()):
            left[0] -= 1
            if left[0] < 0:
                raise _Anywhere
            if not fnmatch.fnmatchcase(child, rest[0]):
                continue
            path = f"{base}/{child}"
            asset = self._roots.get(path)
            if asset is not None:
                hits[asset] = None
            if len(rest) == 1:
                hits.update(dict.fromkeys(self._below.get(path, ())))
            else:
                self._reach_names(path, rest[1:], hits, left)

    def _reach_mounted(self, real: str, rest: Sequence[str], hits: dict[str, None]) -> None:
        """The same for assets that lie there by a second mount."""
        prefix = real.rstrip("/") + "/"
        below = self._assets_below(real)
        if len(below) > MAX_WALKED:
            raise _Anywhere
        for asset in below:
            for root in self._assets[asset].roots:
                names = root[len(prefix) :].split("/") if root.startswith(prefix) else ()
                if names and all(fnmatch.fnmatchcase(name, part) for name, part in zip(names, rest, strict=False)):
                    hits[asset] = None

    # -- building -----------------------------------------------------------------------------------------------

    def _add(self, asset: Asset, spelled: Sequence[str], places: Sequence[Place]) -> None:
        self._assets[asset.id] = asset
        for control in asset.controls.names if asset.controls else ():
            if (variable := watched_name(control)) is not None:
                self._variables.setdefault(variable, (asset.id, control))
            self._key(control, asset.id)
        # The name as declared is an asset too: removing the link `/models` takes the models away from their users.
        names = set(asset.roots)
        for path, place in zip(spelled, places, strict=True):
            if place.directory:
                began = time.monotonic()
                self._note_inodes(asset.id, place.real, self._inodes)
                self._index_cost += time.monotonic() - began
            elif place.regular and place.dev is not None and place.ino is not None:
                self._inodes[(place.dev, place.ino)] = (asset.id, place.size, place.mtime_ns)
                self._index_cost += STAT_SECONDS
            name = os.path.normpath(path)
            if name != place.real:
                names |= {name, locate(path, nofollow=True).real}
        for name in names:
            # INVARIANT: the longest root wins in _asset_at, so nested assets keep their own id.
            self._roots.setdefault(name, asset.id)
            if asset.controls:
                self._overrides.add(asset.id, name)
            self._add_below(name, asset)

    def _key(self, control: str, asset_id: str) -> None:
        """A control is found by its whole name and by that of every table that it stands in."""
        key = control
        while key:
            known = self._by_key.setdefault(key, [])
            if asset_id not in known[-1:]:
                known.append(asset_id)
            key = key.rpartition(".")[0]

    def _add_below(self, name: str, asset: Asset) -> None:
        parent, child = name, ""
        while parent != "/":
            above, _, child = parent.rpartition("/")
            parent = above or "/"
            self._children.setdefault(parent, {})[child] = None
            below = self._below.setdefault(parent, [])
            if asset.asset_class == "guard":
                # Of more assets than one effect is split over, the guard's own are never those left out.
                if asset.id not in below[:1]:
                    below.insert(0, asset.id)
            elif asset.id not in below[-1:]:
                below.append(asset.id)

    def _index_inodes(self) -> None:
        began = time.monotonic()
        found: dict[tuple[int, int], tuple[str, int, int]] = {}
        for asset in self._assets.values():
            for root in asset.roots:
                self._note_inodes(asset.id, root, found)
        self._inodes = found
        self._indexed_at = time.monotonic()
        self._index_cost = self._indexed_at - began

    @staticmethod
    def _note_inodes(asset_id: str, root: str, found: dict[tuple[int, int], tuple[str, int, int]]) -> None:
        for _, status in walk_files(root, MAX_INDEXED_FILES):
            found[(status.st_dev, status.st_ino)] = (asset_id, status.st_size, status.st_mtime_ns)


def _split(resource: Resource, assets: Sequence[str], total: int = 0) -> _Found:
    """A resource, once for each asset, of which so many are told that it is seen that there are more."""
    if not assets:
        return _Found([resource])
    told = assets[:MAX_ASSETS_PER_EFFECT]
    more = max(len(assets), total) - len(told)
    return _Found([msgspec.structs.replace(resource, asset=asset) for asset in told], False, more)


def _leads(base: str, path: str, name: str) -> bool:
    """A directory between a base and a path is called so, and what lies in it goes with it.

    What is mounted somewhere below the base has a path of its own, so that the names on the way are not known.
    """
    head = f"{base.rstrip('/')}/"
    if not path.startswith(head):
        return True
    return any(fnmatch.fnmatchcase(part, name) for part in path[len(head) :].split("/"))


def _names(declared: AssetConfig) -> Iterator[str]:
    """What people call an asset: the end of its id, of its model and of its paths."""
    yield declared.id.rpartition(":")[2]
    yield (declared.model or "").rpartition("/")[2]
    for path in declared.paths:
        yield path.rstrip("/").rpartition("/")[2].partition(".")[0]


def _asset(declared: AssetConfig, places: Sequence[Place]) -> Asset:
    facts = _facts(declared.id, declared.asset_class)
    facts["model"] = declared.model
    facts["owner"] = declared.owner
    facts["registered"] = declared.registered.isoformat() if declared.registered else None
    return Asset(
        id=declared.id,
        asset_class=declared.asset_class,
        roots=tuple(dict.fromkeys(place.real for place in places)),
        facts=facts,
        controls=control_keys(dict(dotted(declared.controls)), dict(dotted(declared.weakens))),
        record=declared.record,
        uris=declared.uris,
    )


def _facts(asset_id: str, asset_class: str) -> dict[str, Any]:
    return {"id": asset_id, "class": asset_class, "model": None, "owner": None, "registered": None}
