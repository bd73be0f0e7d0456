"""A small assembler for seccomp filters: rules for each call, as data, become classic BPF.

A filter sees registers, never memory: what stands behind a pointer is for the supervisor to read.
All arguments that rules look at are `int`, so the low half of each register decides, as it does in the kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

ALLOW: Final = 0x7FFF0000
NOTIFY: Final = 0x7FC00000
KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP: Final = 0x05  # BPF_JMP | BPF_JA
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_OF: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_NUMBER: Final = 0  # offsets in struct seccomp_data
_ARCH: Final = 4
_ARGS: Final = 16

MAX_INSTRUCTIONS: Final = 4096
"""Longest filter that the kernel takes, in instructions (BPF_MAXINSNS)."""

MAX_JUMP: Final = 255
"""Longest conditional jump, in instructions."""

_IN_A_ROW: Final = 4
"""Most calls that are compared one after another; more are halved first, as every call of a tool goes through this, and
the kernel tries each number when a filter is put in place."""


def errno_of(number: int) -> int:
    """The action that fails a call with an error."""
    return _ERRNO | number


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an argument.

    Args:
        arg: which, from 0.
        how: `is` compares the bits of `mask` with `value`; `has` asks for any bit of `value`; `lacks` for none.
    """

    arg: int
    how: Literal["is", "has", "lacks"]
    value: int
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """What is answered where all tests hold.

    Args:
        action: such as `ALLOW`.
        tests: none means always.
    """

    action: int
    tests: tuple[Look, ...] = ()


def assemble(audit: int, calls: Mapping[int, Sequence[Rule]], *, newest: int, x32: int, missing: int) -> bytes:
    """The program for a machine.

    Args:
        audit: the machine's AUDIT_ARCH; any other kills the process.
        calls: rules of each call, tried in order; a call without rules is allowed, and so is one of which none holds.
        newest: highest number that is known.
        x32: bit that marks numbers of another ABI.
        missing: action for numbers above `newest` or with that bit.

    Raises:
        ValueError: if it is too long for the kernel.
    """
    code = [
        _ins(_LOAD, _ARCH),
        _ins(_EQUAL, audit, 1, 0),
        _ins(_RETURN, KILL_PROCESS),
        _ins(_LOAD, _NUMBER),
        _ins(_AT_LEAST, min(newest + 1, x32), 0, 1),
        _ins(_RETURN, missing),
    ]
    code += _search(sorted(calls.items()))
    if len(code) > MAX_INSTRUCTIONS:
        raise ValueError(f"the filter is longer than {MAX_INSTRUCTIONS} instructions")
    return b"".join(code)


def _search(found: Sequence[tuple[int, Sequence[Rule]]]) -> list[bytes]:
    """Instructions that answer a call by its number, which has been loaded; the calls are in the order of theirs."""
    if len(found) > _IN_A_ROW:
        half = len(found) // 2
        low = _search(found[:half])
        # Conditional jumps are short: the one over the lower half is a jump of its own.
        return [_ins(_AT_LEAST, found[half][0], 0, 1), _ins(_JUMP, len(low)), *low, *_search(found[half:])]
    code: list[bytes] = []
    for number, rules in found:
        body = _body(rules)
        if len(body) > MAX_JUMP:
            raise ValueError(f"rules of call {number} are longer than {MAX_JUMP} instructions")
        code += [_ins(_EQUAL, number, 0, len(body)), *body]
    return [*code, _ins(_RETURN, ALLOW)]


def _body(rules: Sequence[Rule]) -> list[bytes]:
    code: list[bytes] = []
    for rule in rules:
        block = [_ins(_RETURN, rule.action)]
        for test in reversed(rule.tests):
            block = [*_test(test, len(block)), *block]
        code += block
    if not rules or rules[-1].tests:
        code.append(_ins(_RETURN, ALLOW))
    return code


def _test(test: Look, rest: int) -> list[bytes]:
    """Instructions that fall through where the test holds, and else jump over the `rest` instructions after them."""
    load = [_ins(_LOAD, _ARGS + 8 * test.arg)]
    if test.how == "is":
        mask = [_ins(_AND, test.mask)] if test.mask != 0xFFFFFFFF else []
        return [*load, *mask, _ins(_EQUAL, test.value, 0, rest)]
    return [*load, _ins(_ANY_OF, test.value, *((0, rest) if test.how == "has" else (rest, 0)))]


def _ins(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k & 0xFFFFFFFF)
