"""Tests that import ControlArena: tests/adapters/test_frameworks.py starts them in `.venv-frameworks`, which has what
they need of it, and `make adapters` in `.venv-control-arena`, which has the whole; nothing else collects them.
"""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("control_arena") else ["test_*.py"]
