"""From the effects that a call was judged by to what its process may reach: copying is not reading.

No kernel knows why a file is read; it can only hold what else the same process may do. A call that reads an asset, and
was judged to do nothing besides, may write and send nothing; one that names no asset may not read any.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from guardrail.assets import Asset
from guardrail.confine.execd._orders import Profile, beneath
from guardrail.confine.kernel._protected import OWN_SHOWN, READABLE
from guardrail.confine.kernel._records import ConfineError, Mode
from guardrail.enforcement import Observed
from guardrail.model import Effect, Resource
from guardrail.printing import printable

_LOOKS: Final = frozenset({"read", "list", "exec", "exec_opaque", "copy", "net_send", "mention"})
"""Judged ops for which the content of an asset has to be read."""

_CARRIES: Final = frozenset({"copy", "link", "rename", "net_send"})
"""Judged ops that take an asset elsewhere: who was allowed one may read and write in one call."""

_GRANTS: Final = {
    "write": ("write", "create", "truncate", "rename"),
    "append": ("write", "create"),
    "create": ("write", "create", "truncate", "rename"),
    "set_key": ("write", "create", "truncate", "rename"),
    "record_score": ("write", "create", "truncate", "rename"),
    "truncate": ("truncate", "write"),
    "delete": ("delete",),
    "rename": ("rename",),
    "link": ("link",),
    "set_times": ("set_times",),
    "set_security": ("set_security",),
}
"""What a judged op is to the kernel: an editor writes a new file and gives it the old one's name."""

