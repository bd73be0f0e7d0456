"""The process that a harness starts for each call: asks the resident guard, and says what it answers.

Run as a file, `python -I -S client.py HARNESS --socket PATH …`, and not as a module of the package, because a start is
all that it costs: isolated, without `site`, and with modules that are part of the interpreter itself; `socket` alone
would double it.
Isolated also means that nothing from the agent's directory, and nothing that its environment names, is imported here.
Where no guard answers, or the one that does has another configuration by now, it becomes `guardrail hook --start`,
which starts one.

INVARIANT: whatever happens, the exit code is 0 only for an answer of the guard that says so, for this very event.
"""

from __future__ import annotations

import _socket
import posix
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

EXIT_PROCEED = 0
"""Exit code with which the harness goes on."""

EXIT_BLOCK = 2
"""Exit code with which every harness stops the call, if standard error has a reason."""

DEADLINE_SECONDS = 10.0
"""Longest time for one answer, in seconds; the harness's own has to be longer."""

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Largest event that is sent, in bytes."""

MAX_ANSWER_BYTES = 1024 * 1024
"""Largest answer that is read, in bytes."""

_CHUNK = 64 * 1024
_MARK_BYTES = 8
_CREDENTIAL_BYTES = 12
_AGAIN = "not-ready"

REFUSED = "This action is not permitted here and was not carried out. There was no decision: "
"""What a denial for want of an answer begins with."""


class NoAnswer(Exception):
    """There is no decision; the message says why."""


class NobodyThere(Exception):
    """No guard answers at the socket, or only one that is about to go.

    Args:
        why: what was met.
        ending: one is there still, and about to go.
    """

    def __init__(self, why: str, *, ending: bool = False) -> None:
        super().__init__(why)
        self.ending = ending


def main(argv: list[str]) -> int:
    """Answer one event.

    Args:
        argv: the harness, and options.

    Returns:
        The exit code: 0 or 2.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        options = read_options(argv)
        deadline = time.monotonic() + float(options.get("deadline", DEADLINE_SECONDS))
        event = read_all(0, deadline)
        try:
            code, said = ask(options, event, deadline)
        except NobodyThere as why:
            if "no-start" in options:
                raise NoAnswer(f"no guard answers at `{options['socket']}`: {why}") from None
            _become_starter(argv, event, deadline)
    except NoAnswer as error:
        code, said = EXIT_BLOCK, (REFUSED + str(error) + "\n").encode("utf-8", "replace")
    except BaseException as error:  # noqa: BLE001 - INVARIANT above
        code, said = EXIT_BLOCK, (REFUSED + type(error).__name__ + ": " + str(error) + "\n").encode("utf-8", "replace")
    return say(code, said)


def say(code: int, said: bytes) -> int:
    """Write an answer in one piece, and give back its exit code."""
    try:
        fd = 2 if code else 1
        while said:
            said = said[posix.write(fd, said) :]
    except OSError:
        return EXIT_BLOCK
    return code


def read_options(argv: list[str]) -> dict[str, str]:
    """`HARNESS --name VALUE … --no-start`, as names and values.

    Raises:
        NoAnswer: if something is missing or has no value.
    """
    options = {"harness": argv[0] if argv else ""}
    rest = argv[1:]
    while rest:
        name = rest.pop(0)
        if name == "--no-start":
            options["no-start"] = "1"
        elif name in ("--socket", "--config", "--deadline", "--subject", "--model", "--peer") and rest:
            options[name[2:]] = rest.pop(0)
        else:
            raise NoAnswer(f"the hook was installed with `{name}`, which is not understood: install it again")
    if not options["harness"].replace("-", "").isalnum() or "socket" not in options:
        raise NoAnswer("the hook was installed without a harness or a socket: install it again")
    return options


