"""What is left at an address is asked of the store, and what nobody can be asked about is not gone."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guardrail.config import parse
from guardrail.errors import ConfigError
from guardrail.obligations._events import Terms
from guardrail.obligations.world import _s3
from guardrail.obligations.world._lookback import LOOK_BACK_US, Lookback, first_since
from guardrail.obligations.world._s3 import S3Store, authorization
from guardrail.obligations.world._stores import MlflowRegistry, stores_of
from tests.duty_support import AGENT, Retirement, duty_of, only
from tests.s3_simulator import Bucket, serving

ADDRESS = "s3://models/beta/w.bin"


def held(bucket: Bucket, environment: dict[str, str] | None = None) -> tuple[str, str]:
    """What the store says of the address."""
    with serving(bucket) as url:
        found = S3Store(url, "eu-test-1", environment or {}).holds(ADDRESS)
    return found.result, "; ".join(found.says)


def test_an_object_that_is_there_is_there_and_so_is_what_keeps_it(tmp_path: Path) -> None:
    """Legal hold, retention and replication are told with it."""
    bucket = Bucket(versioned=False)
    locks = {"x_amz_object_lock_legal_hold": "ON", "x_amz_object_lock_retain_until_date": "2030-01-01"}
    bucket.put("beta/w.bin", x_amz_replication_status="COMPLETED", **locks)
    result, says = held(bucket)
    assert result == "present"
    assert all(word in says for word in ("still there", "legal hold", "locked until 2030-01-01", "replicated"))


def test_a_delete_marker_hides_a_version_and_frees_nothing() -> None:
    """Only when every version is gone is the object."""
    bucket = Bucket()
    for _ in range(5):
        bucket.put("beta/w.bin")
    bucket.put("beta/w.binary")
    bucket.delete("beta/w.bin")
    assert held(bucket) == ("present", f"`{ADDRESS}`: 5 versions are kept: `beta/w.bin`")
    for number in range(1, 6):
        bucket.delete("beta/w.bin", f"v{number}")
    assert held(bucket)[0] == "absent"


def test_an_upload_that_was_never_finished_holds_what_was_sent() -> None:
    """And what lies below a prefix counts, on whichever page it stands."""
    bucket = Bucket()
    bucket.uploads += [("beta/other", "u1"), ("beta/w.bin/part", "u2"), ("beta/w.bin/qart", "u3"), ("beta/w.bin", "u4")]
    assert held(bucket)[1].startswith(f"`{ADDRESS}`: 3 unfinished uploads hold parts of it")


def test_requests_are_signed_as_the_published_example_is() -> None:
    """AWS's own vector, and a store that refuses any other signature."""
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-amz-date": "20130524T000000Z",
    }
    key = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
    signature = authorization("GET", "/test.txt", "", headers, *key).rpartition("=")[2]
    assert signature == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    bucket = Bucket(key="AK", secret="s3cr3t")
    bucket.put("beta/w.bin")
    keys = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    assert held(bucket, keys)[0] == "present"
    for wrong in ({}, {**keys, "AWS_SECRET_ACCESS_KEY": "other"}):
        assert held(bucket, wrong)[0] == "unknown"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"HEAD": (403, b"")}, "HEAD answered 403"),
        ({"versions": (403, b"")}, "listing its versions answered 403"),
        ({"uploads": (501, b"")}, "listing its uploads answered 501"),
        ({"versions": (200, b"<html")}, "not XML: is it an object store?"),
        ({"versions": (200, b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')}, "not XML as an object store writes it"),
        ({"versions": (200, b"<L><IsTruncated>true</IsTruncated></L>")}, "the list of its versions has no end"),
        ({"versions": (200, b" " * 5000)}, "more than 4000 bytes"),
        ({"HEAD": (302, b"")}, "HEAD answered 302"),
    ],
)
def test_a_store_that_does_not_answer_properly_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, tuple[int, bytes]], said: str
) -> None:
    """Refusals, odd answers and endless lists: it is not known, and the reason is told."""
    monkeypatch.setattr(_s3, "MAX_ANSWER_BYTES", 4000)
    bucket = Bucket()
    bucket.answers.update(answers)
    result, says = held(bucket)
    assert (result, said in says) == ("unknown", True), says


def test_an_address_that_is_no_object_and_a_store_that_is_not_there_prove_nothing() -> None:
    """Nobody answers, or nothing could."""
    nobody = S3Store("http://127.0.0.1:9", "r", {})
    assert nobody.holds(ADDRESS).result == nobody.holds("s3://models").result == "unknown"
    with serving(Bucket()) as url:
        assert S3Store(url, "r", {}).holds("s3://elsewhere/w").result == "unknown"


