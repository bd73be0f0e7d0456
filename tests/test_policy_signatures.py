"""Bundles as OPA signs them: what `opa` signed verifies here, what we make verifies there, and nothing else does."""

from __future__ import annotations

import base64
import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.cli import main
from guardrail.errors import ConfigError
from guardrail.policy._opa_binary import Opa
from guardrail.policy.bundles._archive import MAX_UNPACKED_BYTES, pack, read_directory, unpack
from guardrail.policy.bundles._make import Signing, wasm_bundle, write_bundle
from guardrail.policy.bundles._make import signed as signed_by_opa
from guardrail.policy.bundles._read import receive
from guardrail.policy.bundles._signature import SIGNATURES, VerificationKey, digest, verify
from tests.bundle_support import EC_KEY, NOW, RSA_KEY, jws, members, private, public, signed
from tests.policy_support import POLICIES, find_opa

KEY = VerificationKey(id="k1", algorithm="ES256", key=public(EC_KEY))
SECRET = "a secret of some length"


@pytest.fixture
def opa() -> Opa:
    """The real one."""
    return find_opa()


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    """A signed bundle."""
    return signed(members())


def check(files: dict[str, bytes], key: VerificationKey = KEY, key_id: str = "") -> Any:
    """Verify, with one key."""
    return verify(files, keys=[key], key_id=key_id, where="it")


# ── what OPA signed verifies here ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("ES256", EC_KEY), ("RS256", RSA_KEY), ("PS384", RSA_KEY), ("RS512", RSA_KEY), ("HS256", None), ("HS512", None)],
)
def test_what_opa_signed_verifies_here(opa: Opa, tmp_path: Path, algorithm: str, key: Any) -> None:
    """`opa sign` with each kind of key; one changed byte of any member is refused."""
    place = tmp_path / "key.pem"
    if key is not None:
        place.write_bytes(private(key))
    signing = Signing(key=SECRET if key is None else str(place), algorithm=algorithm, key_id="k1", scope="prod")
    files = signed_by_opa(members(), opa, signing, NOW)
    known = VerificationKey(id="k1", algorithm=algorithm, key=SECRET if key is None else public(key), scope="prod")
    found = check(files, known)
    assert (found.key, found.issued) == ("k1", NOW)
    for name in set(files) - {SIGNATURES}:
        changed = files[name].replace(b"e", b"f", 1)
        with pytest.raises(ConfigError, match="is not the file that was signed|is not JSON"):
            check({**files, name: changed}, known)


def test_what_opa_build_signed_is_started_here(opa: Opa, tmp_path: Path) -> None:
    """`opa build --signing-key`, the other way to a signed bundle, from our sources with the rules described."""
    stage = tmp_path / "stage"
    shutil.copytree(POLICIES / "guardrail", stage / "guardrail", ignore=shutil.ignore_patterns("*_test.rego"))
    shutil.copy(POLICIES / "data.json", stage)
    built = {
        name: (POLICIES / name).read_bytes() for name in ("build/policy.wasm", "build/data.json", "build/manifest.json")
    }
    described = orjson.loads(wasm_bundle(built, NOW)[".manifest"])
    (stage / ".manifest").write_bytes(orjson.dumps({k: described[k] for k in ("roots", "rego_version", "metadata")}))
    (tmp_path / "key.pem").write_bytes(private(EC_KEY))
    opa.run(
        *("build", "--target", "wasm", "--bundle", ".", "--entrypoint", "guardrail/main/decision", "--prune-unused"),
        *("--capabilities", str(POLICIES / "capabilities.json"), "--revision", described["revision"]),
        *("--output", "../out.tar.gz", "--signing-key", "../key.pem", "--signing-alg", "ES256"),
        *("--verification-key-id", "k1"),
        cwd=stage,
    )
    files = unpack((tmp_path / "out.tar.gz").read_bytes(), "it")
    received = receive(files, keys=[KEY], key_id="", where="it")
    assert (received.key, received.issued) == ("k1", NOW)
    from guardrail.policy._wasm import WasmEngine

    WasmEngine(received.bundle, memory_bytes=64 * 1024 * 1024).close()
    with pytest.raises(ConfigError, match="was not signed"):
        receive({**files, "guardrail/more.rego": b"package x"}, keys=[KEY], key_id="", where="it")


