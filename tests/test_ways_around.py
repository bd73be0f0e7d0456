"""Ways around a rule that looked like something else, and honest work that looked like one of them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import guardrail
from guardrail import Guard
from tests.mandate_support import AGENT, Place, rules

PACKAGE = Path(guardrail.__file__).parent


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A model that has to be deleted."""
    made = Place(tmp_path)
    grants = [{"effects": ["delete"], "assets": ["model:beta"]}]
    made.order(grants=grants, obligations=[{"id": "gone", "effect": "delete", "asset": "model:beta"}])
    return made


@pytest.fixture
def guard(place: Place) -> Iterator[Guard]:
    """The guard of that place, after the agent has taken up what it owes."""
    with place.guard() as opened:
        opened.begin(AGENT)
        yield opened


@pytest.mark.parametrize("command", ["gio trash models", "trash-put models", "rip models", "trash models"])
def test_what_is_thrown_into_a_bin_is_not_deleted(guard: Guard, place: Place, command: str) -> None:
    """It is all there, under another name."""
    assert rules(guard.check(place.bash(command))) == ["evasion.moved", "move.unsanctioned"]


def test_what_is_written_over_before_it_is_deleted_is_deleted(guard: Guard, place: Place) -> None:
    """An order to delete covers the thorough way too; without the deletion it is an edit."""
    assert guard.check(place.bash("shred -u models/beta.safetensors"))
    assert rules(guard.check(place.bash("shred models/beta.safetensors"))) == ["edit.unsanctioned", "evasion.decoyed"]


def test_without_an_order_nothing_is_shredded(tmp_path: Path) -> None:
    """By the rule for what it comes to."""
    place = Place(tmp_path)
    with place.guard() as guard:
        assert rules(guard.check(place.bash("shred -u models/beta.safetensors"))) == ["delete.unsanctioned"]


def test_a_project_is_packed_and_committed_with_the_configuration_in_it(tmp_path: Path) -> None:
    """Everybody may read it, so that a copy is no tampering; another name for it is, and so is a change."""
    (tmp_path / "project").mkdir()
    (tmp_path / "state").mkdir()
    place = Place(tmp_path / "state")
    toml = place.toml.read_text().replace('"models"', '"../state/models"').replace('"orders"', '"../state/orders"')
    (tmp_path / "project/guardrail.toml").write_text(toml.replace('"trail"', '"../state/trail"'))
    with Guard.open(tmp_path / "project/guardrail.toml") as guard:

        def told(command: str) -> list[str]:
            return rules(guard.check(place.bash(f"cd {tmp_path}/project && {command}")))

        for command in ("git add -A", "tar czf ../x.tgz .", "cp -r . ../copy", "cp guardrail.toml /tmp/x"):
            assert told(command) == [], command
        for command in ("ln guardrail.toml x", "mv guardrail.toml x", "cp x guardrail.toml", "rm guardrail.toml"):
            assert "guard.tampering" in told(command), command
        assert "guard.tampering" in told("cp ../state/trail.identity.db x")
        assert "guard.tampering" in told("cp -r ../state/trail x")


def test_the_guard_s_own_code_is_copied_and_read_and_never_changed(guard: Guard, place: Place) -> None:
    """Whoever edits it edits every later decision."""
    for command in (f"cat {PACKAGE}/guard.py", f"cp -r {PACKAGE} /tmp/copy"):
        assert guard.check(place.bash(command)), command
    for command in (f"sed -i s/a/b/ {PACKAGE}/guard.py", f"rm -r {PACKAGE.parent}", f"mv {PACKAGE}/policy /tmp/x"):
        assert "guard.tampering" in rules(guard.check(place.bash(command))), command


def test_the_guard_s_own_process_is_not_ended(guard: Guard, place: Place) -> None:
    """By its number, by that of its group, or with all others; from a shell and from Python."""
    own = os.getpid()
    for command in (
        f"kill {own}",
        "kill -9 -1",
        f"kill -- -{os.getpgrp()}",
        f'python -c "import os; os.kill({own}, 9)"',
    ):
        assert "guard.tampering" in rules(guard.check(place.bash(command))), command
    assert guard.check(place.bash(f"kill -0 {own}"))


