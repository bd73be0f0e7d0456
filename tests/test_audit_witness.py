"""Witnesses, the second file and telemetry: each of them notices a trail that was rewritten with its own key."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import shutil
import signal
import subprocess
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardrail import Guard
from guardrail.audit import verify
from guardrail.audit._note import SigningKey, new_private_key, read_keys
from guardrail.audit._proof import consistency_proof
from guardrail.audit._publish import Publisher
from guardrail.audit._verify_note import WITNESS_KEY, read_key, read_note
from guardrail.audit.witness import MAX_REQUEST_BYTES, Witness, WitnessServer
from guardrail.cli import main
from guardrail.errors import TrailError
from guardrail.telemetry import Telemetry
from tests.audit_support import child, denial, flip, make_trail, open_trail

ORIGIN = "guardrail.local/trail"
NAME = "witness.example/w1"


def vkey_of(directory: Path) -> str:
    """The first verifier key of a trail."""
    return (directory / "trail.vkey").read_text().split("\n")[0]


def last_note(directory: Path) -> str:
    """The last checkpoint of a trail."""
    return "".join((directory / "checkpoints").read_text().splitlines(keepends=True)[-5:])


def body(directory: Path, old: int, new: int, note: str | None = None) -> bytes:
    """A request to a witness about the whole of a trail."""
    proof = "".join(base64.b64encode(digest).decode() + "\n" for digest in consistency_proof(directory, old, new))
    return f"old {old}\n{proof}\n{note or last_note(directory)}".encode()


@contextlib.contextmanager
def serving(witness: Witness) -> Iterator[str]:
    """A witness on a free port; its address."""
    server = WitnessServer(witness, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rewritten(directory: Path, records: int) -> None:
    """Another history with the same name and the same key."""
    key = (directory / "trail.key").read_bytes()
    shutil.rmtree(directory)
    directory.mkdir()
    (directory / "trail.key").write_bytes(key)
    (directory / "trail.key").chmod(0o600)
    with open_trail(directory) as trail:
        for number in range(records):
            trail.append(denial(number + 1))


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Ten records."""
    return make_trail(tmp_path / "t", 10)


@pytest.fixture
def witness(trail: Path, tmp_path: Path) -> Witness:
    """A witness that knows the trail's key, with a clock that stands."""
    return Witness(NAME, new_private_key(), [vkey_of(trail)], tmp_path / "seen.json", clock=lambda: 1_800_000_000)


# ── the protocol ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_witness_cosigns_what_continues_and_remembers_it(trail: Path, witness: Witness, tmp_path: Path) -> None:
    """The cosignature is that of C2SP tlog-cosignature; a new process with the same state goes on."""
    status, text, _ = witness.add_checkpoint(body(trail, 0, 10))
    assert status == 200
    note = read_note((last_note(trail) + text).encode(), cosigned=True)
    line = next(line for line in note.lines if line.name == NAME)
    key = read_key(witness.vkey, WITNESS_KEY)
    assert line.key_id == key.key_id
    assert key.check(line.signature, note.text)
    assert not key.check(line.signature, note.text + b"x")
    assert int.from_bytes(line.signature[:8], "big") == 1_800_000_000
    make_trail(trail, 7)
    again = Witness(NAME, new_private_key(), [vkey_of(trail)], tmp_path / "seen.json")
    assert again.seen(ORIGIN)[0] == 10
    assert again.add_checkpoint(body(trail, 10, 17)).status == 200
    assert again.seen(ORIGIN)[0] == 17


def test_a_witness_refuses_as_the_protocol_says(trail: Path, witness: Witness, tmp_path: Path) -> None:
    """Each status of C2SP tlog-witness, and nothing that is refused changes what was seen."""
    assert witness.add_checkpoint(body(trail, 0, 10)).status == 200
    good = body(trail, 10, 10)
    assert witness.add_checkpoint(good).status == 200
    for wrong in (
        b"",
        b"old x\n\n",
        good.replace(b"old 10", b"old 010"),
        good.replace(b"old 10", b"old 11"),
        good.replace(b"old 10\n", b"old 10\nAAAA\n"),
        good.replace(b"old 10\n", b"old 10\n" + b"A" * 43 + b"=\n" * 64),
        good[:-1],
        b"\xff" + good,
    ):
        assert witness.add_checkpoint(wrong).status == 400, wrong
    other = make_trail(tmp_path / "other", 10, origin="guardrail.test/other")
    assert witness.add_checkpoint(body(other, 0, 10)).status == 404
    stranger = make_trail(tmp_path / "stranger", 10)
    assert witness.add_checkpoint(body(stranger, 10, 10)).status == 403
    conflict = witness.add_checkpoint(body(trail, 0, 10))
    assert (conflict.status, conflict.text, conflict.type) == (409, "10\n", "text/x.tlog.size")
    rewritten(trail, 10)
    assert witness.add_checkpoint(body(trail, 10, 10)).status == 409
    rewritten(trail, 14)
    assert witness.add_checkpoint(body(trail, 10, 14)).status == 422
    assert witness.seen(ORIGIN)[0] == 10


