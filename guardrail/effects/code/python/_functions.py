"""Built-in functions, and those of the standard library that call what they are given."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._methods import paths
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._texts import any_of, truth, whole
from guardrail.effects.code.python._values import (
    MAX_ITEMS,
    NAME,
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Handle,
    Instance,
    Partial,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    carried,
    concrete,
    join,
    options,
    path_texts,
    printed,
    text,
)
from guardrail.effects.domain._values import NUM, TOP, merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


def content(args: Args) -> tuple[Resource, ...]:
    """Whose content is in any argument."""
    found: tuple[Resource, ...] = ()
    for value in args.all():
        found = merge(found, carried(value))
    return found


# -- output and input


@handles("builtins.print", "pprint.pprint", "pprint.pp")
def print_out(machine: Machine, args: Args) -> Value:
    """`print`: to standard output or to what is open."""
    file = args.named.get("file")
    end, between = args.named.get("end"), args.named.get("sep")
    sources: tuple[Resource, ...] = ()
    parts: list[str] = []
    exact = args.vague is None
    for value in args.pos:
        machine.account(value)
        sources = merge(sources, value.sources if isinstance(value, Thing) else carried(value))
        shown = printed(value) if not isinstance(value, Handle) else (TOP,)
        one = shown[0] if len(shown) == 1 else TOP
        exact = exact and not any(mark in one for mark in (TOP, NUM, NAME))
        parts.append(one)
    for value in (end, between, args.vague):
        machine.account(value)
        sources = merge(sources, carried(value))
    separator = " " if between is None else single(between)
    last = "\n" if end is None else single(end)
    words = separator.join(parts) + last if exact and separator is not None and last is not None else None
    if file is None or (isinstance(file, Const) and file.value is None):
        machine.write_out(sources, words)
    else:
        machine.sink(file, sources, words)
    return NONE


@handles("builtins.input")
def read_line(machine: Machine, args: Args) -> Value:
    """A line of standard input."""
    for value in args.all():
        machine.account(value)
        machine.write_out(carried(value), None)
    return anything(machine.call.stdin.sources)


# -- values


_PURE: Final[dict[str, Callable[..., Any]]] = {
    "chr": chr, "ord": ord, "int": int, "float": float, "bool": bool, "hex": hex, "bin": bin, "oct": oct, "abs": abs,
    "round": round, "divmod": divmod, "len": len, "sum": sum, "min": min, "max": max, "any": any, "all": all,
    "ascii": ascii, "bytes": bytes, "bytearray": bytearray, "complex": complex,
}  # fmt: skip


def _pure(name: str, work: Callable[..., Any]) -> Callable[[Machine, Args], Value]:
    def run(machine: Machine, args: Args) -> Value:
        sources = () if name in ("len", "bool", "any", "all") else content(args)
        for value in args.pos:
            machine.account(value)
            machine.escape(value)
        plain = [concrete(value) for value in args.pos]
        given = [item.value for item in plain if item is not None]
        if args.vague is None and not args.named and len(given) == len(plain) and _fits(name, given):
            try:
                return whole(work(*given), sources, machine.branch)
            except Exception:  # noqa: BLE001 - whatever Python says to odd arguments, the snippet would hear it too
                return Unknown(sources)
        if name in ("min", "max") and args.pos:
            items, rest = machine.items_of(args.pos[0]) if len(args.pos) == 1 else (args.pos, None)
            if "key" in args.named:
                with machine.undecided():
                    each = any_of([*items, *([rest] if rest is not None else [])])
                    machine.call_value(args.named["key"], Args([each]))
            return any_of([*items, *([rest] if rest is not None else []), *args.named.values()])
        numeric = name in ("int", "float", "len", "sum", "abs", "round", "ord")
        return Unknown(sources, numeric=numeric)

    return run


def _fits(name: str, given: list[Any]) -> bool:
    if name in ("bytes", "bytearray") and given and isinstance(given[0], int):
        return given[0] < MAX_ITEMS
    return not (name == "int" and given and isinstance(given[0], str) and len(given[0]) > 1000)


for _name, _work in _PURE.items():
    handles(f"builtins.{_name}")(_pure(_name, _work))
handles("shlex.quote")(_pure("quote", shlex.quote))
handles("shlex.split")(_pure("split", shlex.split))
handles("textwrap.dedent")(_pure("dedent", textwrap.dedent))


@handles("builtins.str", "builtins.repr", "builtins.format")
def as_text(machine: Machine, args: Args) -> Value:
    """`str(x)`."""
    if not args.pos and args.vague is None:
        return text("")
    value = argument_of(args, 0)
    machine.escape(value) if isinstance(value, Instance) else None
    if isinstance(value, Const) and isinstance(value.value, bytes) and (len(args.pos) > 1 or args.named):
        return text(value.value.decode("utf-8", "replace"), value.sources)
    return Text(printed(value), value.sources if not isinstance(value, Seq | Dict) else carried(value))


@handles("builtins.repr", "builtins.ascii")
def as_repr(machine: Machine, args: Args) -> Value:
    """`repr(x)`."""
    value = argument_of(args, 0)
    plain = concrete(value)
    machine.account(value)
    return text(repr(plain.value), carried(value)) if plain is not None else anything(carried(value))


@handles("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque", "builtins.iter",
         "itertools.tee")  # fmt: skip
def as_list(machine: Machine, args: Args) -> Value:
    """A list of what iterating gives."""
    if not args.pos:
        return Seq([], "list", args.vague, machine.branch)
    value = args.pos[0]
    items, rest = machine.items_of(value)
    out = Seq(items, "list", rest, machine.branch)
    out.sources = value.sources
    return out


@handles("builtins.tuple")
def as_tuple(machine: Machine, args: Args) -> Value:
    """`tuple(x)`."""
    out = as_list(machine, args)
    if isinstance(out, Seq):
        out.kind = "tuple"
    return out


@handles("builtins.sorted", "builtins.reversed")
def as_sorted(machine: Machine, args: Args) -> Value:
    """The same items in another order."""
    value = argument_of(args, 0)
    items, rest = machine.items_of(value)
    key = args.named.get("key")
    if key is not None and not (isinstance(key, Const) and key.value is None):
        with machine.undecided():
            machine.call_value(key, Args([any_of([*items, *([rest] if rest is not None else [])])]))
    plain = [concrete(item) for item in items]
    if rest is None and all(item is not None for item in plain) and not args.named:
        try:
            pairs = sorted(
                zip([item.value for item in plain if item is not None], items, strict=True), key=lambda p: p[0]
            )
            return Seq([item for _, item in pairs], "list", born=machine.branch)
        except TypeError:
            pass
    out = Seq(items, "list", rest, machine.branch)
    out.scrambled = len(items) > 1
    return out


@handles("builtins.reversed")
def as_reversed(machine: Machine, args: Args) -> Value:
    """`reversed(x)`."""
    items, rest = machine.items_of(argument_of(args, 0))
    out = Seq(items[::-1], "list", rest, machine.branch)
    out.scrambled = rest is not None
    return out


@handles(
    "builtins.dict",
    "collections.OrderedDict",
    "collections.defaultdict",
    "types.SimpleNamespace",
    "collections.Counter",
)
def as_dict(machine: Machine, args: Args) -> Value:
    """A dictionary."""
    out = Dict({}, None, machine.branch)
    for value in args.pos:
        if isinstance(value, Dict):
            out.items.update(value.items)
            out.rest = value.rest
            continue
        machine.escape(value)
        items, rest = machine.items_of(value)
        for item in items:
            pair = machine.items_of(item)[0]
            if len(pair) == 2:
                machine.store_item(out, pair[0], pair[1])
            else:
                out.rest = Unknown(carried(value))
        if rest is not None:
            inner = machine.items_of(rest)[0]
            out.rest = any_of(inner) if inner else Unknown(carried(rest))
    out.items.update(args.named)
    if args.vague is not None:
        out.rest = args.vague
    return out


@handles("collections.defaultdict", "collections.Counter")
def as_default_dict(machine: Machine, args: Args) -> Value:
    """A dictionary that has every key."""
    for value in args.pos[:1]:
        machine.escape(value)
    return Dict({}, Unknown(), machine.branch)


@handles("builtins.range")
def as_range(machine: Machine, args: Args) -> Value:
    """Numbers."""
    plain = [concrete(value) for value in args.pos]
    given = [item.value for item in plain if item is not None]
    if len(given) == len(plain) and args.vague is None and all(isinstance(item, int) for item in given):
        try:
            numbers = range(*given)
        except (TypeError, ValueError):
            return Unknown()
        if len(numbers) <= 256:
            return Seq([Const(number) for number in numbers], "list", born=machine.branch)
    return Seq([], "list", Unknown(numeric=True), machine.branch)


@handles("builtins.enumerate", "builtins.zip", "itertools.zip_longest")
def as_enumerated(machine: Machine, args: Args) -> Value:
    """Numbers and items."""
    items, rest = machine.items_of(argument_of(args, 0))
    pairs: list[Value] = [Seq([Const(index), item], "tuple") for index, item in enumerate(items)]
    more = Seq([Unknown(numeric=True), rest], "tuple") if rest is not None else None
    return Seq(pairs, "list", more, machine.branch)


@handles("builtins.zip", "itertools.zip_longest", "itertools.product")
def as_zipped(machine: Machine, args: Args) -> Value:
    """Items side by side."""
    columns = [machine.items_of(value) for value in args.pos]
    if not columns or args.vague is not None:
        return Seq([], "list", Unknown(content(args)), machine.branch)
    if all(rest is None for _, rest in columns) and len({len(items) for items, _ in columns}) == 1:
        rows: list[Value] = [Seq(list(row), "tuple") for row in zip(*(items for items, _ in columns), strict=True)]
        return Seq(rows, "list", born=machine.branch)
    each: list[Value] = [any_of([*items, *([rest] if rest is not None else [])]) for items, rest in columns]
    return Seq([], "list", Seq(each, "tuple"), machine.branch)


@handles("itertools.product")
def as_product(machine: Machine, args: Args) -> Value:
    """Every combination."""
    columns = [machine.items_of(value) for value in args.pos]
    each: list[Value] = [any_of([*items, *([rest] if rest is not None else [])]) for items, rest in columns]
    return Seq([], "list", Seq(each, "tuple"), machine.branch)


@handles("itertools.chain", "itertools.chain.from_iterable", "heapq.merge")
def as_chain(machine: Machine, args: Args) -> Value:
    """Items of several."""
    out = Seq([], "list", args.vague, machine.branch)
    for value in args.pos:
        items, rest = machine.items_of(value)
        out.items += items
        out.rest = join(out.rest, rest) if rest is not None else out.rest
    out.scrambled = out.rest is not None
    return out


@handles("builtins.next", "random.choice", "itertools.cycle", "copy.copy", "copy.deepcopy", "operator.itemgetter")
def one_item(machine: Machine, args: Args) -> Value:
    """One of the items."""
    value = argument_of(args, 0)
    items, rest = machine.items_of(value)
    first = items[:1] if items and not (isinstance(value, Seq) and value.scrambled) else items
    return any_of([*first, *([rest] if rest is not None else []), *args.pos[1:]])


@handles("random.choice", "random.sample", "random.choices")
def any_item(machine: Machine, args: Args) -> Value:
    """Any of the items."""
    items, rest = machine.items_of(argument_of(args, 0))
    return any_of([*items, *([rest] if rest is not None else [])])


@handles("copy.copy", "copy.deepcopy")
def as_copy(machine: Machine, args: Args) -> Value:
    """The same, and no longer shared."""
    return _copied(machine, argument_of(args, 0))


def _copied(machine: Machine, value: Value, depth: int = 0) -> Value:
    if depth > 8:
        return value
    if isinstance(value, Dict):
        items = {key: _copied(machine, item, depth + 1) for key, item in value.items.items()}
        return Dict(items, value.rest, machine.branch)
    if isinstance(value, Seq):
        made = Seq([_copied(machine, item, depth + 1) for item in value.items], value.kind, value.rest, machine.branch)
        made.scrambled = value.scrambled
        return made
    return value


@handles("builtins.isinstance", "builtins.issubclass", "builtins.callable", "builtins.hasattr", "builtins.id",
         "builtins.hash", "builtins.dir", "builtins.help")  # fmt: skip
def look(machine: Machine, args: Args) -> Value:
    """Looks at a value."""
    for value in args.all():
        machine.account(value)
    return Unknown()


@handles("builtins.object", "builtins.super", "builtins.staticmethod", "builtins.classmethod", "builtins.property",
         "builtins.memoryview", "typing.cast", "builtins.slice")  # fmt: skip
def passed(machine: Machine, args: Args) -> Value:
    """What it is given."""
    if len(args.pos) == 2 and isinstance(args.pos[1], Text | Unknown | Dict | Seq | Thing | Handle):
        return args.pos[1]
    return args.pos[0] if args.pos else Unknown()


@handles("builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort", "builtins.SystemExit")
def leave(machine: Machine, args: Args) -> Value:
    """The process ends; a text goes to standard error."""
    for value in args.all():
        machine.account(value)
        machine.write_out(carried(value), None, errors=True)
    return Thing("<exit>")


# -- functions that call functions


@handles("builtins.map", "builtins.filter", "itertools.starmap", "functools.reduce", "itertools.takewhile",
         "itertools.dropwhile", "itertools.filterfalse", "multiprocessing.pool.map")  # fmt: skip
def apply_each(machine: Machine, args: Args) -> Value:
    """A function on every item."""
    function = argument_of(args, 0)
    columns = [machine.items_of(value) for value in args.pos[1:]]
    if columns and all(rest is None for _, rest in columns) and len(columns[0][0]) <= 128 and args.vague is None:
        rows = list(zip(*(items for items, _ in columns), strict=False))
        return Seq([machine.call_value(function, Args(row)) for row in rows], "list", born=machine.branch)
    with machine.undecided():
        each: list[Value] = [any_of([*items, *([rest] if rest is not None else [])]) for items, rest in columns]
        result = machine.call_value(function, Args(each or [Unknown()], {}, args.vague))
    return Seq([], "list", result, machine.branch)


@handles("builtins.filter", "itertools.takewhile", "itertools.dropwhile", "itertools.filterfalse")
def keep_some(machine: Machine, args: Args) -> Value:
    """Some of the items."""
    function, value = argument_of(args, 0), argument_of(args, 1)
    items, rest = machine.items_of(value)
    if not (isinstance(function, Const) and function.value is None):
        kept: list[Value] = []
        certain = rest is None and len(items) <= 128
        for item in items if certain else []:
            known = truth(machine.call_value(function, Args([item])))
            if known is None:
                certain = False
                break
            if known:
                kept.append(item)
        if certain:
            return Seq(kept, "list", born=machine.branch)
        with machine.undecided():
            machine.call_value(function, Args([any_of([*items, *([rest] if rest is not None else [])])]))
    everything = [*items, *([rest] if rest is not None else [])]
    return Seq([], "list", any_of(everything) if everything else None, machine.branch)


@handles("itertools.starmap")
def apply_rows(machine: Machine, args: Args) -> Value:
    """A function on every row of arguments."""
    function = argument_of(args, 0)
    items, rest = machine.items_of(argument_of(args, 1))
    results = [machine.call_value(function, _row(machine, item)) for item in items[:128]]
    if rest is not None:
        with machine.undecided():
            results.append(machine.call_value(function, _row(machine, rest)))
    return Seq(results if rest is None else [], "list", any_of(results) if rest is not None else None, machine.branch)


def _row(machine: Machine, item: Value) -> Args:
    items, rest = machine.items_of(item)
    return Args(items, {}, rest)


@handles("functools.reduce")
def fold(machine: Machine, args: Args) -> Value:
    """A function that takes one item after the other."""
    function = argument_of(args, 0)
    items, rest = machine.items_of(argument_of(args, 1))
    start = args.pos[2:3]
    if rest is None and len(items) <= 128:
        queue = [*start, *items]
        value = queue[0] if queue else NONE
        for item in queue[1:]:
            value = machine.call_value(function, Args([value, item]))
        return value
    with machine.undecided():
        return machine.call_value(function, Args([Unknown(content(args)), rest or any_of(items)]))


@handles("functools.partial", "functools.partialmethod")
def bind_some(_machine: Machine, args: Args) -> Value:
    """A function with some of its arguments."""
    return Partial(argument_of(args, 0), args.after(1))


@handles("threading.Thread", "multiprocessing.Process", "threading.Timer", "multiprocessing.context.Process")
def start_thread(machine: Machine, args: Args) -> Value:
    """A function that runs beside this one."""
    target = args.named.get("target") or args.get(1)
    given = args.named.get("args") or args.get(3 if "target" not in args.named else 9)
    if given is None and len(args.pos) > 2:
        given = args.pos[2]
    more = args.named.get("kwargs")
    if target is not None:
        items, rest = machine.items_of(given) if given is not None else ([], None)
        named = {str(key): value for key, value in more.items.items()} if isinstance(more, Dict) else {}
        machine.call_value(target, Args(items, named, rest))
    return Thing("thread")


@handles("atexit.register", "asyncio.run", "asyncio.to_thread", "contextlib.ExitStack.callback", "weakref.finalize",
         "signal.signal", "asyncio.create_task", "asyncio.gather", "asyncio.wait_for", "asyncio.ensure_future",
         "timeit.timeit", "timeit.repeat", "unittest.mock.patch")  # fmt: skip
def call_later(machine: Machine, args: Args) -> Value:
    """A function that is called with what follows it; a value that is waited for."""
    if args.pos and isinstance(args.pos[0], Text | Unknown | Thing | Seq | Const | Handle):
        for value in args.all():
            machine.escape(value)
        return args.pos[0]
    return machine.call_value(argument_of(args, 0), args.after(1))


@handles("timeit.timeit", "timeit.repeat")
def time_code(machine: Machine, args: Args) -> Value:
    """Runs code given as text."""
    for value in (args.get(1, "setup"), args.get(0, "stmt")):
        if isinstance(value, Text):
            exact = value.exact
            machine.account(value)
            machine.run_source(exact) if exact is not None else machine.opaque(
                "code that is not known", "dynamic", value
            )
        elif value is not None:
            machine.escape(value)
    return Unknown(numeric=True)


@handles("signal.signal")
def set_handler(machine: Machine, args: Args) -> Value:
    """A function that is called on a signal."""
    machine.escape(argument_of(args, 1))
    return Unknown()


@handles("concurrent.futures.ThreadPoolExecutor", "concurrent.futures.ProcessPoolExecutor", "multiprocessing.Pool",
         "multiprocessing.pool.ThreadPool", "asyncio.get_event_loop", "asyncio.new_event_loop", "asyncio.get_running_loop",
         "asyncio.TaskGroup", "contextlib.ExitStack", "contextlib.AsyncExitStack", "sched.scheduler")  # fmt: skip
def pool(_machine: Machine, _args: Args) -> Value:
    """Something that calls functions."""
    return Thing("pool")


@handles("pool.submit", "pool.apply", "pool.apply_async", "pool.call_soon", "pool.callback", "pool.create_task",
         "pool.run_until_complete", "pool.enter_context", "pool.push")  # fmt: skip
def submit(machine: Machine, args: Args) -> Value:
    """A function with its arguments."""
    function = args.get(1) or Unknown()
    rest = args.after(2)
    if len(rest.pos) == 1 and isinstance(rest.pos[0], Seq) and not isinstance(function, Bound):
        items, vague = machine.items_of(rest.pos[0])
        spread = Args(items, {}, vague)
        with machine.undecided():
            machine.call_value(function, spread) if isinstance(function, Value) else None
    if isinstance(function, Text | Unknown | Thing | Seq | Handle | Const):
        return function
    return machine.call_value(function, rest)


@handles("pool.map", "pool.imap", "pool.imap_unordered", "pool.map_async", "pool.starmap", "pool.starmap_async")
def submit_each(machine: Machine, args: Args) -> Value:
    """A function on every item."""
    return apply_each(machine, Args(args.pos[1:], {}, args.vague))


@handles("pool.starmap", "pool.starmap_async")
def submit_rows(machine: Machine, args: Args) -> Value:
    """A function on every row."""
    return apply_rows(machine, Args(args.pos[1:], {}, args.vague))


@handles("pool.run_in_executor", "pool.enter", "pool.enterabs", "pool.call_later")
def submit_later(machine: Machine, args: Args) -> Value:
    """A function among the arguments."""
    for index, value in enumerate(args.pos[1:], 1):
        if not isinstance(value, Text | Const | Unknown | Thing):
            return machine.call_value(value, args.after(index + 1))
    return Unknown()


@handles("time.time", "time.time_ns", "time.monotonic", "time.perf_counter", "random.randint", "random.random",
         "os.getpid", "os.getppid", "os.getuid", "os.cpu_count", "time.perf_counter_ns", "random.randrange")  # fmt: skip
def number(_machine: Machine, _args: Args) -> Value:
    """A number."""
    return Unknown(numeric=True)


@handles("uuid.uuid4", "uuid.uuid1", "secrets.token_hex", "platform.node", "platform.system", "platform.machine",
         "socket.gethostname", "getpass.getuser", "os.getlogin", "platform.python_version")  # fmt: skip
def word(_machine: Machine, _args: Args) -> Value:
    """A word without a slash."""
    return Text((NAME,))


@handles(
    "time.strftime",
    "datetime.datetime.now",
    "datetime.date.today",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
)
def date(machine: Machine, args: Args) -> Value:
    """A date; its text has no slash unless the format has."""
    form = single(args.get(0))
    machine.account(args.get(0))
    return Thing("date") if form is None else Text((NAME if "/" not in form else TOP,))


@handles("date.strftime", "date.isoformat", "date.date", "date.timestamp")
def date_text(machine: Machine, args: Args) -> Value:
    """The text of a date."""
    form = single(args.get(1))
    machine.account(args.get(1))
    return Text((NAME if form is None or "/" not in form else TOP,))


@handles("argparse.ArgumentParser.parse_args", "argparse.ArgumentParser.parse_known_args")
def parse_arguments(_machine: Machine, _args: Args) -> Value:
    """Arguments whose names are the parser's business."""
    return Unknown()


