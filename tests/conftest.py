"""What every test stands on: the pinned OPA first on PATH, state in a directory of its own, no traffic to anybody.

Not concerned with any stage: a fixture that only one file needs lives in that file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.postgres_support import Cluster

ROOT = Path(__file__).resolve().parent.parent
CI = os.environ.get("CI") == "true"

# `make tools` puts the pinned OPA here; a run of bare `pytest` has to find it as well.
if (ROOT / ".tools" / "bin").is_dir():
    os.environ["PATH"] = os.pathsep.join((str(ROOT / ".tools" / "bin"), os.environ.get("PATH", "")))

# Trails without a directory of their own and compiled policies: never those of the person running the tests.
_OWN = tempfile.mkdtemp(prefix="guardrail-tests-")
os.environ["XDG_STATE_HOME"] = f"{_OWN}/state"
os.environ["XDG_CACHE_HOME"] = f"{_OWN}/cache"

# The agent frameworks would report runs to their makers' services if the environment said so, and OpenTelemetry would
# export to whatever collector it names. GUARDRAIL_OPA names the OPA to compare with, and stays.
_FOREIGN = ("LANGSMITH_", "LANGCHAIN_", "OTEL_", "GUARDRAIL_")
for name in [name for name in os.environ if name.startswith(_FOREIGN) and name != "GUARDRAIL_OPA"]:
    del os.environ[name]
os.environ["LANGSMITH_TRACING"] = "false"

# Generated inputs: the same ones on every run in CI, new ones elsewhere; single timings mean nothing on busy cores.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if CI else "developer")


def pytest_unconfigure() -> None:
    """What this run kept goes when the run ends, in each worker."""
    shutil.rmtree(_OWN, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies under tests/property is a property test, so that `-m property` needs no mark in each file."""
    for item in items:
        if "property" in item.path.relative_to(ROOT).parts:
            item.add_marker(pytest.mark.property)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server that nobody stops; a test that stops one starts its own."""
    from guardrail.audit.postgres import _server
    from tests.postgres_support import PATIENT_SECONDS, cluster

    # It puts none of the guards in this process out that a busy machine makes stand still in the middle of a turn.
    with pytest.MonkeyPatch.context() as patched, cluster() as server:
        patched.setattr(_server, "HOLD_SECONDS", PATIENT_SECONDS)
        yield server


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
