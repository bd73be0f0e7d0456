"""What people announce at the centre: which assets there are, and which policy bundle is to be served."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Guard, Outcome
from guardrail.audit._verify import read_records
from guardrail.central import TakeUp, _people
from guardrail.central._announced import BundleAnnounced, InventoryAnnounced, sign_announced
from guardrail.central._takeup import FILES
from guardrail.cli import main
from guardrail.config import AssetConfig, load
from guardrail.errors import ConfigError
from guardrail.policy import hurry, refusal
from guardrail.policy.bundles._archive import pack
from guardrail.policy.bundles._read import receive
from tests.bundle_support import (
    KEY,
    NOW,
    BundleHost,
    archive,
    bundle_host,
    members,
    revision_of,
    signed,
    stricter,
)
from tests.central_support import (
    POLL_SECONDS,
    SELDOM_SECONDS,
    Fleet,
    directory_of,
    fleet,
    metrics,
    quietly,
    stands,
    tables,
    until,
    wire,
)
from tests.postgres_support import Cluster, Wire

__all__ = ["fleet", "tables", "wire"]

TAKES = 'inventory_by = ["dana"]'
"""Of `[central]`: inventories of Dana's are taken up."""


def inventory(fleet: Fleet, version: int, *names: str, key: Ed25519PrivateKey | None = None, **other: Any) -> bytes:
    """An inventory of Dana's: each asset is a directory of its own."""
    assets = tuple(
        AssetConfig(id=f"model:{name}", asset_class="weights", paths=(f"{fleet.root}/{name}",)) for name in names
    )
    given: dict[str, Any] = {"issuer": "dana", "assets": assets} | other
    announced = InventoryAnnounced(version=version, issued=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), **given)
    return sign_announced(announced, key or fleet.key)


def announce(fleet: Fleet, envelope: bytes, kind: str = "inventory") -> _people.Published:
    """Publish it, as people do who may."""
    people = fleet.config("people", fleet.store, central=f'{TAKES}\nbundle_by = ["dana"]', more=POLICY)
    path = fleet.root / f"new.{kind}.json"
    path.write_bytes(envelope)
    (done,) = _people.publish(load(people), [str(path)])
    return done


POLICY = '[policy]\nbundle = "bundle.tar.gz"'
"""A configuration that may say something about bundles has one."""


def bring(postgres: Cluster, fleet: Fleet, envelope: bytes, kind: str = "inventory") -> None:
    """What a centre that does as it likes announces, besides what is there."""
    values = f"('{kind}', '\\x{envelope.hex()}')"
    postgres.run(f"insert into guardrail.announced (kind, envelope) values {values}", fleet.store)


def knows(guard: Guard) -> set[str]:
    """Assets that were declared to a guard, of whoever."""
    return {asset.id for asset in guard.config.assets}


# ── inventory ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_assets_that_are_announced_are_guarded_beside_those_of_the_guard(fleet: Fleet) -> None:
    """A deletion of what no local file declares is held to an order; the guard's own assets stay."""
    assert announce(fleet, inventory(fleet, 1, "gamma")).fresh
    (fleet.root / "gamma").mkdir()
    (fleet.root / "gamma" / "w").write_bytes(b"w" * 100)
    with fleet.guard("a", central=TAKES) as guard, fleet.guard("b") as other:
        assert knows(guard) == {"model:beta", "model:gamma"}
        assert knows(other) == {"model:beta"}
        args = {"command": f"rm {fleet.root}/gamma/w"}
        call = msgspec.structs.replace(fleet.deletion(), args=args)
        assert guard.check(call).outcome is Outcome.DENY
        assert other.check(call).outcome is Outcome.ALLOW
        assert _said(guard, "central_inventory") == [(1, "dana")]


def _said(guard: Guard, event: str) -> list[tuple[int, str]]:
    records = (record for _, record in read_records(directory_of(guard)))
    return [(record["version"], record["by"]) for record in records if record.get("event") == event]


def test_a_newer_inventory_is_kept_at_once_and_in_force_when_the_guard_is_opened_anew(fleet: Fleet) -> None:
    """Whoever can open the guard anew is told; until then it says that it is behind."""
    announce(fleet, inventory(fleet, 1, "gamma"))
    told: list[int] = []
    with fleet.guard("a", central=TAKES, poll=SELDOM_SECONDS) as guard:
        assert guard.central is not None
        guard.central.renew = lambda: told.append(1)
        assert announce(fleet, inventory(fleet, 2, "gamma", "delta")).fresh
        assert until(lambda: bool(told))
        assert stands(guard).behind == "inventory 2 is announced, and 1 is in force"
        assert metrics(guard)["guardrail_central_behind"] == 1
        assert _said(guard, "central_inventory") == [(1, "dana"), (2, "dana")]
    with fleet.guard("a", central=TAKES) as guard:
        assert knows(guard) == {"model:beta", "model:gamma", "model:delta"}
        assert stands(guard).behind == ""


