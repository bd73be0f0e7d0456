"""One instance of a compiled policy: OPA's wasm ABI, version 1, spoken through wasmtime.

An instance belongs to one thread, and is thrown away after any failure.
Source of the ABI: https://www.openpolicyagent.org/docs/wasm, read 2026-11-22.
Not concerned with deadlines in seconds, caching or threads: `guardrail.policy._wasm` is.
"""

from __future__ import annotations

import ctypes
import struct
import weakref
from typing import Any, Final, NoReturn

import orjson
import wasmtime

from guardrail.errors import EngineFault

PAGE: Final = 64 * 1024
"""One page of wasm memory, in bytes."""

HEADROOM: Final = 256 * 1024
"""Memory made sure of behind the input, in bytes, so that a usual evaluation need not grow."""

SETUP_TICKS: Final = 1 << 30
"""Deadline while an instance is made: the module's own start-up code is not hostile."""

SMALLEST_ABI: Final = (1, 2)
"""First version that has `opa_eval`."""

_SLOTS: Final = 7
"""What `opa_eval` takes, in integers."""


class Compiled:
    """A module with what its instances need: shared by all threads, never changed.

    Args:
        engine: made with epoch interruption.
        module: the compiled policy.
        memory_bytes: largest memory of one instance, in bytes.
    """

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, memory_bytes: int) -> None:
        self.engine: Final = engine
        self.module: Final = module
        self.max_pages: Final = memory_bytes // PAGE
        self.min_pages: Final = _least_pages(module)
        if self.min_pages > self.max_pages:
            raise EngineFault(f"the policy needs at least {self.min_pages * PAGE} bytes of memory")


def _least_pages(module: wasmtime.Module) -> int:
    for item in module.imports:
        if item.name == "memory" and isinstance(item.type, wasmtime.MemoryType):
            return item.type.limits.min
    raise EngineFault("the module does not import a memory, so OPA did not make it")


