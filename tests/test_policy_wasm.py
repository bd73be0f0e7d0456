"""The engine in this process: what it refuses, and what hostile input can and cannot do to it."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import wasmtime
from wasmtime import _func

from guardrail.config import Config, PolicyConfig
from guardrail.errors import ConfigError, EngineFault
from guardrail.policy import PolicyEngine, cache_directory, open_engine
from guardrail.policy._bundle import ENTRYPOINT, Bundle
from guardrail.policy._examples import expand
from guardrail.policy._instance import Compiled, Instance, _Abort
from guardrail.policy._opa_binary import Opa
from guardrail.policy._wasm import WasmEngine
from tests.policy_support import ROOT, ask, bundle, corpus, find_opa

MEMORY = 64 * 1024 * 1024
LARGE = 256 * 1024 * 1024
"""Memory that `hostile()` needs seconds to fill: with less of it the end could be that of the memory."""
CUT_OFF = "interrupt"
"""What a fault says if it was the clock that ended the evaluation."""
PLAIN = orjson.dumps(expand({"op": "read"}))
DENIED = orjson.dumps(expand({"op": "copy", "asset": "model:beta", "target": "/tmp/x"}))


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """The shipped policy."""
    made = WasmEngine(bundle(), memory_bytes=MEMORY)
    yield made
    made.close()


def hostile(size: int = 200) -> bytes:
    """A valid document that takes an engine far longer than a decision may take."""
    mandate = {"effects": ["copy"], "assets": ["*/**/x*y*z*" * 3] * size, "targets": ["**/a*b"] * size}
    effects = [{"op": "copy", "asset": f"a/{i}/x", "target": f"/x/{i}"} for i in range(size)]
    return orjson.dumps(expand({"effects": effects, "mandates": [mandate] * size}))


def within(seconds: float) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def callbacks() -> int:
    """How many functions of ours wasmtime-py keeps."""
    library: Any = _func
    return len(library.FUNCTIONS.handles)


def usable(engine: PolicyEngine) -> bool:
    """Whether the engine still decides rightly."""
    return ask(engine, PLAIN).outcome == "allow" and ask(engine, DENIED).outcome == "deny"


def test_the_fast_call_is_in_use_and_agrees_with_the_public_one(engine: WasmEngine) -> None:
    """Wasmtime's private call gives the same bytes as the public one for every decision of the corpus."""
    assert engine.raw
    fast, public = engine._instance(engine._compiled), engine._instance(engine._compiled)
    public.use_public_call()
    for case in corpus():
        assert fast.evaluate(case.document, 500) == public.evaluate(case.document, 500), case.note


def test_without_the_private_call_the_public_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wasmtime that renames its internals makes decisions slower, and no different."""
    monkeypatch.setattr("guardrail.policy._instance._RawCall.available", lambda: False)
    engine = WasmEngine(bundle(), memory_bytes=MEMORY)
    try:
        assert not engine.raw
        assert usable(engine)
    finally:
        engine.close()


def test_a_private_call_that_answers_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-check at start compares both calls, so a changed meaning is noticed before the first decision."""
    monkeypatch.setattr("guardrail.policy._instance._RawCall.evaluate", lambda *_: 1024)
    engine = WasmEngine(bundle(), memory_bytes=MEMORY)
    try:
        assert not engine.raw
        assert usable(engine)
    finally:
        engine.close()


@pytest.mark.parametrize("text", [b"", b"{", b"null", b"[]", b"1", b"x", b"{} x", b'{"a": "\xff"}', b"[" * 20_000])
def test_input_that_is_no_json_object_is_a_fault(engine: WasmEngine, text: bytes) -> None:
    """OPA's module takes such text for no input and answers all the same; we do not ask it."""
    with pytest.raises(EngineFault):
        engine.decide(text, deadline=within(5))
    assert usable(engine)


def test_an_evaluation_ends_at_its_deadline() -> None:
    """A document that would take far longer is cut off, and the engine is as good as new."""
    engine = WasmEngine(bundle(), memory_bytes=LARGE)
    try:
        with pytest.raises(EngineFault, match=CUT_OFF):
            engine.decide(hostile(), deadline=within(0.5))
        assert usable(engine)
    finally:
        engine.close()


def test_a_deadline_that_has_passed_is_a_fault(engine: WasmEngine) -> None:
    """Nothing is asked that nobody waits for."""
    with pytest.raises(EngineFault, match="had passed"):
        engine.decide(PLAIN, deadline=within(-1))


