"""Guardrail as an approver and a reviewer of Inspect AI."""
