"""Who is told of an escalation, and in what words: what is due is a fold of the ledger, the rest is pure.

Not concerned with sending (`guardrail.service`).
Sources: Standard Webhooks 1.0 (ids, timestamps, `v1` signatures), CloudEvents 1.0 (structured JSON).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import orjson

from guardrail.config import WebhookConfig, secret
from guardrail.errors import ConfigError
from guardrail.review._case import Case
from guardrail.review._view import plain

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix of every secret, and none itself

MIN_SECRET_BYTES: Final = 24
"""Shortest secret, in bytes: Standard Webhooks asks for 24 to 64."""

NOTICE_SECONDS: Final = 24 * 3600
"""Older news are not told any more, in seconds: an endpoint that is new, or was away, is not flooded."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that one endpoint has to be told.

    Args:
        escalation: id of the escalation.
        what: `opened`, the state that it came to, or `review_overdue`.
        at_us: when that was, in microseconds since the epoch.
    """

    escalation: str
    what: str
    at_us: int

    @property
    def id(self) -> str:
        """The `webhook-id`: the same however often it is sent, so that a receiver can tell."""
        return f"{self.escalation}.{self.what}"


def due(cases: Iterable[Case], endpoint: str, now_us: int) -> Iterator[Notice]:
    """What an endpoint has not been told yet, oldest case first."""
    for case in cases:
        held = case.held
        news = [("opened", held.created_us)]
        if case.state != "pending":
            news.append((case.state, case.decided_us))
        if case.overdue_us:
            news.append(("review_overdue", case.overdue_us))
        for what, at_us in news:
            if f"{endpoint}:{what}" not in case.notices and now_us - at_us < NOTICE_SECONDS * 1_000_000:
                yield Notice(escalation=held.id, what=what, at_us=at_us)


class Endpoint:
    """One `[[review.webhook]]`, ready to be used.

    Args:
        config: the settings.
        source: name of the ledger.

    Raises:
        ConfigError: if its secret is none.
    """

    def __init__(self, config: WebhookConfig, source: str) -> None:
        self.name: Final = config.name
        self.url: Final = config.url
        self.private: Final = config.private
        self._config = config
        self._source = source
        self._key = _key(secret(config.secret, f"review.webhook `{config.name}`.secret"), config.name)

    def message(self, notice: Notice, case: Case, now_s: int) -> tuple[dict[str, str], bytes]:
        """Headers and body of one attempt.

        Args:
            notice: what is told.
            case: what it is about.
            now_s: the time, in seconds since the epoch.
        """
        slack = self._config.format == "slack"
        body = orjson.dumps(self._slack(notice, case) if slack else self._cloud_event(notice, case))
        signed = b"%s.%d.%s" % (notice.id.encode(), now_s, body)
        signature = base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()
        return {
            "content-type": "application/json" if slack else "application/cloudevents+json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": f"v1,{signature}",
        }, body

    def _link(self, case: Case) -> str:
        return self._config.link.replace("{id}", case.held.id)

    def _cloud_event(self, notice: Notice, case: Case) -> dict[str, Any]:
        held = case.held
        moment = dt.datetime.fromtimestamp(notice.at_us // 1_000_000, dt.UTC)
        return {
            "specversion": "1.0",
            "id": notice.id,
            "source": self._source,
            "type": f"guardrail.escalation.{notice.what}",
            "subject": held.id,
            "time": moment.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": {
                "id": held.id,
                "state": case.state,
                "agent": held.agent,
                "critical": held.critical,
                "shown": [{"rule": rule, "asset": asset} for rule, asset in held.shown],
                "expires_us": held.expires_us,
                "link": self._link(case),
            },
        }

    def _slack(self, notice: Notice, case: Case) -> dict[str, Any]:
        """A message with a link and no buttons: nothing that is clicked in a chat is a vote."""
        held = case.held
        rules = ", ".join(f"{rule} on {asset}" if asset else rule for rule, asset in held.shown) or "break-glass"
        text = f"{'Critical: ' if held.critical else ''}{held.agent} is held by {rules}: {notice.what}"
        if notice.what == "review_overdue":
            text = f"Overdue: nobody has looked yet at the break-glass for {held.agent}, by {held.view.get('by')}"
        link = self._link(case)
        blocks = [_section(_escaped(text))]
        if link:
            blocks.append(_section(f"<{link}|{held.id}>"))
        # Nothing in it is made a link, or fetched, but what we made one.
        quiet = {"parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}
        return {"text": _escaped(text), "blocks": blocks, **quiet}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _escaped(text: str) -> str:
    """Slack's own escapes, and none of its marks: an agent's name must not become a link or a mention."""
    shown = plain(text)
    for char, number in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("*", "∗"), ("`", "'")):
        shown = shown.replace(char, number)
    return shown[:2000]


def _key(text: str, name: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"the `secret` of the webhook `{name}` must be `{SECRET_PREFIX}` and at least {MIN_SECRET_BYTES} bytes in "
            "base64"
        )
    return key