def test_requests_that_race_never_roll_a_ledger_back(trail: Path, witness: Witness, tmp_path: Path) -> None:
    """Many at once from the same old size: one is cosigned, the others are told the size."""
    assert witness.add_checkpoint(body(trail, 0, 10)).status == 200
    requests = []
    for _ in range(8):
        make_trail(trail, 2)
        size = int(last_note(trail).split("\n")[1])
        requests.append(body(trail, 10, size))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(witness.add_checkpoint, reversed(requests)))
    assert sorted(answer.status for answer in answers) == [200, *[409] * 7]
    size = witness.seen(ORIGIN)[0]
    assert {answer.text for answer in answers if answer.status == 409} == {f"{size}\n"}
    assert json.loads((tmp_path / "seen.json").read_text())[ORIGIN]["size"] == size


def test_a_witness_that_cannot_remember_does_not_cosign(trail: Path, tmp_path: Path) -> None:
    """The state is durable before the cosignature leaves; a state that cannot be read is no empty one."""
    (tmp_path / "gone").mkdir()
    witness = Witness(NAME, new_private_key(), [vkey_of(trail)], tmp_path / "gone/seen.json")
    (tmp_path / "gone").rmdir()
    with serving(witness) as url:
        status, text = _post(url, body(trail, 0, 10))
    assert status == 503
    assert "cannot be kept" in text
    assert witness.seen(ORIGIN) == (0, b"")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(TrailError, match="restore it"):
        Witness(NAME, new_private_key(), [vkey_of(trail)], tmp_path / "broken.json")


def test_a_witness_on_the_network_takes_nothing_but_small_requests(trail: Path, witness: Witness) -> None:
    """Another path, another method, no length, too long: refused with one line."""
    with serving(witness) as url:
        assert _post(url, b"x" * (MAX_REQUEST_BYTES + 1), length=MAX_REQUEST_BYTES + 1)[0] == 413
        assert _post(url, b"", path="/else")[0] == 404
        assert _post(url, b"", length=None)[0] == 411
        assert _post(url, b"", method="GET")[0] == 501
        assert _post(url, body(trail, 0, 10))[0] == 200


