"""Guardrail for deepagents: `guard_backend` judges what reaches a backend, also past every tool.

Tools of deepagents, those of its subagents included, are guarded by `guardrail_adapters.langgraph.instrument`; its
middlewares use the backend themselves too, and a backend may serve paths that are not those of the host.
What would need a person is refused here: a backend cannot pause a graph.
"""

from __future__ import annotations

import asyncio
import functools
import os
import posixpath
from collections.abc import Callable, Sequence
from typing import Any, Final, Unpack

try:
    from deepagents.backends.protocol import (
        BackendProtocol,
        DeleteResult,
        EditResult,
        ExecuteResponse,
        FileDownloadResponse,
        FileUploadResponse,
        GlobResult,
        GrepResult,
        LsResult,
        ReadResult,
        SandboxBackendProtocol,
        WriteResult,
    )
    from langgraph.config import get_config
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded: install `guardrail-runtime[deepagents]`"
    ) from None

from guardrail import Blocked, ConfigError, Outcome, ToolCall
from guardrail.model import NEUTRAL
from guardrail_adapters._calls import CallReader, Options, Site
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._ran import Ran
from guardrail_adapters._tripwire import PASS

__all__ = ["GuardLike", "Options", "guard_backend"]

NOT_EXECUTABLE: Final = 126
"""Exit code of a command that was not carried out, as shells have it for what may not be executed."""


class _Gate:
    """Carries one action of a backend out through the guard, if it may be."""

    def __init__(self, guard: GuardLike, root: str | None, options: Options) -> None:
        self._guard = guard
        self._root = root
        self._reader = CallReader.of(options)

    def run(self, tool: str, args: dict[str, Any], act: Callable[[], Any], refused: Callable[[str], Any]) -> Any:
        """Act, or give back what `refused` makes of the neutral text."""
        if self._released(tool, args):
            return act()
        ran = Ran()

        def carry_out(_: ToolCall) -> Any:
            with ran.watch():
                ran.value = act()
            return None  # contents of files are not the result of a call, and not for the trail

        try:
            self._guard.run(self._call(tool, args), carry_out)
        except Exception as error:  # noqa: BLE001 - judging must not raise out of a backend
            if ran.error is not None:
                raise ran.error from None
            if not ran.done:
                outcome = error.decision.outcome if isinstance(error, Blocked) else Outcome.DENY
                return refused(NEUTRAL[outcome])
        return ran.value

    def _call(self, tool: str, args: dict[str, Any]) -> ToolCall:
        try:
            config: Any = get_config()
        except RuntimeError:
            config = {}  # outside of a graph
        named = {key: self._placed(value) if key in _PATHS else value for key, value in args.items()}
        return self._reader.read({"name": tool, "args": named}, Site(state={}, config=config)).call

    def _placed(self, path: Any) -> Any:
        """Where a path of the backend lies on the host."""
        if self._root is None or not isinstance(path, str):
            return path
        # A path that leads out of the root is one of the host: what the backend makes of it is the backend's affair.
        inside = posixpath.normpath("/" + path.lstrip("/"))
        return self._root.rstrip("/") + inside

    def _released(self, tool: str, args: dict[str, Any]) -> bool:
        """Whether this is what a tool does that the guard has just released; with other paths it is judged again."""
        leave = PASS.get()
        if leave is None or leave.tool != tool or self._root is not None:
            return False
        return all(leave.args.get(key) == value for key, value in args.items() if value is not None)


_PATHS: Final = frozenset({"path", "file_path"})