def test_an_evaluation_stops_at_the_memory_cap() -> None:
    """Many small values need many times their text; at the cap the answer is a fault."""
    engine = WasmEngine(bundle(), memory_bytes=2 * 1024 * 1024)
    try:
        with pytest.raises(EngineFault):
            engine.decide(orjson.dumps({"pad": [1] * 100_000}), deadline=within(10))
        with pytest.raises(EngineFault, match="does not fit"):
            engine.decide(orjson.dumps({"pad": "x" * 4 * 1024 * 1024}), deadline=within(10))
        assert usable(engine)
    finally:
        engine.close()


def test_a_grown_instance_is_not_kept(engine: WasmEngine) -> None:
    """Linear memory never shrinks, so one large call may not cost memory for ever."""
    assert usable(engine)
    kept = engine._local.instance
    assert usable(engine)
    assert engine._local.instance is kept
    engine.decide(orjson.dumps({"pad": [1] * 200_000}), deadline=within(10))
    assert "instance" not in engine._local.__dict__


def test_an_instance_is_not_used_again_after_a_fault(engine: WasmEngine) -> None:
    """Its memory may be in any state."""
    assert usable(engine)
    kept = engine._local.instance
    with pytest.raises(EngineFault):
        engine.decide(hostile(), deadline=within(0.5))
    assert usable(engine)
    assert engine._local.instance is not kept


@pytest.mark.parametrize("public", [False, True])
def test_an_instance_that_is_thrown_away_is_freed(engine: WasmEngine, *, public: bool) -> None:
    """Its memory and its address space too, also after it gave up: what the module may call of us does not hold it."""
    instance = engine._instance(engine._compiled)
    if public:
        instance.use_public_call()
    assert instance.evaluate(PLAIN, 1 << 20)
    host = instance._host
    with pytest.raises(_Abort):
        host.abort(0)
    gone = weakref.ref(instance), weakref.ref(instance._store)
    del instance
    gc.collect()
    assert [one() for one in gone] == [None, None]


def test_engines_that_are_closed_leave_no_callback_behind() -> None:
    """Policies are read anew while a service runs, and each time some instances are made and thrown away."""
    gc.collect()
    before = callbacks()
    for _ in range(3):
        WasmEngine(bundle(), memory_bytes=MEMORY).close()
    gc.collect()
    assert callbacks() <= before


def test_threads_do_not_share_an_instance(engine: WasmEngine) -> None:
    """Many threads at once get the answers that one would get."""
    cases = corpus()
    wrong: list[str] = []

    def work() -> None:
        wrong.extend(case.note for case in cases if ask(engine, case.document).outcome != case.outcome)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


async def test_coroutines_get_the_same_answers(engine: WasmEngine) -> None:
    """Small documents are decided at once and large ones in a thread; the answers are those of `decide`."""
    large = orjson.dumps(expand({"effects": [{"op": "read"}] * 200}))
    answers = await asyncio.gather(*(engine.adecide(text, deadline=within(10)) for text in (PLAIN, DENIED, large)))
    assert [orjson.loads(ruling.answer)["outcome"] for ruling in answers] == ["allow", "deny", "allow"]


def test_a_closed_engine_answers_nothing() -> None:
    """Closing cannot be undone by asking."""
    engine = WasmEngine(bundle(), memory_bytes=MEMORY)
    engine.close()
    with pytest.raises(EngineFault, match="closed"):
        engine.decide(PLAIN, deadline=within(5))


def test_a_deadline_holds_after_a_fork() -> None:
    """Threads do not survive a fork; without a new clock a child would evaluate for as long as it takes."""
    script = """
import os, sys, time, warnings
warnings.simplefilter("ignore")  # CPython 3.12 warns of forking with threads, which is what this is about
from tests.policy_support import bundle
from tests.test_policy_wasm import CUT_OFF, LARGE, hostile
from guardrail.errors import EngineFault
from guardrail.policy._wasm import WasmEngine
engine = WasmEngine(bundle(), memory_bytes=LARGE)
document = hostile()
child = os.fork()
if child == 0:
    code = 1
    try:
        engine.decide(document, deadline=time.monotonic() + 0.5)
    except EngineFault as error:
        code = 0 if CUT_OFF in str(error) else 2
    os._exit(code)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on address space")
def test_an_engine_starts_under_a_limit_on_address_space() -> None:
    """Where an instance's usual 4 GiB cannot be reserved, a smaller and slower one is used."""
    script = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from tests.policy_support import bundle
