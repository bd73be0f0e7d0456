"""Guardrail as a monitor in a control protocol of ControlArena."""