def test_an_inventory_that_was_put_back_is_refused_and_the_one_that_was_seen_stays(
    postgres: Cluster, fleet: Fleet
) -> None:
    """A lower version is none, and neither is another one of the same version; both are told."""
    old, new = inventory(fleet, 1, "gamma"), inventory(fleet, 2, "gamma", "delta")
    announce(fleet, new)
    with fleet.guard("a", central=TAKES) as guard:
        for brought, why in ((old, "the centre was put back"), (inventory(fleet, 2, "x"), "there are two of version")):
            quietly(postgres, fleet.store, "delete from guardrail.announced")
            bring(postgres, fleet, brought)
            assert until(lambda why=why: why in stands(guard).not_taken)
            assert metrics(guard)["guardrail_central_not_taken"] == 1
        quietly(postgres, fleet.store, "delete from guardrail.announced")
        bring(postgres, fleet, old)
    with fleet.guard("a", central=TAKES) as guard:
        assert knows(guard) == {"model:beta", "model:gamma", "model:delta"}
        announce(fleet, inventory(fleet, 3, "gamma"))
        assert until(lambda: stands(guard).not_taken == "")
    assert any(record.get("event") == "central_not_taken" for _, record in read_records(directory_of(guard)))


@pytest.mark.parametrize(
    "what", ["a letter", "another key", "not among them", "a clash", "a zone that nobody knows", "another kind"]
)
def test_an_inventory_that_cannot_count_is_refused_whole(postgres: Cluster, fleet: Fleet, what: str) -> None:
    """What was taken up before serves on, whoever brought the other."""
    announce(fleet, inventory(fleet, 1, "gamma"))
    good = inventory(fleet, 2, "delta")
    zoned = AssetConfig(id="model:z", asset_class="weights", paths=("/z",), zones=("nowhere",))
    bundle = BundleAnnounced(
        issuer="dana", version=2, issued=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), revision="1", digest="0" * 64
    )
    eve = f'[[person]]\nname = "eve"\nkey = "{_text(EVE)}"'
    brought = {
        "a letter": good.replace(b'"sig": "', b'"sig": "A', 1),
        "another key": inventory(fleet, 2, "delta", key=EVE),
        "not among them": inventory(fleet, 2, "delta", key=EVE, issuer="eve"),
        "a clash": inventory(fleet, 2, "beta"),
        "a zone that nobody knows": inventory(fleet, 2, assets=(zoned,)),
        "another kind": sign_announced(bundle, fleet.key),
    }[what]
    with fleet.guard("a", central=TAKES, more=eve) as guard:
        quietly(postgres, fleet.store, "delete from guardrail.announced")
        bring(postgres, fleet, brought)
        assert until(lambda: stands(guard).not_taken != "")
    with fleet.guard("a", central=TAKES, more=eve) as guard:
        assert knows(guard) == {"model:beta", "model:gamma"}


EVE = Ed25519PrivateKey.generate()


def _text(key: Ed25519PrivateKey) -> str:
    from guardrail.mandates._signing import public_text

    return public_text(key)


def test_a_guard_that_is_to_have_an_inventory_and_has_none_does_not_open(fleet: Fleet, wire: Wire) -> None:
    """Without its assets it would guard nothing; with what it has seen it opens, also while the way is cut."""
    with pytest.raises(ConfigError, match="no inventory was ever announced to this guard"):
        fleet.guard("a", central=TAKES)
    announce(fleet, inventory(fleet, 1, "gamma"))
    wire.cut()
    with pytest.raises(ConfigError, match="the centre cannot be asked"):
        fleet.guard("a", wire.url(fleet.store), central=TAKES)
    wire.mend()
    fleet.guard("a", wire.url(fleet.store), central=TAKES).close()
    wire.cut()
    with fleet.guard("a", wire.url(fleet.store), central=TAKES) as guard:
        assert knows(guard) == {"model:beta", "model:gamma"}


def test_what_was_kept_and_is_damaged_is_not_begun_without(fleet: Fleet) -> None:
    """It says what must not be undercut, so people remove it and know why."""
    announce(fleet, inventory(fleet, 1, "gamma"))
    fleet.guard("a", central=TAKES).close()
    kept = fleet.root / "a" / "orders" / FILES["inventory"]
    kept.write_bytes(kept.read_bytes().replace(b'"sig": "', b'"sig": "A', 1))
    with pytest.raises(ConfigError, match="is not what was announced to this guard"):
        fleet.guard("a", central=TAKES)
    kept.unlink()
    fleet.guard("a", central=TAKES).close()


