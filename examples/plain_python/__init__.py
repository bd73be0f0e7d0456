"""Guardrail in plain Python, in one file that checks itself."""