class Instance:
    """Store, memory and functions of one policy.

    Args:
        compiled: the module.
        data: the JSON object that rules see as `data`.
        entrypoint: the rule to ask, as a path.

    Raises:
        EngineFault: if it is no OPA policy of this ABI, needs functions of the host, or lacks the entrypoint.
        wasmtime.WasmtimeError: if there is not enough address space.
    """

    def __init__(self, compiled: Compiled, data: bytes, entrypoint: str) -> None:
        self._host = _Host(self)
        self._store = wasmtime.Store(compiled.engine)
        self._store.set_epoch_deadline(SETUP_TICKS)
        limits = wasmtime.Limits(compiled.min_pages, compiled.max_pages)
        self._memory = wasmtime.Memory(self._store, wasmtime.MemoryType(limits))
        exports = self._linker(compiled).instantiate(self._store, compiled.module).exports(self._store)
        self._exports = dict(exports.items())
        self._check_abi()
        self._entrypoint = self._find(entrypoint)
        self._data = self._load(data)
        # Everything behind the data is free for one evaluation, and again for the next one.
        self._heap = self._call("opa_heap_ptr_get")
        self.initial_bytes: Final = self._memory.data_len(self._store)
        self._eval: Any = self._exports["opa_eval"]
        self._map()
        self._raw = _RawCall(self._store, self._memory, self._eval) if _RawCall.available() else None

    @property
    def raw(self) -> bool:
        """Whether evaluations use wasmtime's raw call, which is private and 50 us faster than the public one."""
        return self._raw is not None

    @property
    def memory_bytes(self) -> int:
        """Size of the linear memory now, in bytes; it grows and never shrinks."""
        return self._length

    def use_public_call(self) -> None:
        """Use the public call from now on."""
        self._raw = None

    def evaluate(self, document: bytes, ticks: int) -> bytes:
        """Evaluate the entrypoint.

        Args:
            document: the input, valid JSON: text that is not JSON would be taken for no input at all.
            ticks: deadline, in ticks of the epoch from now.

        Returns:
            The result set, JSON.

        Raises:
            EngineFault: if the code traps or aborts, in time or in memory, or the input does not fit.
        """
        size, heap = len(document), self._heap
        if heap + size + HEADROOM > self._length:
            self._grow(heap + size + HEADROOM - self._length)
        ctypes.memmove(self._address + heap, document, size)
        if self._raw is not None:
            answer = self._raw.evaluate(self._entrypoint, self._data, heap, size, ticks, self._fail)
            length = self._raw.memory_bytes()
        else:
            answer = self._public(size, ticks)
            length = self._memory.data_len(self._store)
        if length != self._length:
            self._map()
        if not 0 < answer < self._length:
            raise EngineFault("the policy answered with an address outside of its memory")
        return ctypes.string_at(self._address + answer)

    def _public(self, size: int, ticks: int) -> int:
        heap = self._heap
        self._store.set_epoch_deadline(ticks)
        try:
            answer: int = self._eval(self._store, 0, self._entrypoint, self._data, heap, size, heap + size, 0)
        except (wasmtime.Trap, wasmtime.WasmtimeError, _Abort) as error:
            self._fail(str(error))
        return answer

    def _fail(self, text: str) -> NoReturn:
        # wasmtime-py keeps a callback's exception for all threads in one place, so our own copy of the text goes first.
        last = text.strip().rpartition("\n")[2].strip()
        raise EngineFault(f"the policy did not come to an end: {self._host.gave_up or last}")

    def _grow(self, missing: int) -> None:
        try:
            self._memory.grow(self._store, -(-missing // PAGE))
        except wasmtime.WasmtimeError:
            raise EngineFault("the document does not fit into the policy's memory") from None
        self._map()

    def _map(self) -> None:
        """Where the memory lies now: it may move when it grows."""
        self._length = self._memory.data_len(self._store)
        self._address = ctypes.addressof(self._memory.data_ptr(self._store).contents)

    def _linker(self, compiled: Compiled) -> wasmtime.Linker:
        i32 = wasmtime.ValType.i32()
        linker = wasmtime.Linker(compiled.engine)
        linker.define(self._store, "env", "memory", self._memory)
        linker.define_func("env", "opa_abort", wasmtime.FuncType([i32], []), self._host.abort)
        linker.define_func("env", "opa_println", wasmtime.FuncType([i32], []), _ignore)
        for count in range(5):
            kind = wasmtime.FuncType([i32] * (2 + count), [i32])
            linker.define_func("env", f"opa_builtin{count}", kind, self._host.builtin)
        return linker

    def _check_abi(self) -> None:
        version = tuple(self._global(name) for name in ("opa_wasm_abi_version", "opa_wasm_abi_minor_version"))
        if not SMALLEST_ABI <= version < (2, 0):
            raise EngineFault(f"the policy speaks ABI {version}, this host 1.2 or a later 1.x")

    def _find(self, entrypoint: str) -> int:
        needed: dict[str, int] = orjson.loads(self.text(self._call("opa_json_dump", self._call("builtins"))))
        if needed:
            raise EngineFault(f"the policy needs functions that this host does not give: {', '.join(sorted(needed))}")
        known: dict[str, int] = orjson.loads(self.text(self._call("opa_json_dump", self._call("entrypoints"))))
        if entrypoint not in known:
            raise EngineFault(f"the policy has no entrypoint `{entrypoint}`")
        return known[entrypoint]

    def _global(self, name: str) -> int:
        value = self._exports.get(name)
        return int(value.value(self._store)) if isinstance(value, wasmtime.Global) else 0

    def _call(self, name: str, *args: int) -> int:
        function = self._exports.get(name)
        if not isinstance(function, wasmtime.Func):
            raise EngineFault(f"the module does not export `{name}`, so OPA did not make it")
        try:
            result: int = function(self._store, *args)
        except (wasmtime.Trap, wasmtime.WasmtimeError, _Abort) as error:
            self._fail(str(error))
        return result

    def _load(self, text: bytes) -> int:
        address = self._call("opa_malloc", len(text))
        self._memory.write(self._store, text, address)
        value = self._call("opa_json_parse", address, len(text))
        if not value:
            raise EngineFault("the policy's data is not JSON")
        return value

    def text(self, address: int) -> str:
        """What the module has written there."""
        base = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        return ctypes.string_at(base + address).decode("utf-8", "replace")


class _Host:
    """What a module may call of its host.

    INVARIANT: it holds neither the instance nor its store. wasmtime-py keeps callbacks until the store is freed, so
    that an instance which they held would never be: neither its memory nor its address space.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = weakref.ref(instance)
        self.gave_up = ""
        """Why the module gave up, once it has."""

    def abort(self, address: int) -> None:
        instance = self._instance()
        self.gave_up = instance.text(address)[:500] if instance is not None else ""
        raise _Abort(self.gave_up)

    def builtin(self, number: int, *_operands: int) -> int:
        self.gave_up = f"host function {number} was called, and this host gives none"
        raise _Abort(self.gave_up)


class _Abort(Exception):
    """The module gave up; raised through wasmtime to the caller."""


class _RawCall:
    """`opa_eval` without wasmtime-py's marshalling: seven raw integers in one array that is used again and again.

    It uses names that wasmtime-py keeps private: `guardrail.policy._wasm` compares it with the public call at start.
    The deadline and the size of the memory are asked for in the same way; that is over at once, so that no other thread
    is given a turn for it, as one is during the call itself.
    """

    def __init__(self, store: wasmtime.Store, memory: wasmtime.Memory, function: Any) -> None:
        from wasmtime import _ffi

        library: Any = _ffi
        # Plain addresses, which ctypes passes on without a look; who owns what lies there is kept beside them.
        self._owners = (store, memory, function)
        self._context = ctypes.cast(store._context(), ctypes.c_void_p).value
        self._function = ctypes.addressof(function._func)
        self._memory = ctypes.addressof(memory._memory)
        self._slots: Any = (library.wasmtime_val_raw_t * _SLOTS)()
        self._slots_at = ctypes.addressof(self._slots)
        # wasmtime keeps raw integers in the order of bytes of wasm, at the start of a slot.
        self._pack = struct.Struct("<" + f"I{ctypes.sizeof(library.wasmtime_val_raw_t) - 4}x" * _SLOTS).pack_into
        # Null until a call traps, and then the instance is not used again.
        self._trap: Any = ctypes.POINTER(_ffi.wasm_trap_t)()
        self._trap_at = ctypes.addressof(self._trap)
        handle, address = library.dll._handle, ctypes.c_void_p
        yielding, keeping = ctypes.CDLL(None, handle=handle), ctypes.PyDLL(None, handle=handle)
        self._call = _typed(yielding.wasmtime_func_call_unchecked, address, *[address] * 3, ctypes.c_size_t, address)
        self._set_deadline = _typed(keeping.wasmtime_context_set_epoch_deadline, None, address, ctypes.c_uint64)
        self._size = _typed(keeping.wasmtime_memory_data_size, ctypes.c_size_t, address, address)

    @staticmethod
    def available() -> bool:
        from wasmtime import _ffi

        names = ("dll", "wasmtime_val_raw_t", "wasm_trap_t", "wasmtime_error_t")
        calls = ("func_call_unchecked", "context_set_epoch_deadline", "memory_data_size")
        return (
            all(hasattr(_ffi, name) for name in names)
            and all(hasattr(_ffi.dll, f"wasmtime_{name}") for name in calls)
            and hasattr(wasmtime.Store, "_context")
        )

    def evaluate(self, entrypoint: int, data: int, heap: int, size: int, ticks: int, fail: Any) -> int:
        slots = self._slots
        # Reserved, entrypoint, data, input, its length, where the heap starts, format 0 for JSON.
        self._pack(slots, 0, 0, entrypoint, data, heap, size, heap + size, 0)
        self._set_deadline(self._context, ticks)
        error = self._call(self._context, self._function, self._slots_at, _SLOTS, self._trap_at)
        trap = self._trap
        if error or trap:
            # Both are ours to free, which their classes do. A callback that raised comes as `error`, a trap as `trap`.
            fail(wasmtime.Trap._from_ptr(trap).message if trap else str(_error_at(error)))
        answer: int = slots[0].i32
        return answer

    def memory_bytes(self) -> int:
        """Size of the linear memory, in bytes."""
        size: int = self._size(self._context, self._memory)
        return size


def _error_at(address: int) -> wasmtime.WasmtimeError:
    from wasmtime import _ffi

    return wasmtime.WasmtimeError._from_ptr(ctypes.cast(address, ctypes.POINTER(_ffi.wasmtime_error_t)))


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    """A function of the library with the types of what it takes and gives."""
    function.restype, function.argtypes = result, arguments
    return function


def _ignore(_address: int) -> None:
    """A policy built by us never prints; one that does may not write into anybody's output."""
