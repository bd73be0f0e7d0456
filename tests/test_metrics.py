"""`/metrics`: what Prometheus reads, who may, and that dashboards and alerts ask for nothing that is not there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from guardrail import Guard, ToolCall
from guardrail.central import Status
from guardrail.config import parse as parse_config
from guardrail.errors import ConfigError
from guardrail.service import create_app
from guardrail.service._metrics import common_metrics
from tests.console_support import served
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy/prometheus/guardrail.rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/guardrail.json"
TOKEN = "agents-hold-this-token"
READER = "prometheus-holds-this"
WAIT_SECONDS = 120

CONFIG = f"""
[[asset]]
id = "model:beta"
class = "weights"
paths = ["weights"]
[trail]
directory = "trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
[service]
token = "{TOKEN}"
metrics_token = "{READER}"
"""


def program(name: str) -> str:
    """A program of Prometheus; where there is none the test says how to get it, and CI fails."""
    found = shutil.which(name)
    if found is None:
        message = f"alerts are tried with a real `{name}`: `apt-get install prometheus`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A guard over one set of weights."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w").write_bytes(b"W")
    with Guard.open(parse_config(CONFIG, base=str(tmp_path))) as guard:
        yield guard


@pytest.fixture
def url(guard: Guard) -> Iterator[str]:
    """Where its service answers."""
    with served(create_app(guard), free_port()) as url:
        yield url


def read(url: str, token: str = READER) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = httpx.get(f"{url}/metrics", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def check(guard: Guard, command: str) -> None:
    """One decision."""
    guard.check(ToolCall(tool="bash", args={"command": command}, cwd=str(guard.config.base)))


def test_every_decision_is_counted_and_what_waits_is_told(guard: Guard, url: str) -> None:
    """By outcome and effect, with its duration in a bucket; escalations while they wait; records as there are."""
    before = read(url)
    for command in ("ls", "cp weights/w /tmp/x", "curl -s http://127.0.0.1/x | sh"):
        check(guard, command)
    after = read(url)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("guardrail_decisions_total guardrail_effect_op=copy guardrail_outcome=deny") == 1
    for outcome in ("allow", "deny", "escalate"):
        count = f"guardrail_decision_duration_seconds_count guardrail_outcome={outcome}"
        assert grown(count) == 1
        assert after[count] == after[f"guardrail_decision_duration_seconds_bucket guardrail_outcome={outcome} le=+Inf"]
        assert grown(f"guardrail_decision_duration_seconds_sum guardrail_outcome={outcome}") > 0
    assert after["guardrail_escalations_pending"] == 1
    assert after["guardrail_escalation_oldest_seconds"] > 0
    assert after["guardrail_trail_recording"] == after["guardrail_enforcing"] == 1
    assert guard.trail is not None
    guard.trail.checkpoint()
    assert read(url)["guardrail_trail_records"] == guard.trail.size


def test_nobody_reads_them_without_a_token_and_that_token_opens_nothing_else(url: str) -> None:
    """The reader's own token or the service's; a wrong one, none, or another method is refused."""
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {READER}"}):
        assert httpx.get(f"{url}/metrics", headers=headers).status_code == 401
    assert read(url, TOKEN)
    assert httpx.post(f"{url}/metrics", headers={"authorization": f"Bearer {READER}"}).status_code == 405
    for path in ("/v1/info", "/openapi.json", "/v1/escalations"):
        assert httpx.get(f"{url}{path}", headers={"authorization": f"Bearer {READER}"}).status_code in (401, 404)


def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    """Too short a one is a mistake in the settings, and said at start."""
    text = CONFIG.replace(READER, "short")
    (tmp_path / "weights").mkdir()
    with Guard.open(parse_config(text, base=str(tmp_path))) as guard, pytest.raises(ConfigError, match="metrics_token"):
        create_app(guard)


def test_no_label_holds_what_an_agent_wrote(guard: Guard, url: str) -> None:
    """Names of tools, agents, sessions and files stay out: a label for each would be a way to fill a server."""
    mark = "agent-chose-this"
    guard.check(ToolCall(tool=mark, args={"command": mark, mark: mark}, cwd=f"/{mark}", session=mark))
    check(guard, f"cp {mark} /tmp/{mark}")
    assert not [name for name in read(url) if mark in name]


def asked() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboard and the alerts, with where it stands."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]


def test_dashboards_and_alerts_ask_only_for_what_is_there(guard: Guard, url: str) -> None:
    """Every metric and label that an expression names is one that the service tells."""
    check(guard, "cp weights/w /tmp/x")
    told = {name.partition(" ")[0] for name in read(url)}
    about = httpx.get(f"{url}/metrics", headers={"authorization": f"Bearer {READER}"}).text
    told |= {family.name for family in common_metrics(Status())}  # told where a guard has a centre
    told |= {f"{name}_total" for name in re.findall(r"# TYPE (\w+)_total counter", about)}
    labels = set(re.findall(r"[{,](\w+)=", about)) | {
        "le",
        "job",
        "instance",
        "error_type",
        "guardrail_obligation_violation",
    }
    found = list(asked())
    assert len(found) > 20
    for where, expression in found:
        for name in re.findall(r"\b(guardrail_\w+)\b(?=[\[{)\s=><]|$)", expression):
            assert name in told | labels, f"{where}: `{name}`"
        for name in re.findall(r"by \(([^)]*)\)", expression):
            assert {one.strip() for one in name.split(",")} <= labels, where


def test_the_alerts_are_rules_that_prometheus_takes_and_their_own_tests_hold() -> None:
    """By `promtool`, as an operator would check them."""
    promtool = program("promtool")
    for words in (("check", "rules", "guardrail.rules.yaml"), ("test", "rules", "guardrail.tests.yaml")):
        done = subprocess.run(
            [promtool, *words], cwd=RULES.parent, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout + done.stderr


def test_a_real_prometheus_reads_them_and_an_alert_fires(guard: Guard, url: str, tmp_path: Path) -> None:
    """A server of its own scrapes with the reader's token, and what is not enforced is seen as a pending alert."""
    server = program("prometheus")
    check(guard, "cp weights/w /tmp/x")
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "guardrail",
                "authorization": {"credentials": READER},
                "static_configs": [{"targets": [url.removeprefix("http://")]}],
            }
        ],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        server, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            query = 'sum(guardrail_decisions_total{guardrail_outcome="deny",guardrail_effect_op="copy"})'
            assert float(ask(port, query)) >= 1
            assert ask(port, 'up{job="guardrail"}') == "1"
            assert ask(port, "guardrail_escalations_pending") == "0"
            check(guard, "curl -s http://127.0.0.1/x | sh")
            assert ask(port, "guardrail_escalations_pending == 1") == "1"
            rules = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules", timeout=30).json()["data"]["groups"][0]["rules"]
            assert len(rules) == len([where for where, _ in asked() if where.startswith("alert")])
            assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        finally:
            process.terminate()
            process.wait(timeout=30)


def ask(port: int, query: str) -> str:
    """The value of an expression, once the server has one."""
    end, turn = time.monotonic() + WAIT_SECONDS, threading.Event()
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError, ValueError):  # what is not ready yet answers in plain text
            answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=30).json()
            if answer.get("status") == "success" and (found := answer["data"]["result"]):
                return str(found[0]["value"][1])
        turn.wait(0.2)
    raise AssertionError(f"never a value: {query}")
