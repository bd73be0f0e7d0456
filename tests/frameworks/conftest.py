"""Tests that import the frameworks themselves: they run in `.venv-frameworks`, where tests/adapters/test_frameworks.py
starts them, and are not collected anywhere else.
"""

from __future__ import annotations

import importlib.util

from tests.weights_place import guard, place

__all__ = ["guard", "place"]

collect_ignore_glob = [] if importlib.util.find_spec("inspect_ai") else ["test_*.py"]