from guardrail.policy._wasm import WasmEngine
engine = WasmEngine(bundle(), memory_bytes=16 << 20)
from tests.test_policy_wasm import usable
print(engine.small_reservation, usable(engine))
"""
    environment = {**os.environ, "XDG_CACHE_HOME": "", "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False, capture_output=True, env=environment
    )
    assert (done.returncode, done.stdout.decode().split()) == (0, ["True", "True"]), done.stderr.decode()


# ── modules that are refused ──────────────────────────────────────────────────────────────────────────────────────────


def module(tmp_path: Path, opa: Opa, rego: str) -> Bundle:
    """A bundle with a policy of our own in it."""
    import tarfile

    (tmp_path / "p.rego").write_text(rego)
    opa.run("build", "-t", "wasm", "-e", "guardrail/main/decision", "-o", "o.tar.gz", "p.rego", cwd=tmp_path)
    with tarfile.open(tmp_path / "o.tar.gz") as archive:
        stream = archive.extractfile("/policy.wasm")
        assert stream is not None
        return msgspec.structs.replace(bundle(), wasm=stream.read(), data=b"{}")


def test_a_policy_that_needs_host_functions_is_refused(tmp_path: Path) -> None:
    """Text made by rules would be slow and could be forged; the build forbids it, and the host gives nothing."""
    rego = 'package guardrail.main\ndecision := sprintf("%v", [input])'
    with pytest.raises(ConfigError, match="needs functions that this host does not give: sprintf"):
        WasmEngine(module(tmp_path, find_opa(), rego), memory_bytes=MEMORY)


def test_a_policy_that_is_undefined_for_some_input_is_refused(tmp_path: Path) -> None:
    """An entrypoint without a default would answer nothing, one day."""
    rego = "package guardrail.main\ndecision := 1 if input.subject"
    with pytest.raises(ConfigError, match="undefined for some input"):
        WasmEngine(module(tmp_path, find_opa(), rego), memory_bytes=MEMORY)


def test_a_policy_that_does_not_do_what_its_examples_say_is_refused(tmp_path: Path) -> None:
    """A policy that allows everything has the right form, and fails its first positive example."""
    rego = 'package guardrail.main\ndecision := {"outcome": "allow", "hits": [], "revision": "x"} if not input.nothing'
    with pytest.raises(ConfigError, match="does not answer its example number 1"):
        WasmEngine(module(tmp_path, find_opa(), rego), memory_bytes=MEMORY)


@pytest.mark.parametrize("wasm", [b"", b"\0asm\1\0\0\0", b"not wasm", b"(module"])
def test_bytes_that_are_no_policy_are_refused(wasm: bytes) -> None:
    """Neither an empty module nor no module at all is a policy."""
    with pytest.raises(ConfigError, match="cannot be used"):
        WasmEngine(msgspec.structs.replace(bundle(), wasm=wasm), memory_bytes=MEMORY)


def test_a_missing_entrypoint_is_refused(engine: WasmEngine) -> None:
    """Entrypoints are looked up by name, never taken by number."""
    with pytest.raises(EngineFault, match="no entrypoint `guardrail/other`"):
        Instance(engine._compiled, b"{}", "guardrail/other")


def test_data_that_is_no_json_is_refused(engine: WasmEngine) -> None:
    """Rules without their settings must not come up."""
    with pytest.raises(EngineFault, match="data is not JSON"):
        Instance(engine._compiled, b"{", ENTRYPOINT)


def test_a_memory_cap_below_what_the_module_needs_is_refused(engine: WasmEngine) -> None:
    """The cap is a fact of configuration, said at start."""
    with pytest.raises(EngineFault, match="bytes of memory"):
        Compiled(engine._compiled.engine, engine._compiled.module, 1)
    with pytest.raises(ConfigError, match="cannot be used"):
        WasmEngine(bundle(), memory_bytes=1)


# ── the bundle on disk ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A copy of the shipped artefact."""
    for name in ("policy.wasm", "data.json", "manifest.json"):
        (tmp_path / name).write_bytes((ROOT / "policies" / "build" / name).read_bytes())
    return tmp_path


