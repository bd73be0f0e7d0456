"""An identity provider, a served console and a browser: real sockets, real signatures, and Chromium by its protocol."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from websockets.sync.client import ClientConnection, connect

CLIENT = "guardrail"
PEOPLE = ("dana", "eve", "mallory")
SECRET = "the-client's-own-secret"


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An OpenID Connect provider of the code flow, at which a person picks who they are."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[dict[str, str]] = []
        self.claims: dict[str, Any] = {}
        """What the next tokens say instead."""
        self.url = ""
        self.app = Starlette(
            routes=[
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/favicon.ico", lambda _: Response(status_code=204)),
            ]
        )

    def jwks(self) -> dict[str, Any]:
        """Its key, as it publishes it."""
        n = self.key.public_key().public_numbers().n
        return {"keys": [{"kid": "k", "kty": "RSA", "use": "sig", "n": b64(n.to_bytes(256, "big")), "e": "AQAB"}]}

    async def authorize(self, request: Request) -> Response:
        """A page with one button a person; the one that is pressed is sent back with a code."""
        query = dict(request.query_params)
        if "as" not in query:
            self.asked.append(query)
            people = {name: urllib.parse.urlencode(query | {"as": f"{name}@example.com"}) for name in PEOPLE}
            links = "".join(f'<p><a id="{name}" href="/authorize?{back}">{name}</a>' for name, back in people.items())
            return HTMLResponse(f"<!doctype html><title>Sign in</title>{links}")
        code = b64(os.urandom(16))
        self.codes[code] = query
        back = urllib.parse.urlencode({"code": code, "state": query["state"]})
        return RedirectResponse(f"{query['redirect_uri']}?{back}", 303)

    async def token(self, request: Request) -> Response:
        """An ID token for a code, if client and verifier are those that it was given for."""
        form = {name: values[-1] for name, values in urllib.parse.parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(form.get("code", ""), None)
        pair = f"{urllib.parse.quote_plus(CLIENT)}:{urllib.parse.quote_plus(SECRET)}"
        known = request.headers.get("authorization") == "Basic " + base64.b64encode(pair.encode()).decode()
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or not known or asked["code_challenge"] != challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": asked["as"], "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            "email": asked["as"], "email_verified": True, "amr": ["hwk"],
        }  # fmt: skip
        head = b64(json.dumps({"alg": "RS256", "kid": "k"}).encode())
        signed = f"{head}.{b64(json.dumps(claims | self.claims).encode())}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return JSONResponse({"id_token": f"{signed}.{b64(signature)}", "token_type": "Bearer"})


@contextlib.contextmanager
def served(app: Any, port: int) -> Iterator[str]:
    """An application on a loopback port, in a thread; its address."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="auto", ws="none"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=30)
        listener.close()


class Browser:
    """One page of Chromium, driven by its own protocol (chromedevtools.github.io/devtools-protocol)."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser, and wait for its answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("method") == "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
            elif message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> Any:
        """Wait until an expression is true in whatever page there is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):  # between two pages there is nothing to ask
                if value := self.run(script):
                    return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}\n{self.run('document.body && document.body.innerText')}")

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def click(self, selector: str) -> None:
        """Click what a selector finds, once it is there."""
        at = json.dumps(selector)
        self.wait(f"document.readyState === 'complete' && !!document.querySelector({at})")
        self.run(f"document.querySelector({at}).click()")

    def type(self, selector: str, text: str) -> None:
        """Write into a field, key by key."""
        self.wait(f"!!document.querySelector({json.dumps(selector)})")
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key, once the page has been drawn: before that the browser drops what is pressed."""
        self.run("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))")
        more = {"windowsVirtualKeyCode": 13, "text": "\r"} if key == "Enter" else {"text": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    @property
    def text(self) -> str:
        """What can be read on the page."""
        return str(self.run("document.body.innerText"))

    def shot(self, path: Path, *, dark: bool = False) -> bytes:
        """A picture of the page."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return path.read_bytes()


@contextlib.contextmanager
def browsing(directory: Path) -> Iterator[Browser]:
    """A browser with a profile of its own; where there is none the test says how to get it, and CI fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "the console is used in a real browser: `apt-get install chromium`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    profile = directory / "profile"
    command = [
        found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0",
        "--window-size=1100,1300", f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port = _port(profile / "DevToolsActivePort")
            pages: list[dict[str, Any]] = []
            while not pages:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
                    pages = [page for page in json.load(answer) if page["type"] == "page"]
            with connect(pages[0]["webSocketDebuggerUrl"], max_size=64 * 1024 * 1024) as devtools:
                yield Browser(devtools)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _port(path: Path) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(path.read_text().splitlines()[0])
        time.sleep(0.05)
    raise AssertionError("the browser did not start")
