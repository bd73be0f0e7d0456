"""The console: pages on which people see what waits and what happened, and answer.

_app       paths, roles, headers: who may see what
_sessions  who is signed in, and what they are about to sign
_signin    the OpenID Connect code flow, once to look and once for each answer
_pages     what each page says, read from the desk, the trail and the inventory
_drawing   effects as what would move where
templates, static: HTML, one style and one script; nothing is built, and nothing comes from another host
"""

from __future__ import annotations

from guardrail.service.console._app import Console

__all__ = ["Console"]