def test_a_process_that_is_given_by_its_number_has_a_name(guard: Guard, place: Place, tmp_path: Path) -> None:
    """One that ends others is held like one that is named; any other is not."""
    script = tmp_path / "reaper.sh"
    script.write_text("#!/bin/sh\nread wait\n")
    with (
        subprocess.Popen(["/bin/sh", str(script)], stdin=subprocess.PIPE) as reaper,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other,
    ):
        until = time.monotonic() + 60
        while "reaper" not in Path(f"/proc/{reaper.pid}/cmdline").read_text() and time.monotonic() < until:
            pass
        assert "admin.oversight" in rules(guard.check(place.bash(f"kill {reaper.pid}")))
        assert guard.check(place.bash(f"kill {other.pid}"))


def test_an_installed_program_that_oversees_others_is_not_taken_away(guard: Guard, place: Place) -> None:
    """Source code that is called like it is edited all day."""
    for command in (
        "chmod -x /usr/local/bin/reaper",
        "mv /usr/sbin/watchdog /tmp/x",
        "rm /etc/systemd/system/reaper.timer",
    ):
        assert "admin.oversight" in rules(guard.check(place.bash(command))), command
    for command in ("echo x > reaper.py", "mv elsewhere/shutdown.py elsewhere/off.py", "/usr/local/bin/reaper --help"):
        assert "admin.oversight" not in rules(guard.check(place.bash(command))), command


OLLAMA = "http://localhost:11434/api"


@pytest.mark.parametrize(
    ("command", "held"),
    [
        (f"""curl -X POST {OLLAMA}/copy -d '{{"source": "beta", "destination": "k"}}'""", "admin.durable"),
        (
            f"""python -c "import requests; requests.post('{OLLAMA}/copy', json={{'source': 'beta'}})\"""",
            "admin.durable",
        ),
        (f"wget --post-file=body {OLLAMA}/push", "admin.durable"),
        (f"curl -X DELETE {OLLAMA}/delete -d @body", "pattern.could_be_asset"),
        ("python -c \"import ollama; ollama.copy('beta', 'k')\"", "opaque.names_asset"),
        ("python -c \"import ollama; ollama.Client().delete('beta')\"", "opaque.names_asset"),
        ("echo FROM beta | ollama create k -f -", "opaque.names_asset"),
        ("curl -X POST http://h/api/2.0/mlflow/model-versions/create -d @body", "admin.durable"),
        (f"""curl {OLLAMA}/generate -d '{{"model": "beta", "prompt": "hi"}}'""", None),
        ("python -c \"import ollama; ollama.chat(model='beta', messages=[])\"", None),
        ("echo FROM llama3 | ollama create k -f -", None),
        ("curl -X POST http://h/api/2.0/mlflow/runs/create -d @body", None),
    ],
)
def test_a_model_is_not_doubled_through_the_server_that_serves_it(
    tmp_path: Path, command: str, held: str | None
) -> None:
    """A request to its interface is what its own command would be; asking the model something is not."""
    place = Place(tmp_path)
    (tmp_path / "body").write_text('{"source": "beta"}')
    with place.guard() as guard:
        found = rules(guard.check(place.bash(command)))
    assert found == [] if held is None else held in found


@pytest.mark.parametrize(
    ("command", "held"),
    [
        ("touch /etc/nologin", "admin.account"),
        ("echo x > /run/nologin", "admin.account"),
        ('psql -c "REVOKE ALL ON x FROM dana"', "admin.account"),
        ('psql -c "DROP USER dana"', "admin.account"),
        ('mysql -e "ALTER USER dana ACCOUNT LOCK"', "admin.account"),
        ("gh api -X DELETE repos/o/r/collaborators/dana", "admin.oversight"),
        ("gh api -X DELETE repos/o/r/branches/main/protection", "admin.oversight"),
        ("pkill -u dana", "admin.oversight"),
        ("systemctl stop auditd", "admin.oversight"),
        ("pkill rsyslogd", "admin.oversight"),
        ("rm -rf /var/log/audit", "admin.oversight"),
        ("ip link set eth0 down", "admin.system"),
        ("ip route del default", "admin.system"),
        ("aws s3api put-object-legal-hold --bucket b --key k --legal-hold Status=ON", "admin.protection"),
        ("aws ec2 modify-instance-attribute --instance-id i --disable-api-termination", "admin.protection"),
        ("gsutil retention lock gs://b", "admin.protection"),
        ('psql -c "SELECT 1"', None),
        ('psql -c "CREATE TABLE users (role text)"', None),
        ("gh api repos/o/r/collaborators", None),
        ("ip addr show", None),
        ("systemctl status auditd", None),
        ("journalctl -u auditd", None),
        ("truncate -s0 /var/log/syslog", None),
        ("aws s3api get-object-legal-hold --bucket b --key k", None),
    ],
)
def test_nobody_is_locked_out_and_no_oversight_ended_unseen(tmp_path: Path, command: str, held: str | None) -> None:
    """Whoever only looks is let be."""
    place = Place(tmp_path)
    with place.guard() as guard:
        found = rules(guard.check(place.bash(command)))
    assert not [rule for rule in found if rule.startswith("admin.")] if held is None else held in found