_SENDS: Final = frozenset({"net_send", "remote_exec"})
_WRITES: Final = frozenset({"write", "append", "create", "copy", "link", "rename"})


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The most that any call here may reach, whatever it was judged to do. An empty list allows nothing.

    Args:
        mode: how much is held.
        read: real paths that may be read and executed: where programs and their libraries lie.
        write: real paths that may be changed: the workspace.
        connect: TCP ports that may be connected to, on any host.
        unix: real paths of sockets of this host that may be connected to.
        processes: most processes and threads at one time, or 0 for no bound; who has more is ended.
    """

    mode: Mode = "default"
    read: tuple[str, ...] = ("/usr", "/etc", "/proc")
    write: tuple[str, ...] = ()
    connect: tuple[int, ...] = ()
    unix: tuple[str, ...] = ()
    processes: int = 0


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """A program that may read weights, as the operator fixed it.

    Args:
        files: SHA-256 of the executable, first, and of each script that it is given, by real path.
        arguments: what it is started with, all of it.
        environment: all variables that it is given; those of a call could have it load what the operator never saw.
        assets: ids of the assets that it may read.
        bind: TCP ports that it may listen on.
        sockets: real directories in which it may make sockets.
        read: real paths that it may read besides.
    """

    files: dict[str, str]
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    assets: tuple[str, ...] = ()
    bind: tuple[int, ...] = ()
    sockets: tuple[str, ...] = ()
    read: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """Real path of the executable."""
        return next(iter(self.files), "")

    def starts(self, argv: Sequence[str]) -> bool:
        """Whether that is how it is started; not whether its files are what they were.

        INVARIANT: the answer is the same whenever it is asked for: policy is told of it, and the call is held by it. So
        no link to the program stands for it, which could lead elsewhere by then.
        """
        return tuple(argv) == (self.program, *self.arguments)

    def problem(self, write: Sequence[str] = ()) -> str | None:
        """Why its files are not what the operator fixed; None if they are.

        Blind spot: they are looked at now; they have to lie where no agent can change them.

        Args:
            write: real paths that the call could change.
        """
        for path in (*self.files, *self.sockets):
            # A link could lead elsewhere by the time that it is followed. That of an environment to its interpreter is
            # needed, and is held like what it leads to.
            real = os.path.realpath(path)
            if real != path and path != self.program:
                return f"`{printable(path)}` is a link, or lies behind one: name it as `{printable(real)}`"
        for path, digest in self.files.items():
            if beneath(path, write) or beneath(os.path.realpath(path), write):
                return f"`{printable(path)}` lies where the call may write: keep it where no agent can change it"
            try:
                found = digest_of(path)
            except ConfineError as error:
                return str(error)
            if found != digest:
                return f"`{printable(path)}` is not what it was when it was fixed: look at it, and fix it anew"
        return None


def profile_for(effects: Sequence[Effect], assets: Iterable[Asset], bounds: Bounds) -> Profile:
    """What a released call may reach.

    Args:
        effects: what it was judged to do; all of it was allowed.
        assets: the inventory.
        bounds: the most that it may reach.

    Returns:
        The narrowest profile in which it can do that.

    Raises:
        ConfineError: if it reads an asset and writes or sends besides, without leave to carry the asset there; or if an
            asset that may not be read lies where everything may be.
    """
    if bounds.mode == "off":
        raise ConfineError("the mode is `off`, and there is no profile that holds nothing")
    known = {asset.id: asset for asset in assets}
    guarded = {name for name, asset in known.items() if asset.asset_class not in READABLE and name not in OWN_SHOWN}
    predicted = {pair for pair in predictions(effects) if pair[1] in known}
    reads = sorted(asset for op, asset in predicted if op == "read" and asset in guarded)
    carries = {asset for effect in effects if effect.op in _CARRIES for asset in _assets_of(effect)}
    grants = sorted(pair for pair in predicted if pair[0] != "read")
    others = [effect for effect in effects if effect.op in _WRITES | _SENDS and not _is_nothing(effect.resource)]
    if reads and others and not carries.issuperset(reads):
        raise ConfineError(
            f"the call reads `{reads[0]}` and also {others[0].op.replace('_', ' ')}s to "
            f"`{printable(others[0].resource.address)}`: nothing holds it to not copying; make two calls of it"
        )
    serves = bool(reads) and not carries
    places = [root for _, asset in grants for root in known[asset].roots]
    profile = Profile(
        mode=bounds.mode,
        read=_present((*bounds.read, *bounds.write, *(root for name in reads for root in known[name].roots))),
        write=() if serves else _present((*bounds.write, *map(os.path.dirname, places))),
        connect=() if serves else bounds.connect,
        unix=() if serves else bounds.unix,
        reads=tuple(reads),
        grants=tuple(grants),
        processes=bounds.processes,
    )
    _check_reach(profile, known, guarded)
    return profile


def predictions(effects: Sequence[Effect]) -> set[tuple[str, str]]:
    """What the kernel will see of effects on assets: pairs of an op, in its words, and the id of an asset."""
    found: set[tuple[str, str]] = set()
    for effect in effects:
        ops = (*_GRANTS.get(effect.op, ()), *(("read",) if effect.op in _LOOKS else ()))
        found |= {(op, asset) for op in ops for asset in _assets_of(effect)}
    return found


def compared(effects: Sequence[Effect], seen: Iterable[Observed], served: Iterable[str] = ()) -> tuple[Observed, ...]:
    """What was seen, each marked with whether the call was judged to do it.

    Args:
        effects: what it was judged to do.
        seen: what was seen.
        served: assets that it may read as a program that the operator fixed, whatever its text shows.
    """
    expected = predictions(effects) | {("read", asset) for asset in served}
    return tuple(msgspec.structs.replace(one, predicted=(one.op, one.asset) in expected) for one in seen)


def serving_profile(
    serving: Serving, argv: Sequence[str], assets: Iterable[Asset], mode: Mode = "default", write: Sequence[str] = ()
) -> Profile:
    """What a serving program may reach: its weights, and its own sockets.

    Args:
        serving: as the operator fixed it.
        argv: what is to be started.
        assets: the inventory.
        mode: how much is held.
        write: real paths that the call could change, were it none of a serving program.

    Raises:
        ConfineError: if that is not what is to be started, or one of its files is not what it was, or may be changed.
    """
    if mode == "off":
        raise ConfineError("the mode is `off`, and there is no profile that holds nothing")
    if not serving.starts(argv):
        raise ConfineError(f"`{printable(' '.join(argv))}` is no serving program with the arguments that were fixed")
    if (why := serving.problem(write)) is not None:
        raise ConfineError(why)
    known = {asset.id: asset for asset in assets}
    missing = [name for name in serving.assets if name not in known]
    if missing:
        raise ConfineError(f"`{missing[0]}` is no asset of the inventory")
    roots = [root for name in serving.assets for root in known[name].roots]
    return Profile(
        mode=mode,
        read=_present((*serving.read, *serving.files, *roots)),
        sockets=_present(serving.sockets),
        bind=serving.bind,
        reads=serving.assets,
    )


def _assets_of(effect: Effect) -> set[str]:
    named = (effect.resource, *((effect.target,) if effect.target is not None else ()))
    return {resource.asset for resource in named if resource.asset is not None}


def _is_nothing(resource: Resource) -> bool:
    return resource.path in {"/dev/null", "/dev/stdout", "/dev/stderr"}


def _present(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.exists(path)))


def _check_reach(profile: Profile, known: dict[str, Asset], guarded: set[str]) -> None:
    """Landlock cannot take a file out of a directory that may be read; strict sees each open by itself."""
    if profile.mode == "strict":
        return
    for name in sorted(guarded - set(profile.reads)):
        for root in known[name].roots:
            over = next((top for top in (*profile.read, *profile.write) if beneath(root, (top,))), None)
            if over is not None and os.path.exists(root):
                raise ConfineError(
                    f"`{name}` lies in `{over}`, which every tool may read: use `strict`, or move one of them"
                )


def digest_of(path: str) -> str:
    """SHA-256 of a program or script.

    Raises:
        ConfineError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfineError(f"cannot read `{printable(path)}`: {(error.strerror or str(error)).lower()}") from None