@contextmanager
def mlflow(code: int, body: Any) -> Iterator[str]:
    """A registry that gives one answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            """Nothing on the terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "body", "result"),
    [
        (200, {"model_version": {"version": "3"}}, "present"),
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such version"}, "absent"),
        (404, {"message": "no such page"}, "unknown"),
        (404, "nothing", "unknown"),
        (403, {}, "unknown"),
        (200, {}, "unknown"),
    ],
)
def test_a_model_version_is_gone_only_if_the_registry_says_so_itself(code: int, body: Any, result: str) -> None:
    """Any server answers 404 to what it does not know."""
    with mlflow(code, body) as url:
        assert MlflowRegistry(url, {}).holds("mlflow:beta/3").result == result
    assert MlflowRegistry("http://127.0.0.1:9", {}).holds("mlflow:beta/3").result == "unknown"


def test_an_asset_with_files_and_addresses_is_gone_when_all_of_them_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files first, then the object, then its version, then the registry entry."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    bucket = Bucket()
    bucket.put("beta/w.bin")
    registry: dict[str, Any] = {"model_version": {"version": "3"}}
    place = Retirement(tmp_path / "place")
    uris = f'uris = ["{ADDRESS}", "mlflow:beta/3"]'
    text = place.toml.read_text().replace('model = "acme/beta"', f'model = "acme/beta"\n{uris}')
    with serving(bucket) as url:
        for answer in ((200, registry), (404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})):
            with mlflow(*answer) as server:
                places = f'[obligations]\ns3_url = "{url}"\nmlflow_url = "{server}"'
                place.toml.write_text(text.replace("[obligations]", places))
                with place.guard() as guard:
                    guard.begin(AGENT)
                    if place.model.exists():
                        place.delete(guard)
                        status = only(guard.settle())
                        assert any("still there" in line for line in status.evidence)
                        assert any("still registered" in line for line in status.evidence)
                        bucket.delete("beta/w.bin")
                        assert any("1 versions are kept" in line for line in only(guard.settle()).evidence)
                        bucket.delete("beta/w.bin", "v1")
                    status = only(guard.settle())
                    assert (status.state == "met") is (answer[0] == 404)
                    if answer[0] == 404:
                        guard.settle()
                        assert duty_of(guard).stage == "discharged"


def test_an_object_without_files_is_owed_until_the_store_says_that_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a deletion was released there is no evidence; where nobody can be asked it is never proven."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    bucket = Bucket()
    bucket.put("beta/w.bin")
    place = Retirement(tmp_path / "place")
    plain = place.toml.read_text().replace('paths = ["models/beta"]', f'uris = ["{ADDRESS}"]')
    with serving(bucket) as url:
        place.toml.write_text(plain.replace("[obligations]", f'[obligations]\ns3_url = "{url}"'))
        with place.guard() as guard:
            guard.begin(AGENT)
            assert only(guard.settle()).state == "unmet"
            bucket.versions.clear()
            assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]


def test_on_a_persons_word_the_guard_deletes_in_the_store_what_was_ordered_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every version, every marker and every unfinished upload; not what is held, nor an address that came later."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    bucket = Bucket()
    for _ in range(3):
        bucket.put("beta/w.bin")
    bucket.delete("beta/w.bin")
    bucket.put("beta/w.bin/held", x_amz_object_lock_legal_hold="ON")
    for key in ("beta/w.binary", "other"):
        bucket.put(key)
    bucket.uploads += [("beta/w.bin", "u1"), ("other", "u2")]
    place = Retirement(tmp_path / "place")
    text = place.toml.read_text().replace('paths = ["models/beta"]', f'uris = ["{ADDRESS}"]')
    with serving(bucket) as url:
        text = text.replace("[obligations]", f'[obligations]\ns3_url = "{url}"')
        place.toml.write_text(text)
        with place.guard() as guard:
            guard.begin(AGENT)
        place.toml.write_text(text.replace(f'"{ADDRESS}"', f'"{ADDRESS}", "s3://models/other"'))
        place.word()
        with place.guard() as guard:
            guard.begin(AGENT)
            guard.settle()
            known = duty_of(guard)
            assert known.left == ("version `v5` of `s3://models/beta/w.bin/held` was left: DELETE answered 403",)
            assert {key for key, _, _ in bucket.versions} == {"beta/w.bin/held", "beta/w.binary", "other"}
            assert bucket.uploads == [("other", "u2")]
        events = place.events()
        assert events.index("erasing") < events.index("erased")
        bucket.headers["beta/w.bin/held"] = {}
        place.toml.write_text(text)
        with place.guard() as guard:
            guard.settle()
            for _ in range(2):
                guard.settle()
            # The address that came later is still to be looked at, and nobody has deleted anything there.
            assert (duty_of(guard).stage, bucket.head("other")) == ("attempted", True)
            bucket.delete("other", "v7")
            bucket.uploads.clear()
            assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]


