"""Harness hooks: an event becomes a tool call, the decision the harness's own words, and no answer a denial."""