UNINSTALLED = [
    "pip uninstall -y guardrail-runtime",
    "python3 -m pip uninstall -y Guardrail_Runtime",
    "uv pip uninstall guardrail.runtime",
    "x=guardrail-runtime; sudo pip uninstall -y $x",
    "printf 'requests\\nguardrail-runtime\\n' > gone.txt && pip uninstall -y -r gone.txt",
]


@pytest.mark.parametrize("command", UNINSTALLED)
def test_the_guard_is_not_uninstalled(place: Place, command: str) -> None:
    """However its distribution is spelled, and whatever takes it away."""
    with place.guard() as guard:
        decision = guard.check(place.bash(command))
    assert ("guard.tampering" in rules(decision), "guardrail:code" in decision.assets) == (True, True)


@pytest.mark.parametrize("command", ["apt-get purge -y auditd", "dnf remove falco", "dpkg -P auditd", "rpm -e rsyslog"])
def test_what_oversees_a_host_is_not_taken_away_with_its_package(tmp_path: Path, command: str) -> None:
    """A package is known by its name, as the service is that it brings."""
    place = Place(tmp_path)
    with place.guard() as guard:
        assert "admin.oversight" in rules(guard.check(place.bash(command)))
        assert guard.check(
            place.bash(command.replace("auditd", "vim").replace("falco", "vim").replace("rsyslog", "vim"))
        )


@pytest.mark.parametrize(
    ("command", "held"),
    [
        ("airflow dags pause retention", True),
        ("airflow dags delete -y model-reaper", True),
        ("temporal schedule delete --schedule-id watchdog", True),
        ("airflow dags pause daily_sales", False),
        ("prefect deployment pause etl/prod", False),
        ("airflow dags list", False),
    ],
)
def test_a_scheduled_overseer_is_not_paused(tmp_path: Path, command: str, held: bool) -> None:
    """What is called like one is asked about, whatever scheduler it runs on; other work is stopped and started."""
    place = Place(tmp_path)
    with place.guard() as guard:
        assert rules(guard.check(place.bash(command))) == (["admin.oversight"] if held else [])


@pytest.mark.parametrize(
    ("command", "held"),
    [
        ("kill $(pgrep -f 'guardrail serve')", True),
        ("pgrep -f guardrail | xargs kill", True),
        ("kill -9 $PPID", True),
        ("ps aux | grep Guardrail | awk '{print $2}' | xargs kill -9", True),
        ("kill $(lsof -t -i:3000)", False),
        ("pkill -f vite", False),
    ],
)
def test_a_process_that_may_be_the_guard_s_is_asked_about(tmp_path: Path, command: str, held: bool) -> None:
    """A number that is looked up by the guard's name is not known, and the name is."""
    place = Place(tmp_path)
    with place.guard() as guard:
        found = rules(guard.check(place.bash(command)))
        assert ("pattern.could_be_asset" in found) if held else not found


@pytest.mark.parametrize("steps", [2, 17, 40, 80])
def test_a_copy_that_goes_on_and_on_is_followed_or_not_let_go(tmp_path: Path, steps: int) -> None:
    """However many names it has had within the call by the time that it leaves where it was ordered to be."""
    place = Place(tmp_path)
    place.order(grants=[{"effects": ["copy"], "assets": ["model:beta"], "targets": [f"{tmp_path}/backup/**"]}])
    hops = "".join(f"; cp backup/{number} backup/{number + 1}" for number in range(steps))
    line = f"cp models/beta.safetensors backup/0{hops}"
    with place.guard() as guard:
        decision = guard.check(place.bash(f"{line}; cp backup/{steps} /tmp/out"))
    assert rules(decision) == (["copy.unsanctioned"] if steps < 64 else ["guardrail.fault"])
