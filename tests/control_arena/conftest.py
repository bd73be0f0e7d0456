"""Tests that import ControlArena: `make adapters` runs them in `.venv-control-arena`, and nothing else does."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("control_arena") else ["test_*.py"]