# ── bundles ───────────────────────────────────────────────────────────────────────────────────────────────────────────


OLD = signed(members("1.0.0"))
NEW = signed(members("1.1.0", NOW + 10, stricter))


SERVES = 'bundle_by = ["dana"]'
"""Of `[central]`: Dana says which bundle is to be served."""


@pytest.fixture
def bundles() -> Iterator[BundleHost]:
    """A server that has the old bundle."""
    with bundle_host() as host:
        host.body = pack(OLD)
        yield host


def release(fleet: Fleet, version: int, files: dict[str, bytes]) -> bytes:
    """Dana says that a bundle is to be served."""
    received = receive(files, keys=(), key_id="", where="here")
    announced = BundleAnnounced(
        issuer="dana",
        version=version,
        issued=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        revision=received.bundle.manifest.revision,
        digest=received.digest,
    )
    return sign_announced(announced, fleet.key)


def serving(fleet: Fleet, bundles: BundleHost, store: str = "", poll: float = POLL_SECONDS) -> Guard:
    """A guard that fetches bundles of this server, which it looks at when it is told to."""
    (fleet.root / "k1.pub").write_text(KEY.key)
    policy = (
        f'[policy]\nbundle = "{bundles.url}"\npoll_seconds = 3600.0\n'
        f'[[policy.key]]\nid = "k1"\nalgorithm = "ES256"\nkey = "{fleet.root}/k1.pub"\n'
    )
    return fleet.guard("a", store, poll=poll, central=SERVES, more=policy)


def test_the_bundle_that_is_announced_is_fetched_verified_and_served_at_once(fleet: Fleet, bundles: BundleHost) -> None:
    """A newer one that the server has is not taken before; nobody waits for the next look at the server."""
    announce(fleet, release(fleet, 1, OLD), "bundle")
    with serving(fleet, bundles, poll=SELDOM_SECONDS) as guard:
        assert guard.engine.rules.revision == revision_of(OLD)
        bundles.body = pack(NEW)
        hurry(guard.engine)
        assert until(lambda: bundles.statuses.count(200) >= 2)
        assert guard.engine.rules.revision == revision_of(OLD)
        assert refusal(guard.engine) == ""
        announce(fleet, release(fleet, 2, NEW), "bundle")
        assert until(lambda: guard.engine.rules.revision == revision_of(NEW))
        assert stands(guard).behind == ""
        assert _said(guard, "central_bundle") == [(1, "dana"), (2, "dana")]


def test_an_announcement_lets_no_bundle_in_that_its_key_has_not_signed(fleet: Fleet, bundles: BundleHost) -> None:
    """Which bundle is served, people say; whether it is one, the signature of the bundle does."""
    forged = signed(members("1.1.0", NOW + 10, stricter), key=ec.generate_private_key(ec.SECP256R1()))
    announce(fleet, release(fleet, 1, OLD), "bundle")
    with serving(fleet, bundles) as guard:
        bundles.body = pack(forged)
        announce(fleet, release(fleet, 2, forged), "bundle")
        assert until(lambda: "its signature is not one of the key" in refusal(guard.engine))
        assert guard.engine.rules.revision == revision_of(OLD)
        assert "is announced, and" in stands(guard).behind


def test_an_announcement_that_was_put_back_changes_nothing(
    postgres: Cluster, fleet: Fleet, bundles: BundleHost
) -> None:
    """Neither the announcement nor the bundle goes back to an older one."""
    announce(fleet, release(fleet, 2, NEW), "bundle")
    bundles.body = pack(NEW)
    with serving(fleet, bundles) as guard:
        quietly(postgres, fleet.store, "delete from guardrail.announced")
        bring(postgres, fleet, release(fleet, 1, OLD), "bundle")
        bundles.body = pack(OLD)
        assert until(lambda: "the centre was put back" in stands(guard).not_taken)
        hurry(guard.engine)
        assert until(lambda: bundles.statuses.count(200) >= 2)
        assert guard.engine.rules.revision == revision_of(NEW)


def test_while_the_way_is_cut_the_last_good_bundle_serves_on(fleet: Fleet, bundles: BundleHost, wire: Wire) -> None:
    """Also after the guard was opened again, and while the server has another one that is not announced here yet."""
    announce(fleet, release(fleet, 1, OLD), "bundle")
    serving(fleet, bundles, wire.url(fleet.store)).close()
    wire.cut()
    bundles.body = pack(NEW)
    with serving(fleet, bundles, wire.url(fleet.store)) as guard:
        assert guard.engine.rules.revision == revision_of(OLD)
        announce(fleet, release(fleet, 2, NEW), "bundle")
        assert stands(guard).behind == ""
        wire.mend()
        assert until(lambda: guard.engine.rules.revision == revision_of(NEW))