class _Files(BackendProtocol):
    """A backend behind the guard."""

    def __init__(self, backend: BackendProtocol, gate: _Gate) -> None:
        self._backend = backend
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        # Only what the protocol does not have comes here, such as a backend's own settings.
        return getattr(self._backend, name)

    def ls(self, path: str) -> LsResult:
        """List."""
        answer: LsResult = self._run(
            "ls", {"path": path}, lambda: self._backend.ls(path), lambda text: LsResult(error=text)
        )
        return answer

    def read(self, file_path: str, offset: int = 0, limit: int = 2000) -> ReadResult:
        """Read."""
        act = functools.partial(self._backend.read, file_path, offset, limit)
        answer: ReadResult = self._run("read_file", {"file_path": file_path}, act, lambda text: ReadResult(error=text))
        return answer

    def grep(
        self, pattern: str, path: str | None = None, glob: str | None = None, *, max_count: int | None = None
    ) -> GrepResult:
        """Search in files."""
        more: dict[str, Any] = {} if max_count is None else {"max_count": max_count}
        act = functools.partial(self._backend.grep, pattern, path, glob, **more)
        args = _given(pattern=pattern, path=path, glob=glob)
        answer: GrepResult = self._run("grep", args, act, lambda text: GrepResult(error=text))
        return answer

    def glob(self, pattern: str, path: str | None = None) -> GlobResult:
        """Find files."""
        act = functools.partial(self._backend.glob, pattern, path)
        answer: GlobResult = self._run(
            "glob", _given(pattern=pattern, path=path), act, lambda text: GlobResult(error=text)
        )
        return answer

    def write(self, file_path: str, content: str) -> WriteResult:
        """Write."""
        args = {"file_path": file_path, "content": content}
        act = functools.partial(self._backend.write, file_path, content)
        answer: WriteResult = self._run("write_file", args, act, lambda text: WriteResult(error=text))
        return answer

    def edit(self, file_path: str, old_string: str, new_string: str, replace_all: bool = False) -> EditResult:
        """Edit."""
        args: dict[str, Any] = {"file_path": file_path, "old_string": old_string, "new_string": new_string}
        if replace_all:
            args["replace_all"] = True
        act = functools.partial(self._backend.edit, file_path, old_string, new_string, replace_all)
        answer: EditResult = self._run("edit_file", args, act, lambda text: EditResult(error=text))
        return answer

    def delete(self, file_path: str) -> DeleteResult:
        """Delete."""
        act = functools.partial(self._backend.delete, file_path)
        answer: DeleteResult = self._run("delete", {"file_path": file_path}, act, lambda text: DeleteResult(error=text))
        return answer

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Write several files; each is judged on its own."""
        return [self._upload(path, content) for path, content in files]

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Read several files; each is judged on its own."""
        return [self._download(path) for path in paths]

    def _upload(self, path: str, content: bytes) -> FileUploadResponse:
        args = {"file_path": path, "content": content.decode("utf-8", "backslashreplace")}
        act = functools.partial(_single, self._backend.upload_files, [(path, content)])
        refusal = FileUploadResponse(path=path, error="permission_denied")
        answer: FileUploadResponse = self._run("write_file", args, act, lambda _: refusal)
        return answer

    def _download(self, path: str) -> FileDownloadResponse:
        act = functools.partial(_single, self._backend.download_files, [path])
        refusal = FileDownloadResponse(path=path, content=None, error="permission_denied")
        answer: FileDownloadResponse = self._run("read_file", {"file_path": path}, act, lambda _: refusal)
        return answer

    def _run(self, tool: str, args: dict[str, Any], act: Callable[[], Any], refused: Callable[[str], Any]) -> Any:
        return self._gate.run(tool, args, act, refused)

    # `BackendProtocol` makes each coroutine of the method above, in a worker thread; so does this, for all of them.


class _Sandbox(_Files, SandboxBackendProtocol):
    """A backend with a shell, behind the guard."""

    _backend: SandboxBackendProtocol

    @property
    def id(self) -> str:
        """The sandbox's own."""
        return self._backend.id

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Run a command."""
        more: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        act = functools.partial(self._backend.execute, command, **more)
        answer: ExecuteResponse = self._run("execute", {"command": command}, act, _not_executed)
        return answer

    async def aexecute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:  # noqa: ASYNC109 - the framework's signature
        """Run a command."""
        return await asyncio.to_thread(functools.partial(self.execute, command, timeout=timeout))


def _not_executed(text: str) -> ExecuteResponse:
    return ExecuteResponse(output=text, exit_code=NOT_EXECUTABLE, truncated=False)


def _single(act: Callable[[list[Any]], Sequence[Any]], items: list[Any]) -> Any:
    (answer,) = act(items)
    return answer


def _given(**args: Any) -> dict[str, Any]:
    return {name: value for name, value in args.items() if value is not None}


def guard_backend(
    backend: BackendProtocol,
    guard: GuardLike,
    *,
    root: str | os.PathLike[str] | None = None,
    **options: Unpack[Options],
) -> BackendProtocol:
    """A backend that does only what the guard allows; what is refused comes back as the backend's own error.

    Args:
        backend: what does it; one with `execute` stays one.
        guard: what judges.
        root: where the backend's `/` lies on the host, for one with virtual paths; None if its paths are the host's.
        options: as for `instrument`: subject, cwd, session.

    Returns:
        The backend to give to `create_deep_agent`.

    Raises:
        ConfigError: if `backend` is no backend, or `root` is not absolute.
    """
    if not isinstance(backend, BackendProtocol):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigError(f"`backend` must be a backend of deepagents, not a `{type(backend).__name__}`")
    place = None if root is None else os.fspath(root)
    if place is not None and not place.startswith("/"):
        raise ConfigError(f"`root` must be an absolute path, not `{place}`")
    gate = _Gate(guard, place, options)
    return _Sandbox(backend, gate) if isinstance(backend, SandboxBackendProtocol) else _Files(backend, gate)
