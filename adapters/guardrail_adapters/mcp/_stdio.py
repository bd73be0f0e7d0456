"""The relay over standard input and output: it starts the server, and stands between it and the client.

Not concerned with judging (`_gate`). Each line is one frame.
INVARIANT: whatever fails here, the server's input is closed: nothing goes to it that was not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Final

from guardrail import ConfigError
from guardrail.confine import Confinement, Job, JobError
from guardrail_adapters.mcp._connection import Connection
from guardrail_adapters.mcp._frames import MAX_FRAME_BYTES, Message, RefusedFrame, dump, parse
from guardrail_adapters.mcp._gate import Gate

_log: Final = logging.getLogger("guardrail.mcp")

END_SECONDS: Final = 5.0
"""How long a server may take to end once its input is closed, in seconds; then it is terminated, and then killed."""

DRAIN_SECONDS: Final = 10.0
"""How long calls may take to be answered once the client's input has ended, in seconds."""


class Server:
    """A server process, with the group of those that it starts.

    Args:
        process: as it was started.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a server is started with pipes")
        self._process = process
        self._input = process.stdin
        self.output: Final = process.stdout

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        confinement: Confinement,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Server:
        """Start one, with the environment of this process but for the guard's own variables.

        Args:
            command: program and arguments.
            confinement: what holds it for as long as it runs, whatever its calls are judged to do.
            env: further variables.
            cwd: where it starts.

        Raises:
            ConfigError: if it cannot be started, or confined.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GUARDRAIL_")}
        job = Job(
            argv=tuple(command), cwd=cwd or os.getcwd(), environment={**inherited, **(env or {})},
            grace_seconds=END_SECONDS,
        )  # fmt: skip
        try:
            job = confinement.confine(job, ())
            process = await asyncio.create_subprocess_exec(
                *job.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_FRAME_BYTES,
                env=job.environment,
                cwd=job.cwd,
                start_new_session=True,
            )
        except JobError as error:
            raise ConfigError(f"the server `{command[0]}` cannot be confined: {error}") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"the server `{command[0]}` cannot be started: {why.lower()}") from None
        return cls(process)

    async def send(self, message: Message) -> None:
        """Forward a message.

        Raises:
            ConnectionError: if its input is closed.
        """
        if self._input.is_closing():
            raise ConnectionResetError("the server's input is closed")  # a write would be dropped without a word
        self._input.write(dump(message))
        await self._input.drain()

    async def frames(self) -> AsyncGenerator[Message | list[Message]]:
        """What it says, until it ends; a line that is no message is left out."""
        async for line in lines(self.output):
            try:
                yield parse(line)
            except RefusedFrame as error:
                _log.warning("a line of the server is no message, and was left out: %s", error)

    def close_input(self) -> None:
        """Nothing more goes to it."""
        self._input.close()

    async def end(self) -> int:
        """Close its input, and wait for it: with a signal, and then a stronger one, if it takes too long.

        Returns:
            Its exit code.
        """
        self.close_input()
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                async with asyncio.timeout(END_SECONDS):
                    return await self._process.wait()
            except TimeoutError:
                self._kill(number)
        return await self._process.wait()

    def _kill(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # it has ended meanwhile


class StdioRelay:
    """One client on standard input, one server process.

    Args:
        gate: what judges.
        server: started.
        output: where the client reads.
    """

    def __init__(self, gate: Gate, server: Server, output: asyncio.StreamWriter) -> None:
        self._server = server
        self._output = output
        self._connection = Connection(gate, to_server=server.send, to_client=self._to_client)

    async def run(self, client: asyncio.StreamReader) -> int:
        """Relay until either side ends.

        Returns:
            0 if the client ended it, 1 if the server did or a fault.
        """
        up = asyncio.create_task(self._upstream(client))
        down = asyncio.create_task(self._downstream())
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if up.done() and not down.done() and up.exception() is None:
                await self._connection.drain(DRAIN_SECONDS)
                self._server.close_input()
                await asyncio.wait((down,), timeout=END_SECONDS)
                return 0
            for task in (up, down):
                if task.done() and (error := task.exception()) is not None:
                    _log.error("the relay ends: %s", error)
            return 1
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            await self._connection.close()
            await self._server.end()

    async def _upstream(self, client: asyncio.StreamReader) -> None:
        async for line in lines(client):
            try:
                frame = parse(line)
                await self._connection.from_client(frame)
            except RefusedFrame as error:
                _log.warning("a frame of the client was refused: %s", error)
                await self._to_client(error.answer())

    async def _downstream(self) -> None:
        async for line in lines(self._server.output):
            try:
                frame = parse(line)
                changed = await self._connection.from_server(frame)
            except RefusedFrame as error:
                _log.warning("a line of the server is no message, and was left out: %s", error)
                continue
            if changed is True:
                await self._write(line if line.endswith(b"\n") else line + b"\n")
            elif changed is not None:
                await self._to_client(changed)

    async def _to_client(self, message: Message) -> None:
        await self._write(dump(message))

    async def _write(self, line: bytes) -> None:
        self._output.write(line)
        await self._output.drain()


async def relay(gate: Gate, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Start a server and relay between it and the client on standard input and output.

    Returns:
        The exit code.

    Raises:
        ConfigError: if the server cannot be started, or standard input and output are no pipes.
    """
    reader, writer = await standard_streams()
    with gate.confining(gate.settings.cwd) as confinement:
        server = await Server.start(command, confinement, env=env, cwd=gate.settings.cwd)
        with told_to_stop():
            try:
                return await StdioRelay(gate, server, writer).run(reader)
            except asyncio.CancelledError:
                return 0


@contextlib.contextmanager
def told_to_stop() -> Generator[None]:
    """What is sent to end this process cancels the task that runs the block, so that everything is let go of."""
    running, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: running.cancel() if running is not None else None)
    yield


async def standard_streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Standard input and output of this process; whatever else prints goes to standard error from here on.

    Raises:
        ConfigError: if they are no pipes, sockets or terminals.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_FRAME_BYTES)
    given, taken = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(given, "rb", 0))
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(taken, "wb", 0))
    except (ValueError, OSError):
        raise ConfigError("standard input and output must be pipes: an MCP client starts the relay with such") from None
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


async def lines(stream: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            raise RuntimeError(f"a frame has more than {MAX_FRAME_BYTES} bytes") from None
        if not line:
            return
        if line.strip():
            yield line