@handles("contextlib.nullcontext", "contextlib.closing")
def through(_machine: Machine, args: Args) -> Value:
    """What it is given."""
    return args.get(0) or NONE


@handles("contextlib.redirect_stdout", "contextlib.redirect_stderr")
def redirect(machine: Machine, args: Args) -> Value:
    """What is printed goes elsewhere from now on."""
    target = argument_of(args, 0)
    machine.escape(target)
    if not (isinstance(target, Handle) and target.kind == "memory"):
        machine.redirected = join(machine.redirected, target) if machine.redirected is not None else target
    return target


@handles("os.environ.get", "os.getenv", "os.environ.setdefault", "os.environ.pop", "os.environb.get")
def environment(machine: Machine, args: Args) -> Value:
    """A variable of the environment."""
    from guardrail.effects.code.python._system import variable

    name = single(args.get(0))
    machine.account(args.get(0))
    return variable(machine, name, args.get(1, "default"))


@handles("os.putenv", "os.environ.setdefault", "os.environ.__setitem__")
def set_variable_(machine: Machine, args: Args) -> Value:
    """A variable is set."""
    from guardrail.effects.code.python._system import set_environment

    set_environment(machine, single(args.get(0)), argument_of(args, 1))
    return args.get(1) or NONE


@handles("os.environ.update")
def update_environment(machine: Machine, args: Args) -> Value:
    """Several variables are set."""
    from guardrail.effects.code.python._system import set_environment

    for value in args.pos:
        if isinstance(value, Dict) and value.rest is None:
            for key, item in value.items.items():
                set_environment(machine, key if isinstance(key, str) else None, item)
        else:
            machine.opaque("variables that are not known are set", "dynamic", value)
    for name, value in args.named.items():
        set_environment(machine, name, value)
    return NONE


@handles("os.environ.copy", "os.environ.items", "os.environ.keys", "os.environ.values")
def all_variables(machine: Machine, _args: Args) -> Value:
    """All variables: those that are set later in the copy are followed."""
    return Dict({}, anything(machine.state.contents()), machine.branch)


@handles("sys.path.insert", "sys.path.append", "sys.path.extend", "site.addsitedir")
def search_path(machine: Machine, args: Args) -> Value:
    """Another folder that modules are looked for in."""
    machine.folders.extend(args.pos[-1:])
    machine.pure_folder = None
    machine.account(args.get(len(args.pos) - 1))
    return NONE


__all__ = ["MAX_ITEMS", "Either", "content", "options", "path_texts", "paths"]