def test_what_we_make_verifies_in_opa(opa: Opa, tmp_path: Path) -> None:
    """`guardrail policy build --rego-bundle`, verified and evaluated by `opa` itself, which refuses a changed one."""
    root = tmp_path / "policies"
    shutil.copytree(POLICIES, root)
    (tmp_path / "key.pem").write_bytes(private(EC_KEY))
    (tmp_path / "key.pub").write_text(public(EC_KEY))
    made = tmp_path / "rego.tar.gz"
    done = main(
        [
            *(
                "policy",
                "build",
                "--root",
                str(root),
                "--rego-bundle",
                str(made),
                "--bundle",
                str(tmp_path / "w.tar.gz"),
            ),
            *(
                "--signing-key",
                str(tmp_path / "key.pem"),
                "--signing-alg",
                "ES256",
                "--key-id",
                "k1",
                "--scope",
                "prod",
            ),
        ]
    )
    assert done == 0

    def build(scope: str = "prod") -> subprocess.CompletedProcess[str]:
        """`opa build` verifies what it reads."""
        return subprocess.run(
            [
                *(opa.path, "build", "--bundle", "rego.tar.gz", "--verification-key", "key.pub"),
                *("--signing-alg", "ES256", "--verification-key-id", "k1", "--scope", scope),
                *("--output", "again.tar.gz"),
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    verified = build()
    assert verified.returncode == 0, verified.stderr
    assert build("test").returncode != 0
    files = unpack(made.read_bytes(), "it")
    write_bundle(made, {**files, "data.json": files["data.json"].replace(b'"deny"', b'"allow"', 1)})
    refused = build()
    assert refused.returncode != 0
    assert "digest mismatch" in refused.stdout + refused.stderr
    ours = unpack((tmp_path / "w.tar.gz").read_bytes(), "it")
    assert check(ours, VerificationKey(id="k1", algorithm="ES256", key=public(EC_KEY), scope="prod")).key == "k1"


@settings(max_examples=15)
@given(
    value=st.dictionaries(
        st.text(max_size=6),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_the_digest_of_any_json_is_opas(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Numbers as written, keys in order, every character escaped as Go does it: compared with `opa sign`."""
    text = json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    stage = tmp_path_factory.mktemp("digest")
    (stage / "data.json").write_bytes(text)
    opa = find_opa()
    opa.run("sign", "--bundle", ".", "--signing-key", SECRET, "--signing-alg", "HS256", cwd=stage)
    token = json.loads((stage / SIGNATURES).read_bytes())["signatures"][0].split(".")[1]
    listed = json.loads(base64.urlsafe_b64decode(token + "=="))["files"]
    assert listed == [{"name": "data.json", "hash": digest("data.json", text), "algorithm": "SHA-256"}]


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unsigned_bundle_is_refused_where_there_is_a_key() -> None:
    """OPA itself lets one pass unless it was told a key id."""
    with pytest.raises(ConfigError, match="it is not signed"):
        check(members())


def test_a_signature_by_an_unknown_key_is_refused(good: dict[str, bytes]) -> None:
    """By id first; and the right id with another key does not verify."""
    with pytest.raises(ConfigError, match=r"signed with the key `k2`, and no `\[\[policy\.key\]\]` has that id"):
        check(signed(members(), key_id="k2"))
    other = VerificationKey(id="k1", algorithm="RS256", key=public(RSA_KEY))
    with pytest.raises(ConfigError, match="not one of the key `k1`"):
        check(good, other)
    with pytest.raises(ConfigError, match="no `.*` has that id"):
        check(good, key_id="k9")


def test_the_token_does_not_choose_its_algorithm(good: dict[str, bytes]) -> None:
    """A token that says `none`, or HS256 with the public key as the secret, is not verified that way."""
    import hashlib
    import hmac

    payload = {"files": [], "scope": ""}
    head, body = (
        base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode()
        for part in ({"alg": "HS256", "kid": "k1"}, payload)
    )
    mac = hmac.new(KEY.key.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for token in (forged, f"{head}.{body}."):
        with pytest.raises(ConfigError, match="not one of the key"):
            check({**good, SIGNATURES: orjson.dumps({"signatures": [token]})})


def with_payload(change: Callable[[Any], None]) -> dict[str, bytes]:
    """A bundle whose payload was changed before it was signed, by the right key."""
    files = members()
    token = orjson.loads(signed(files)[SIGNATURES])["signatures"][0].split(".")[1]
    payload = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    change(payload)
    text = orjson.dumps({"signatures": [jws(payload, {"alg": "ES256", "kid": "k1"})]})
    return {**files, SIGNATURES: text}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.update(scope="other"), "signed for the scope `other`"),
        (lambda p: p["files"].pop(), "is in it and was not signed"),
        (lambda p: p["files"].append({"name": "x", "hash": "00", "algorithm": "SHA-256"}), "`x` was signed and is not"),
        (lambda p: p["files"].append(p["files"][0]), "lists a file twice"),
        (lambda p: p["files"][0].update(algorithm="MD5"), "is by `MD5`"),
        (lambda p: p["files"][0].update(algorithm=""), "is by ``"),
        (lambda p: p.pop("files"), "no compact JWS"),
    ],
)
def test_a_payload_that_is_not_exactly_right_is_refused(change: Callable[[Any], None], why: str) -> None:
    """Scope, every member, every digest, and SHA-2 only, though OPA takes MD5."""
    with pytest.raises(ConfigError, match=why):
        check(with_payload(change))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b'{"signatures":[]}', b'{"signatures":["a.b.c","a.b.c"]}', b'{"signatures":["a.b"]}',
        b'{"signatures":["a.b.c"],"plugin":"mine"}', b'{"signatures":["!.?.*"]}', b'{"signatures":[""],"x":1}',
        b'{"signatures":["e30.e30."]}', b'{"signatures":["W10.e30.AA"]}', b"\xff",
    ],
)  # fmt: skip
def test_a_signature_that_is_none_is_refused(good: dict[str, bytes], text: bytes) -> None:
    """Whatever stands in `.signatures.json`, it is one sentence."""
    with pytest.raises(ConfigError, match="the policy bundle `it` is refused"):
        check({**good, SIGNATURES: text})


def test_members_that_opa_lets_pass_unsigned_are_refused(good: dict[str, bytes]) -> None:
    """A name that ends in `signatures.json`, and a delta."""
    for name in ("x/signatures.json", "patch.json"):
        with pytest.raises(ConfigError, match=f"`{name}` is in it and was not signed"):
            check({**good, name: b"{}"})


def test_white_space_is_free_and_a_doubled_key_is_not(good: dict[str, bytes]) -> None:
    """The digest is over the parsed JSON; of two equal keys readers may take either, so there may be only one."""
    check({**good, "data.json": orjson.dumps(orjson.loads(good["data.json"]), option=orjson.OPT_INDENT_2)})
    doubled = b'{"guardrail":{},' + good["data.json"][1:]
    with pytest.raises(ConfigError, match="`data.json` is not JSON"):
        check({**good, "data.json": doubled})


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [("ES256", "nothing"), ("ES384", public(EC_KEY)), ("RS256", public(EC_KEY)), ("ES256", public(RSA_KEY))],
)
def test_a_key_that_is_not_one_for_its_algorithm_is_refused(good: dict[str, bytes], algorithm: str, text: str) -> None:
    """Said of the configuration, when it is read."""
    with pytest.raises(ConfigError, match=r"the key `k1` in `\[\[policy\.key\]\]`"):
        check(good, VerificationKey(id="k1", algorithm=algorithm, key=text))


# ── archives ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    """From members to bytes, the same each time, and back; also out of a directory."""
    files = members()
    assert pack(files) == pack(dict(reversed(files.items())))
    assert unpack(pack(files), "it") == files
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert read_directory(tmp_path) == files


def tarball(*entries: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """An archive with any names."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "truncated"),
        (b"no gzip", "no gzip archive"),
        (gzip.compress(b""), "no tar archive"),
        (tarball(), "is empty"),
        (gzip.compress(b"not a tar" * 100), "no tar archive"),
        (pack({"a": b"1" * 5000})[:-20], "truncated"),
        (pack({"a": b"1"}) + b"more", "goes on behind its end"),
        (tarball(("../a", b"1")), "name `'../a'`"),
        (tarball(("a/../../b", b"1")), "a member with the name"),
        (tarball(("a\n", b"1")), "a member with the name"),
        (tarball(("a", b"1"), ("/a", b"2")), "two members `a`"),
        (tarball(("a", b""), kind=tarfile.SYMTYPE), "no plain file"),
        (tarball(("a", b""), kind=tarfile.LNKTYPE), "no plain file"),
        (gzip.compress(b"\0" * (MAX_UNPACKED_BYTES + 1)), "unpacks to more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",  # what is packed has the time in it
)
def test_an_archive_that_is_not_one_is_refused(content: bytes, why: str) -> None:
    """Truncated, climbing, doubled, linked, or a bomb: refused before anything in it is looked at."""
    with pytest.raises(ConfigError, match=why):
        unpack(content, "it")


@settings(max_examples=60)
@given(cut=st.integers(0, 4000), flip=st.integers(0, 4000))
def test_no_damaged_archive_is_taken_for_a_whole_one(cut: int, flip: int) -> None:
    """Cut anywhere, or one bit turned: refused, or the very same members."""
    files = {"a": bytes(range(256)) * 8, "b/c.json": b"{}"}
    whole = pack(files)
    for damaged in (whole[: cut % len(whole)], bytes(b ^ (i == flip % len(whole)) for i, b in enumerate(whole))):
        try:
            found = unpack(damaged, "it")
        except ConfigError:
            continue
        assert found == files


# ── what a bundle says ────────────────────────────────────────────────────────────────────────────────────────────────


def altered(change: Callable[[dict[str, bytes]], None]) -> dict[str, bytes]:
    """A bundle that was changed."""
    files = members()
    change(files)
    return files


def manifest(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    """Changes fields of `.manifest`."""

    def change(files: dict[str, bytes]) -> None:
        files[".manifest"] = orjson.dumps({**orjson.loads(files[".manifest"]), **changes})

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: f.pop("policy.wasm"), "no wasm module"),
        (manifest(wasm=[]), "no wasm module"),
        (manifest(metadata={}), "does not describe its rules"),
        (manifest(metadata={"guardrail": {"v": 2, "rules": []}}), "of another version"),
        (manifest(metadata={"guardrail": {"v": 1, "rules": []}}), "has no rules"),
        (manifest(metadata={"guardrail": {"v": 1, "rulez": []}}), "no usable `.manifest`"),
        (manifest(revision=""), "has no revision"),
        (manifest(roots=["other"]), "about more than"),
        (manifest(roots=[""]), "about more than"),
        (lambda f: f.update({"system/data.json": b"{}", "data.json": b'{"system":{}}'}), "about more than"),
        (lambda f: f.update({"guardrail/data.json": b'{"settings":{}}'}), "stands elsewhere too"),
        (lambda f: f.update({"x/data.json": b"[]"}), "no JSON object"),
        (lambda f: f.update({"data.json": b"{"}), "not JSON"),
        (lambda f: f.update({"data.yaml": b""}), "with data in JSON"),
        (lambda f: f.update({"patch.json": b"{}"}), "a whole bundle"),
        (lambda f: f.update({".manifest": b"\xff"}), "no usable `.manifest`"),
        (lambda f: f.pop(".manifest"), "neither `.manifest` nor"),
    ],
)
def test_a_bundle_that_is_no_policy_of_ours_is_refused(change: Callable[[dict[str, bytes]], None], why: str) -> None:
    """What is missing, of another version, or about more than ours, is said."""
    with pytest.raises(ConfigError, match=why):
        receive(altered(change), keys=(), key_id="", where="it")


def test_a_bundle_cannot_switch_off_what_protects_the_guard() -> None:
    """Whoever signed it."""
    files = members(change=lambda settings: settings["maturity"].update({"guard.tampering": "observe"}))
    with pytest.raises(ConfigError, match=r"gives the rule `guard\.tampering` a maturity, and it always holds"):
        receive(signed(files), keys=[KEY], key_id="", where="it")


def test_a_bundle_needs_no_function_that_this_host_does_not_give(opa: Opa, tmp_path: Path) -> None:
    """A foreign bundle with a clock, the network, chance or the environment in it does not start."""
    from guardrail.policy._wasm import WasmEngine

    for call in (
        "time.now_ns()",
        'http.send({"method": "get", "url": "http://h"})',
        'rand.intn("x", 5)',
        "opa.runtime()",
    ):
        (tmp_path / "p.rego").write_text(f"package guardrail.main\ndecision := {call}\n")
        opa.run("build", "-t", "wasm", "-e", "guardrail/main/decision", "-o", "o.tar.gz", "p.rego", cwd=tmp_path)
        wasm = unpack((tmp_path / "o.tar.gz").read_bytes(), "it")["policy.wasm"]
        received = receive(signed({**members(), "policy.wasm": wasm}), keys=[KEY], key_id="", where="it")
        with pytest.raises(ConfigError, match="needs functions that this host does not give"):
            WasmEngine(received.bundle, memory_bytes=64 * 1024 * 1024)