def test_a_store_is_asked_only_where_the_configuration_names_it() -> None:
    """With an address that can be one."""
    assert stores_of(parse("")) == ()
    found = stores_of(parse('[obligations]\ns3_url = "https://s3.example"\nmlflow_url = "http://mlflow.example"'))
    assert [store.owns(ADDRESS) for store in found] == [True, False]
    for wrong in ('s3_url = "s3.example"', 'mlflow_url = "http://u:p@h"', 'roots = ["/srv/*"]', "compare_bytes = 0"):
        with pytest.raises(ConfigError, match="obligations"):
            parse(f"[obligations]\n{wrong}")


@pytest.mark.parametrize("when", ["before", "allowed", "elsewhere"])
def test_where_a_call_took_it_is_read_from_the_trail_and_asked_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """No sweep of this host finds it; it is gone from there when the store says so, or allowed by the order."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    bucket = Bucket(versioned=False)
    bucket.put("kept/w.bin")
    place = Retirement(tmp_path / "place")
    target = "s3://models/kept/w.bin"
    sending = {"effects": ["copy", "net_send"], "assets": ["model:beta"], "targets": ["s3://models/kept/*"]}
    deleting = {"effects": ["delete"], "assets": ["model:beta"]}
    with serving(bucket) as url:
        if when != "elsewhere":
            text = place.toml.read_text().replace("[obligations]", f'[obligations]\ns3_url = "{url}"')
            place.toml.write_text(text)
        place.order(id="send", grants=[sending], obligations=[])
        with place.guard() as guard:
            guard.run(place.bash(f"aws s3 cp models/beta/{place.shards[0].name} {target}"), lambda _: None)
            place.order(grants=[deleting, *([sending] if when == "allowed" else [])])
            guard.begin(AGENT)
            place.delete(guard)
            status = only(guard.settle())
            if when == "allowed":
                assert (status.stage, status.kinds) == ("absent_1", ())
                return
            assert (status.stage, status.kinds) == ("effect_seen", ("copied_before",))
            assert any(f"a call took it to `{target}` before" in line for line in status.evidence)
            bucket.delete("kept/w.bin")
            assert only(guard.settle()).stage == ("effect_seen" if when == "elsewhere" else "absent_1")


def test_the_trail_is_read_on_from_where_it_was_read_last(tmp_path: Path) -> None:
    """Before and after the order, of this asset only, and what was denied has gone nowhere."""

    def record(t_us: int, kind: str = "intent", asset: str = "a", op: str = "net_send", to: str = "https://x/y") -> Any:
        return {"kind": kind, "t_us": t_us, "effects": [{"op": op, "asset": asset, "target": to}]}

    order_us = 2 * LOOK_BACK_US
    records = [
        record(1), record(order_us - 1, to="hf://a/b"), record(order_us + 1), record(order_us + 2, "decision"),
        record(order_us + 3, asset="b"), record(order_us + 4, op="read"), record(order_us + 5, to="/local/path"),
    ]  # fmt: skip
    asked: list[int] = []

    def read(first: int) -> Iterator[tuple[int, Any]]:
        asked.append(first)
        yield from list(enumerate(records))[first:]

    terms = Terms(
        id="m/d", mandate="m", issuer="i", subject="s", effect="delete", asset="a", opened_us=order_us, due_us=order_us
    )
    lookback = Lookback(tmp_path, read)
    for _ in range(2):
        found = [(one.kind, one.path) for one in lookback.findings(terms, (), lambda _: False)]
        assert found == [("copied_before", "hf://a/b"), ("copied_during", "https://x/y")]
    assert asked == [0, len(records)]
    assert list(lookback.findings(terms, (), lambda _: True)) == []
    # Segments that ended before the time are not read.
    for number, age in ((0, 100), (7, 1)):
        (tmp_path / f"{number:020}.seg").touch()
        os.utime(tmp_path / f"{number:020}.seg", (order_us / 1e6 - age, order_us / 1e6 - age))
    assert first_since(tmp_path, order_us - 50_000_000) == 7