def test_a_guard_that_is_told_which_bundle_to_serve_starts_with_no_other(fleet: Fleet, bundles: BundleHost) -> None:
    """Nothing announced, or something that the server does not have: one sentence, and no guard."""
    with pytest.raises(ConfigError, match="no bundle was ever announced to this guard"):
        serving(fleet, bundles)
    announce(fleet, release(fleet, 1, NEW), "bundle")
    with pytest.raises(ConfigError, match="is not the one that is announced at the centre"):
        serving(fleet, bundles)


# ── people ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_people_sign_publish_and_see_what_is_announced(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line makes both kinds, refuses a version that is not higher, and says what is announced."""
    people = fleet.config("people", fleet.store, central=f"{TAKES}\n{SERVES}", more=_keyed(fleet))
    key = fleet.root / "dana.key"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(fleet.key.private_bytes(*form))
    key.chmod(0o600)
    (fleet.root / "more.toml").write_text('[[asset]]\nid = "model:gamma"\nclass = "weights"\npaths = ["/srv/g"]\n')
    archive(fleet.root / "bundle.tar.gz", OLD)

    def central(*words: str) -> int:
        return main(["central", *words, "--config", str(people)])

    def sign(verb: str, what: str, out: str, version: int) -> int:
        return central(
            verb, str(fleet.root / what), "--number", str(version), "--key", str(key), "--out", str(fleet.root / out)
        )

    assert sign("sign-inventory", "more.toml", "one.inventory.json", 4) == 0
    assert sign("sign-bundle", "bundle.tar.gz", "one.bundle.json", 2) == 0
    assert sign("sign-bundle", "bundle.tar.gz", "one.json", 2) == 2
    files = [str(fleet.root / f"one.{kind}.json") for kind in ("inventory", "bundle")]
    assert central("publish", *files) == 0
    assert central("publish", *files) == 0
    assert sign("sign-inventory", "more.toml", "two.inventory.json", 4) == 0
    capsys.readouterr()
    assert sign("sign-inventory", "more.toml", "three.inventory.json", 3) == 0
    assert central("publish", str(fleet.root / "three.inventory.json")) == 1
    assert "the centre has version 4" in capsys.readouterr().out
    assert central("show") == 0
    shown = capsys.readouterr().out
    assert "inventory 4 is announced by dana, 1 assets" in shown
    assert f"bundle 2 is announced by dana, `{revision_of(OLD)}`" in shown
    assert TakeUp(load(people), keep=False).inventory is None


def _keyed(fleet: Fleet) -> str:
    (fleet.root / "k1.pub").write_text(KEY.key)
    return f'{POLICY}\n[[policy.key]]\nid = "k1"\nalgorithm = "ES256"\nkey = "{fleet.root}/k1.pub"\n'


def test_assets_that_are_announced_are_listed_by_the_command_line(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    """From what the guard has kept, also while nobody answers."""
    announce(fleet, inventory(fleet, 1, "gamma"))
    fleet.guard("a", central=TAKES).close()
    assert main(["assets", "list", "--json", "--config", str(fleet.root / "a.toml")]) == 0
    assert {row["id"] for row in json.loads(capsys.readouterr().out)} == {"model:beta", "model:gamma"}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('inventory_by = ["eve"]', "`central.inventory_by` has `eve`, who is no"),
        ('bundle_by = ["dana"]', "`central.bundle_by` needs `policy.bundle`"),
    ],
)
def test_announcements_that_cannot_be_meant_are_refused(fleet: Fleet, lines: str, why: str) -> None:
    """A configuration that could take up nothing does not load."""
    with pytest.raises(ConfigError, match=why):
        load(fleet.config("a", fleet.store, central=lines))


@pytest.mark.parametrize(
    ("version", "assets", "why"),
    [
        (0, (), "its version must be a number from 1 on"),
        (1, (AssetConfig(id="x", asset_class="weights", paths=("here",)),), "is a relative path"),
    ],
)
def test_an_inventory_that_means_another_thing_at_each_guard_is_not_signed(
    fleet: Fleet, version: int, assets: tuple[AssetConfig, ...], why: str
) -> None:
    """It would be refused everywhere, so nobody signs it."""
    with pytest.raises(ConfigError, match=why):
        inventory(fleet, version, assets=assets)
