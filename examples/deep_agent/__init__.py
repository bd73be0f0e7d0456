"""A deep agent that delegates, and whose subagent is behind the same guard."""