def _post(
    url: str, data: bytes, *, path: str = "/add-checkpoint", method: str = "POST", length: int | None = -1
) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.putrequest(method, path)
    if length is not None:
        connection.putheader("Content-Length", str(len(data) if length < 0 else length))
    connection.endheaders()
    with contextlib.suppress(OSError):  # it may have answered already
        connection.send(data[:1000] if len(data) > MAX_REQUEST_BYTES else data)
    with contextlib.closing(connection):
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_the_command_serves_until_it_is_told_to_stop(trail: Path, tmp_path: Path) -> None:
    """From the command line: a key is made, an address is printed, a trail is cosigned, and a restart remembers."""
    seen: list[str] = []
    for _ in range(2):
        command = [
            "audit", "witness", "--name", NAME, "--key", tmp_path / "w.key", "--state", tmp_path / "w.json",
            "--log", trail / "trail.vkey", "--listen", "127.0.0.1:0",
        ]  # fmt: skip
        process = child("import sys; from guardrail.cli import main; sys.exit(main(sys.argv[1:]))", *command)
        assert process.stdout is not None
        vkey, line = (process.stdout.readline().decode().strip() for _ in range(2))
        url = f"http://{line.removeprefix('listening on ')}"
        seen.append(_post(url, body(trail, 0, 10))[1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.communicate()
        read_key(vkey, WITNESS_KEY)
    assert seen[0].startswith(f"— {NAME} ")
    assert seen[1] == "10\n"


# ── a trail with witnesses ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trail_has_its_checkpoints_cosigned_and_a_verifier_can_ask_for_it(
    trail: Path, witness: Witness, tmp_path: Path
) -> None:
    """A quorum of those that were given; one that nobody knows is not enough."""
    second = Witness("witness.example/w2", new_private_key(), [vkey_of(trail)], tmp_path / "two.json")
    absent = Witness("witness.example/w3", new_private_key(), [vkey_of(trail)], tmp_path / "three.json")
    with (
        serving(witness) as one,
        serving(second) as two,
        open_trail(trail, witnesses=[(one, witness.vkey), (two, second.vkey)]) as opened,
    ):
        opened.append(denial())
    with serving(witness) as one, open_trail(trail, witnesses=[(one, witness.vkey)]) as opened:
        opened.append(denial())
    keys = [witness.vkey, second.vkey, absent.vkey]
    both = verify(trail, witnesses=keys[:1])
    assert both.ok, both.problems
    assert both.witnessed == 12
    report = verify(trail, witnesses=keys[:2], quorum=1)
    assert report.ok, report.problems
    assert [(name, size) for name, size, _ in report.witnesses] == [(NAME, 12), ("witness.example/w2", 11)]
    assert verify(trail, witnesses=keys, quorum=1).ok
    missing = verify(trail, witnesses=keys)
    assert ["cosigned by 3 of the given" in problem.what for problem in missing.problems] == [True]
    assert "the given witness key" in verify(trail, witnesses=["nonsense"]).problems[0].what


def test_a_trail_rewritten_with_its_own_key_is_noticed_by_its_witness(trail: Path, witness: Witness) -> None:
    """The witness cosigns it no more, the writer says so, and a verifier that knows the witness refuses it."""
    with serving(witness) as url:
        with open_trail(trail, witnesses=[(url, witness.vkey)]) as opened:
            opened.append(denial())
        cosigned = (trail / "cosigned").read_bytes()
        rewritten(trail, 15)
        assert verify(trail, vkey=vkey_of(trail)).ok, "its own key says nothing against it"
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with open_trail(trail, witnesses=[(url, witness.vkey)]) as opened:
                opened.append(denial())
        assert any("has seen another trail of this name" in str(one.message) for one in told)
    assert "they have seen another trail" in verify(trail, witnesses=[witness.vkey]).problems[0].what
    (trail / "cosigned").write_bytes(cosigned)
    report = verify(trail, witnesses=[witness.vkey])
    assert {problem.file for problem in report.problems} == {"cosigned"}
    assert "not those that were signed" in report.problems[0].what


def test_a_trail_put_back_to_an_older_state_is_noticed_by_its_witness(trail: Path, witness: Witness) -> None:
    """The witness has seen more records than there are."""
    older = trail.with_name("older")
    shutil.copytree(trail, older)
    with serving(witness) as url:
        with open_trail(trail, witnesses=[(url, witness.vkey)]) as opened:
            opened.append(denial())
            opened.append(denial())
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with open_trail(older, witnesses=[(url, witness.vkey)]) as opened:
                opened.append(denial())
        assert any("put back to an older state" in str(one.message) for one in told)


def test_a_changed_cosignature_is_found(trail: Path, witness: Witness) -> None:
    """Every byte of a cosigned checkpoint that is the only one."""
    with serving(witness) as url, open_trail(trail, witnesses=[(url, witness.vkey)]) as opened:
        opened.append(denial())
    path = trail / "cosigned"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[-6:]))
    for offset in range(path.stat().st_size):
        flip(path, offset)
        assert not verify(trail, deep=False, witnesses=[witness.vkey]).ok, offset
        flip(path, offset)
    assert verify(trail, witnesses=[witness.vkey]).ok


