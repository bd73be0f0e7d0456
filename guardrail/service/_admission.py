"""`POST /v1/admission`: an AdmissionReview of Kubernetes about a new pod, answered with the patch that injects us.

It is a server of its own (`guardrail admission`), since an API server asks it about every pod and knows no token: it
decides nothing and tells nothing that the asker did not send.

INVARIANT: what cannot be understood is not admitted. Every answer but an injected pod is a refusal or an HTTP error,
which the webhook's `failurePolicy: Fail` makes a refusal.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec

from guardrail.service._http import (
    Answer,
    Problem,
    Receive,
    Scope,
    Send,
    check_json,
    headers_of,
    read_body,
)
from guardrail.service._injection import Sidecar, injected

ADMISSION: Final = "/v1/admission"

MAX_REVIEW_BYTES: Final = 8 << 20
"""Largest review that is read, in bytes: API servers take objects of 3 MiB, and send an old and a new one."""

_VERSION: Final = "admission.k8s.io/v1"


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    operation: str = ""
    object: dict[str, Any] | None = None


class _Review(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of an AdmissionReview; API servers send more, and newer ones more again."""

    api_version: str = msgspec.field(name="apiVersion")
    kind: str
    request: _Request


_decoder: Final = msgspec.json.Decoder(_Review)


def reviewed(body: bytes, sidecar: Sidecar) -> bytes:
    """The answer to one AdmissionReview.

    Args:
        body: the review.
        sidecar: what goes into pods.

    Returns:
        The review with its response: admitted with a patch, or refused with a reason.

    Raises:
        Problem: if it is no AdmissionReview.
    """
    try:
        review = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Problem("malformed", f"the body is no AdmissionReview: {error}") from None
    if (review.api_version, review.kind) != (_VERSION, "AdmissionReview"):
        raise Problem("malformed", f"send an AdmissionReview of `{_VERSION}`")
    response: dict[str, Any] = {"uid": review.request.uid, "allowed": False}
    pod = review.request.object
    if review.request.operation != "CREATE" or pod is None or pod.get("kind") != "Pod":
        response["status"] = {
            "code": 400,
            "message": "guardrail injects into pods that are created, and into nothing else",
        }
    else:
        try:
            patch = injected(pod, sidecar)
        except (LookupError, TypeError, AttributeError):
            response["status"] = {"code": 400, "message": "guardrail cannot read this pod"}
        else:
            response["allowed"] = True
            if patch:
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(msgspec.json.encode(patch)).decode()
    return msgspec.json.encode({"apiVersion": _VERSION, "kind": "AdmissionReview", "response": response})


class AdmissionApp:
    """The ASGI application.

    Args:
        sidecar: what goes into pods.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = problem.answer(scope)
        if answer is not None:
            await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        if scope["path"] == "/livez":
            return Answer(body=b"ok", kind=b"text/plain")
        if scope["path"] != ADMISSION:
            raise Problem("not-found", f"there is nothing at `{scope['path']}`")
        if scope["method"] != "POST":
            raise Problem("method-not-allowed", "POST an AdmissionReview")
        headers = headers_of(scope)
        check_json(headers)
        body = await read_body(headers, receive, MAX_REVIEW_BYTES)
        return None if body is None else Answer(body=reviewed(body, self._sidecar))
