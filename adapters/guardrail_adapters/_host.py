"""Parts of the standard library that ask first: each call is judged as the shell command that does the same.

Not concerned with what a command does; the analysis knows, and it is the same for every door.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from guardrail import InvalidCall, ToolCall
from guardrail_adapters._caller import Caller

Run = Callable[[ToolCall, Callable[[ToolCall], Any]], Any]
"""`Guard.run`."""

_TOLD: Final = frozenset({"capture_output", "check", "text", "encoding", "errors", "timeout", "universal_newlines"})
"""Options of `subprocess.run` that change nothing about what the command does."""

_PLACES: Final = (subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT)
"""Where output may go; a file of the program's own could be an asset."""

Path = str | os.PathLike[str]


class _Part:
    """A part of the standard library.

    Args:
        run: carries a call out, if it may be.
        caller: who calls.
    """

    def __init__(self, run: Run, caller: Caller) -> None:
        self._run = run
        self._caller = caller

    def _as_shell(self, words: Sequence[str], act: Callable[[], Any]) -> Any:
        """Do what a command of these words would do, if that may be."""
        return self._run(self._caller.call("bash", {"command": shlex.join(words)}), lambda _: act())


class Subprocess(_Part):
    """`subprocess`, judged as the command that it starts."""

    def run(
        self,
        args: str | Sequence[Path],
        *,
        shell: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,  # noqa: A002 - the standard library's name
        **options: Any,
    ) -> subprocess.CompletedProcess[Any]:
        """`subprocess.run`.

        Raises:
            Denied: if it may not be.
            Escalated: if a person has to decide first.
            InvalidCall: for an option that changes what is run in a way that could not be judged.
        """
        _check(options)
        words = args if isinstance(args, str) else [os.fspath(word) for word in args]
        if isinstance(words, str) != shell:
            raise InvalidCall("give a list of words, or one text and `shell=True`")
        kept = None if env is None else dict(env)
        command = _command(words, kept, input)
        call = self._caller.call("bash", {"command": command}, cwd=None if cwd is None else os.path.abspath(cwd))

        def execute(own: ToolCall) -> subprocess.CompletedProcess[Any]:
            # INVARIANT: what runs is what was judged: the words are ours, and the place is the one in the call.
            more: dict[str, Any] = {"check": False, **options, "cwd": own.cwd, "env": kept, "input": input}
            start: Any = subprocess.run  # the checker's many overloads of it know no `**options`
            answer: subprocess.CompletedProcess[Any] = start(words, shell=shell, **more)
            return answer

        done: subprocess.CompletedProcess[Any] = self._run(call, execute)
        return done

    def check_call(self, args: str | Sequence[Path], **options: Any) -> int:
        """`subprocess.check_call`."""
        return self.run(args, check=True, **options).returncode

    def check_output(self, args: str | Sequence[Path], **options: Any) -> Any:
        """`subprocess.check_output`."""
        return self.run(args, check=True, stdout=subprocess.PIPE, **options).stdout