def test_a_witness_that_is_away_costs_no_call_anything(trail: Path, witness: Witness) -> None:
    """Appends go on; that the checkpoint did not leave is told, once, and again said by the publisher."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with open_trail(trail, witnesses=[("http://127.0.0.1:9", witness.vkey)]) as opened:
            for number in range(50):
                opened.append(denial(number))
            opened.checkpoint()
            opened.publisher.close()
            assert "cannot be reached" in opened.publisher.problem
    assert len([one for one in told if "did not get everywhere" in str(one.message)]) == 1
    with pytest.raises(TrailError, match="is not the Ed25519 key of a witness"):
        open_trail(trail, witnesses=[("http://127.0.0.1:9", vkey_of(trail))])


def test_one_place_that_fails_does_not_keep_the_others_from_their_copy() -> None:
    """The newest checkpoint goes to each of them, and what failed is known."""
    took: list[str] = []

    def broken(*_: object) -> None:
        raise OSError("no route")

    publisher = Publisher([broken, lambda checkpoint, note: took.append(note)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        publisher.offer(None, "first")  # type: ignore[arg-type]
        publisher.close()
    assert took == ["first"]
    assert publisher.problem == "no route"
    assert publisher.published is None


# ── a second file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trail_rewritten_with_its_own_key_is_noticed_by_the_second_file(trail: Path, tmp_path: Path) -> None:
    """The guard does not start on it, and a verifier who is given the file refuses it; so for an older state."""
    kept = tmp_path / "elsewhere" / "checkpoints"
    kept.parent.mkdir()
    older = trail.with_name("older")
    with open_trail(trail, checkpoint_file=kept):
        pass
    shutil.copytree(trail, older)
    with open_trail(trail, checkpoint_file=kept) as opened:
        opened.append(denial())
    assert verify(trail, checkpoint=kept.read_text()).ok
    with open_trail(trail, checkpoint_file=kept) as opened:
        opened.append(denial())
    with pytest.raises(TrailError, match="12 records were signed and copied"):
        open_trail(older, checkpoint_file=kept)
    rewritten(trail, 15)
    with pytest.raises(TrailError, match="was rewritten or put back"):
        open_trail(trail, checkpoint_file=kept)
    report = verify(trail, checkpoint=kept.read_text())
    assert {problem.file for problem in report.problems} == {"the given checkpoint"}
    kept.write_text("nonsense\n")
    with open_trail(trail, checkpoint_file=kept):
        pass  # no signature line in it: nothing was kept there yet
    kept.write_text(kept.read_text().replace("guardrail.local/trail\n", "guardrail.local/other\n"))
    with pytest.raises(TrailError, match="find out who changed it|is that of the ledger"):
        open_trail(trail, checkpoint_file=kept)


def test_a_second_file_with_a_torn_end_is_gone_on_with(trail: Path, tmp_path: Path) -> None:
    """A crash while a note was copied leaves the beginning of one."""
    kept = tmp_path / "kept"
    with open_trail(trail, checkpoint_file=kept):
        pass
    kept.write_text(kept.read_text() + "guardrail.local/trail\n1")
    with open_trail(trail, checkpoint_file=kept) as opened:
        opened.append(denial())
    assert "\n11\n" in kept.read_text()


# ── telemetry ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trail_rewritten_with_its_own_key_is_noticed_by_what_telemetry_said(tmp_path: Path) -> None:
    """Checkpoints are events, and attributes of spans; the verifier takes size and root from either."""
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

    logs = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    toml = tmp_path / "guardrail.toml"
    toml.write_text(
        '[[asset]]\nid = "a"\nclass = "weights"\npaths = ["w"]\n[limits]\ndecision_ms = 60000\n'
        '[trail]\ntimeout_seconds = 60\ndirectory = "t"\n'
    )
    with Guard.open(toml, telemetry=Telemetry(logger_provider=provider)):
        pass
    events = [
        dict(one.log_record.attributes or {})
        for one in logs.get_finished_logs()
        if one.log_record.event_name == "guardrail.audit.checkpoint"
    ]
    last = events[-1]
    assert last["guardrail.audit.origin"] == ORIGIN
    seen = f"{last['guardrail.audit.size']}:{last['guardrail.audit.root']}"
    directory = tmp_path / "t"
    assert main(["audit", "verify", str(directory), "--seen", seen]) == 0
    rewritten(directory, 5)
    assert main(["audit", "verify", str(directory)]) == 0
    assert main(["audit", "verify", str(directory), "--seen", seen]) == 1
    assert main(["audit", "verify", str(directory), "--seen", "9:" + "0" * 64]) == 1
    assert main(["audit", "verify", str(directory), "--seen", "9"]) == 2


# ── another key ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_replaced_and_the_first_one_leads_to_it(trail: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sign meanwhile, then the new one alone; a verifier who knows only the first follows."""
    first = vkey_of(trail)
    assert main(["audit", "rotate-key", str(trail), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["key"] == first
    with open_trail(trail) as opened:
        opened.append(denial())
    both = (trail / "checkpoints").read_text().splitlines()
    assert both[-1].startswith("— ")
    assert both[-2].startswith("— ")
    assert verify(trail, vkey=first).ok
    assert main(["audit", "rotate-key", str(trail), "--finish"]) == 0
    assert len(read_keys(trail / "trail.key")) == 1
    with open_trail(trail) as opened:
        opened.append(denial())
    for key in (first, None):
        report = verify(trail, vkey=key)
        assert report.ok, report.problems
        assert report.keys == (first, told["next"])
        assert report.signed == report.records
    assert main(["audit", "rotate-key", str(trail)]) == 0
    assert main(["audit", "rotate-key", str(trail), "--finish"]) == 0
    assert len(verify(trail, vkey=first, deep=False).keys) == 3
    assert main(["audit", "rotate-key", str(trail), "--finish"]) == 1
    assert "begin with `guardrail audit rotate-key`" in capsys.readouterr().err


def test_a_rotation_that_a_crash_cut_off_can_be_finished(trail: Path) -> None:
    """After each of its steps the trail opens and verifies, and running it again completes it."""
    from guardrail.audit import rotation
    from guardrail.audit._note import write_keys

    first = vkey_of(trail)
    (old,) = read_keys(trail / "trail.key")
    new = new_private_key()
    write_keys(trail / "trail.key", [old, new])
    with open_trail(trail) as opened:
        opened.append(denial())
    assert verify(trail, vkey=first).ok
    with open_trail(trail) as opened:
        assert rotation.begin(opened, ORIGIN)[1] == SigningKey(ORIGIN, new).vkey
    with open_trail(trail) as opened:
        rotation.finish(opened, ORIGIN)
    write_keys(trail / "trail.key", [old, new])
    with open_trail(trail) as opened:
        opened.append(denial())
        rotation.finish(opened, ORIGIN)
    report = verify(trail, vkey=first)
    assert report.ok, report.problems
    assert report.signed == report.records


def test_a_retired_or_a_foreign_key_signs_nothing_any_more(trail: Path, tmp_path: Path) -> None:
    """Whoever kept the old key, or lists one of their own, does not pass."""
    from guardrail.audit import rotation
    from guardrail.audit._note import write_keys

    first = vkey_of(trail)
    (old,) = read_keys(trail / "trail.key")
    for step in (rotation.begin, rotation.finish):
        with open_trail(trail) as opened:
            step(opened, ORIGIN)
    whole = tmp_path / "whole"
    shutil.copytree(trail, whole)
    write_keys(trail / "trail.key", [old])
    with open_trail(trail) as opened:
        opened.append(denial())
    assert any("by another ledger or key" in problem.what for problem in verify(trail, vkey=first).problems)
    stranger = SigningKey(ORIGIN, new_private_key()).vkey
    with (whole / "trail.vkey").open("a") as stream:
        stream.write(stranger + "\n")
    assert "lists a key that no record" in verify(whole, vkey=first).problems[0].what


def test_a_trail_in_use_is_not_rotated(trail: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is one writer, and it has the key in memory."""
    with open_trail(trail):
        assert main(["audit", "rotate-key", str(trail)]) == 1
    assert "in use" in capsys.readouterr().err


def test_openssl_agrees_that_a_note_is_signed(trail: Path, tmp_path: Path) -> None:
    """What checks the signature here is not our own code at all."""
    if shutil.which("openssl") is None:
        pytest.skip("needs `openssl`, a package of that name")
    note = last_note(trail)
    text, _, line = note.partition("\n\n")
    raw = base64.b64decode(line.split()[2])
    public = base64.b64decode(vkey_of(trail).split("+", 2)[2])[1:]
    der = bytes.fromhex("302a300506032b6570032100") + public
    for name, data in (("text", f"{text}\n".encode()), ("sig", raw[4:]), ("pub.der", der)):
        (tmp_path / name).write_bytes(data)
    answer = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", tmp_path / "pub.der",
         "-in", tmp_path / "text", "-sigfile", tmp_path / "sig"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert re.search("Verified Successfully", answer.stdout), answer.stderr