def opened(directory: Path) -> PolicyEngine:
    """The engine for this bundle, as a configuration opens it."""
    return open_engine(Config(policy=PolicyConfig(bundle=str(directory))))


def test_a_configured_bundle_is_opened(built: Path) -> None:
    """`policy.bundle` names a directory; the revision of the engine names its content."""
    engine = opened(built)
    try:
        assert usable(engine)
        assert engine.name == "wasm"
        assert engine.revision.startswith(engine.rules.revision + "/")
    finally:
        engine.close()


def test_the_shipped_bundle_is_opened_without_a_setting() -> None:
    """An empty configuration judges with the policy that ships."""
    engine = open_engine(Config())
    try:
        assert usable(engine)
    finally:
        engine.close()


@pytest.mark.parametrize("name", ["policy.wasm", "data.json", "manifest.json"])
def test_a_missing_file_is_refused(built: Path, name: str) -> None:
    """With a sentence that names it and says what to do."""
    (built / name).unlink()
    with pytest.raises(ConfigError, match=f"neither `.manifest` nor `{name}`; make one with"):
        opened(built)


@pytest.mark.parametrize("name", ["policy.wasm", "data.json"])
def test_one_changed_byte_is_refused(built: Path, name: str) -> None:
    """Module and data are those that the manifest names, or nothing starts."""
    content = bytearray((built / name).read_bytes())
    content[len(content) // 2] ^= 1
    (built / name).write_bytes(content)
    with pytest.raises(ConfigError, match=f"damaged: `{name}`"):
        opened(built)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v": 1', b'"v": 2'),
        (b'"entrypoint"', b'"entry"'),
        (b"guardrail/main/decision", b"guardrail/main/other"),
        (b'"rules"', b'"rulez"'),
        (b"{", b""),
    ],
)
def test_a_manifest_of_another_form_is_refused(built: Path, old: bytes, new: bytes) -> None:
    """An unknown field or version is never read as if it were known."""
    manifest = built / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(old, new, 1))
    with pytest.raises(ConfigError, match="policy bundle"):
        opened(built)


def test_a_manifest_without_rules_is_refused(built: Path) -> None:
    """A policy without rules would allow everything and look as if it had judged."""
    manifest = orjson.loads((built / "manifest.json").read_bytes())
    (built / "manifest.json").write_bytes(orjson.dumps({**manifest, "rules": []}))
    with pytest.raises(ConfigError, match="has no rules"):
        opened(built)


# ── the cache of compiled modules ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own, filled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    WasmEngine(bundle(), memory_bytes=MEMORY).close()
    return cache_directory()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each module that is compiled and not taken from the cache."""
    seen: list[bool] = []

    class Module(wasmtime.Module):
        def __init__(self, engine: wasmtime.Engine, wasm: bytes) -> None:
            seen.append(True)
            super().__init__(engine, wasm)

    monkeypatch.setattr("wasmtime.Module", Module)
    return seen


def start() -> None:
    """Start an engine, use it and let it go."""
    engine = WasmEngine(bundle(), memory_bytes=MEMORY)
    try:
        assert usable(engine)
    finally:
        engine.close()


def test_a_second_start_compiles_nothing(cache: Path, compiled: list[bool]) -> None:
    """Native code is kept, for this user alone."""
    start()
    assert compiled == []
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in cache.iterdir()] == [0o600]


@pytest.mark.parametrize("what", ["directory", "file"])
def test_code_that_others_could_have_written_is_not_loaded(cache: Path, compiled: list[bool], what: str) -> None:
    """A cache or a file that others may write to is passed over."""
    target = cache if what == "directory" else next(cache.iterdir())
    target.chmod(0o777)
    start()
    assert compiled


def test_code_behind_a_link_is_not_loaded(cache: Path, compiled: list[bool], tmp_path: Path) -> None:
    """A symbolic link in the cache leads to code that nobody has looked at."""
    file = next(cache.iterdir())
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    start()
    assert compiled


def test_torn_code_is_compiled_again(cache: Path, compiled: list[bool]) -> None:
    """A half-written file costs a third of a second once."""
    file = next(cache.iterdir())
    file.write_bytes(file.read_bytes()[:1000])
    start()
    assert compiled == [True]
    start()
    assert compiled == [True]


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[bool]
) -> None:
    """A read-only home is no reason not to start."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    start()
    assert compiled == [True]