def _check(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name in ("stdout", "stderr") and value in _PLACES:
            continue
        if name not in _TOLD:
            raise InvalidCall(f"`{name}` changes what is run in a way that cannot be judged: leave it out")


def _command(words: str | Sequence[str], env: Mapping[str, str] | None, input: str | bytes | None) -> str:  # noqa: A002
    """The shell command that does the same."""
    text = words if isinstance(words, str) else shlex.join(words)
    if env is not None:
        changed = [f"{name}={value}" for name, value in env.items() if os.environ.get(name) != value]
        # `env` takes a command of words; a shell's own text is one more word for it.
        inner = ["sh", "-c", words] if isinstance(words, str) else list(words)
        text = shlex.join(["env", *changed, *inner]) if changed else text
    if input is not None:
        said = input if isinstance(input, str) else input.decode("utf-8", "backslashreplace")
        text = (
            f"printf %s {shlex.quote(said)} | {text}"
            if not isinstance(words, str)
            else (f"printf %s {shlex.quote(said)} | sh -c {shlex.quote(text)}")
        )
    return text


class Shutil(_Part):
    """`shutil`, judged as `cp`, `mv` and `rm`."""

    def copy(self, src: Path, dst: Path) -> Any:
        """`shutil.copy`."""
        return self._two(["cp", "--"], src, dst, shutil.copy)

    def copy2(self, src: Path, dst: Path) -> Any:
        """`shutil.copy2`."""
        return self._two(["cp", "-p", "--"], src, dst, shutil.copy2)

    def copyfile(self, src: Path, dst: Path) -> Any:
        """`shutil.copyfile`."""
        return self._two(["cp", "-T", "--"], src, dst, shutil.copyfile)

    def copytree(self, src: Path, dst: Path) -> Any:
        """`shutil.copytree`."""
        return self._two(["cp", "-rT", "--"], src, dst, shutil.copytree)

    def move(self, src: Path, dst: Path) -> Any:
        """`shutil.move`."""
        return self._two(["mv", "--"], src, dst, shutil.move)

    def rmtree(self, path: Path) -> None:
        """`shutil.rmtree`."""
        gone = _placed(self._caller, path)
        self._as_shell(["rm", "-r", "--", gone], lambda: shutil.rmtree(gone))

    def _two(self, words: list[str], src: Path, dst: Path, act: Callable[[str, str], Any]) -> Any:
        source, target = _placed(self._caller, src), _placed(self._caller, dst)
        return self._as_shell([*words, source, target], lambda: act(source, target))


def _placed(caller: Caller, path: Path) -> str:
    """An absolute path, so that it means the same to the analysis and to the standard library."""
    here = caller.cwd if isinstance(caller.cwd, str) else caller.cwd()
    text = os.fspath(path)
    # A slash at the end says that it is a directory, and follows a link there.
    return os.path.join(here, text)


class GuardedPath(_Part):
    """A path whose reading, writing and deleting asks first.

    Args:
        run: carries a call out, if it may be.
        caller: who calls.
        path: where; a relative one lies below the caller's directory.
    """

    def __init__(self, run: Run, caller: Caller, path: Path) -> None:
        super().__init__(run, caller)
        self._path = pathlib.Path(_placed(caller, path))

    def __truediv__(self, other: Path) -> GuardedPath:
        return GuardedPath(self._run, self._caller, self._path / other)

    def __fspath__(self) -> str:
        return str(self._path)

    def __str__(self) -> str:
        return str(self._path)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Read text."""
        text: str = self._asked("read_file", {}, lambda: self._path.read_text(encoding=encoding))
        return text

    def read_bytes(self) -> bytes:
        """Read bytes."""
        data: bytes = self._asked("read_file", {}, self._path.read_bytes)
        return data

    def write_text(self, data: str, encoding: str = "utf-8") -> int:
        """Write text."""
        count: int = self._asked(
            "write_file", {"content": data}, lambda: self._path.write_text(data, encoding=encoding)
        )
        return count

    def write_bytes(self, data: bytes) -> int:
        """Write bytes."""
        content, own = data.decode("utf-8", "backslashreplace"), bytes(data)
        count: int = self._asked("write_file", {"content": content}, lambda: self._path.write_bytes(own))
        return count

    def unlink(self) -> None:
        """Delete a file."""
        self._as_shell(["rm", "--", str(self._path)], self._path.unlink)

    def rmdir(self) -> None:
        """Delete an empty directory."""
        self._as_shell(["rmdir", "--", str(self._path)], self._path.rmdir)

    def mkdir(self, *, parents: bool = False) -> None:
        """Make a directory."""
        option = ["-p"] if parents else []
        self._as_shell(["mkdir", *option, "--", str(self._path)], lambda: self._path.mkdir(parents=parents))

    def chmod(self, mode: int) -> None:
        """Change the mode."""
        self._as_shell(["chmod", f"{mode:o}", "--", str(self._path)], lambda: self._path.chmod(mode))

    def rename(self, target: Path) -> GuardedPath:
        """Give it another name."""
        new = GuardedPath(self._run, self._caller, target)
        self._as_shell(["mv", "-T", "--", str(self._path), str(new)], lambda: self._path.rename(new))
        return new

    def iterdir(self) -> list[GuardedPath]:
        """What lies in a directory."""
        names: list[pathlib.Path] = self._as_shell(
            ["ls", "-a", "--", str(self._path)], lambda: sorted(self._path.iterdir())
        )
        return [GuardedPath(self._run, self._caller, name) for name in names]

    def _asked(self, tool: str, args: dict[str, Any], act: Callable[[], Any]) -> Any:
        return self._run(self._caller.call(tool, {"path": str(self._path), **args}), lambda _: act())