def read_all(fd: int, deadline: float) -> bytes:
    """Everything that can be read, in time.

    Raises:
        NoAnswer: if it is too much, or does not end in time.
    """
    data, poll = bytearray(), select.poll()
    poll.register(fd, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise NoAnswer("the harness did not send its event in time")
        chunk = posix.read(fd, _CHUNK)
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > MAX_EVENT_BYTES:
            raise NoAnswer(f"the event has more than {MAX_EVENT_BYTES} bytes")


def ask(options: dict[str, str], event: bytes, deadline: float) -> tuple[int, bytes]:
    """Ask the resident guard.

    Args:
        options: as they were read.
        event: as the harness sent it.
        deadline: until when, by the monotonic clock.

    Returns:
        Exit code, and what is said with it.

    Raises:
        NobodyThere: if no guard answers there.
        NoAnswer: if what answers is not our guard, is not this user's, or takes too long.
    """
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_left(deadline))
        try:
            connection.connect(options["socket"])
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NobodyThere(str(error)) from None
        _check_peer(connection, options)
        mark = posix.urandom(_MARK_BYTES).hex()
        try:
            _send(connection, _request(options, event, mark), deadline)
            status, fields, body = _receive(connection, deadline)
        except (ConnectionResetError, BrokenPipeError) as error:
            # A guard that is just ending; a decision runs nothing, so it is asked for once more.
            raise NobodyThere(str(error), ending=True) from None
    except TimeoutError:
        raise NoAnswer("the guard did not answer in time") from None
    except OSError as error:
        raise NoAnswer(f"the guard at `{options['socket']}` gave no answer: {error}") from None
    finally:
        connection.close()
    if status == "503" and _AGAIN in body.decode("utf-8", "replace"):
        raise NobodyThere("it is about to end", ending=True)
    code = fields.get("x-guardrail-exit", "")
    if status != "200" or fields.get("x-request-id") != mark or code not in ("0", "2"):
        raise NoAnswer(f"what answers at `{options['socket']}` with {status} is not a guard, or refuses this event")
    return int(code), body


def _check_peer(connection: _socket.socket, options: dict[str, str]) -> None:
    """Refuse whoever has put a socket of their own in the guard's place."""
    data = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIAL_BYTES)
    user = int.from_bytes(data[4:8], sys.byteorder)
    allowed = {0, posix.geteuid()}
    if "peer" in options:
        allowed.add(int(options["peer"]))
    if user not in allowed:
        raise NoAnswer(f"who listens at `{options['socket']}` is user {user}, and not the guard's")


def _request(options: dict[str, str], event: bytes, mark: str) -> bytes:
    lines = [
        f"POST /v1/hooks/{options['harness']} HTTP/1.1",
        "host: localhost",
        "connection: close",
        "content-type: application/json",
        f"content-length: {len(event)}",
        f"x-request-id: {mark}",
        "x-guardrail-client: 1",
    ]
    for name in ("subject", "model"):
        value = options.get(name, "")
        if not value.isprintable():
            raise NoAnswer(f"`--{name}` has a character that cannot be printed: install the hook again")
        if value:
            lines.append(f"x-guardrail-{name}: {value}")
    token = posix.environ.get(b"GUARDRAIL_TOKEN", b"").decode("utf-8", "replace")
    if token.isascii() and token.isprintable() and token:
        lines.append(f"authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode() + event


def _send(connection: _socket.socket, data: bytes, deadline: float) -> None:
    view = memoryview(data)
    while view:
        connection.settimeout(_left(deadline))
        view = view[connection.send(view) :]


def _receive(connection: _socket.socket, deadline: float) -> tuple[str, dict[str, str], bytes]:
    data = bytearray()
    while True:
        connection.settimeout(_left(deadline))
        chunk = connection.recv(_CHUNK)
        if not chunk:
            break
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise NoAnswer("the answer is too long")
    head, end, body = bytes(data).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    # An answer that was cut off is none: its length is what its head says.
    if not data:
        raise ConnectionResetError("closed without an answer")
    if not end or not first.startswith("HTTP/1.1 ") or fields.get("content-length") != str(len(body)):
        raise NoAnswer("what answers is not a guard, or stopped in the middle")
    return first[9:12], fields, body


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise NoAnswer("the guard did not answer in time")
    return left


def _become_starter(argv: list[str], event: bytes, deadline: float) -> NoReturn:
    """Go on as the program that starts a guard, with the event where it was."""
    # A file that has no name: the event may be longer than a pipe holds, and is nobody else's.
    fd = posix.memfd_create("event", 0)
    view = memoryview(event)
    while view:
        view = view[posix.write(fd, view) :]
    posix.lseek(fd, 0, 0)
    posix.dup2(fd, 0)
    # Without `site` nothing installed is found, so the other program has it; it is isolated if this one is.
    isolation = "-I" if sys.flags.isolated else "-P"
    left = str(max(0.1, deadline - time.monotonic()))
    words = [sys.executable, isolation, "-m", "guardrail", "hook", *argv, "--start", "--left", left]
    posix.execve(sys.executable, words, posix.environ)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
