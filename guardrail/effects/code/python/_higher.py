"""Functions of the standard library that call what they are given, and those that tell of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import can_act, content
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._defined import Instance
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._items import MAX_ROUNDS
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._texts import any_of, one_of, truth
from guardrail.effects.code.python._values import (
    NAME,
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Handle,
    Partial,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
)
from guardrail.effects.domain._values import TOP

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


# -- functions that call functions


@handles("builtins.map")
def map_each(machine: Machine, args: Args) -> Value:
    """A function on every item, when it is asked for."""
    return machine.lazily(lambda: apply_each(machine, args), (), tuple(args.all()))


@handles("multiprocessing.pool.map")
def apply_each(machine: Machine, args: Args) -> Value:
    """A function on every item."""
    function = argument_of(args, 0)
    columns = [machine.items_of(value) for value in args.pos[1:]]
    if columns and all(rest is None for _, rest in columns) and len(columns[0][0]) <= 128 and args.vague is None:
        rows = list(zip(*(items for items, _ in columns), strict=False))
        return Seq([machine.call_value(function, Args(row)) for row in rows], "list", born=machine.branch)
    with machine.undecided():
        each: list[Value] = [one_of(items, rest) for items, rest in columns]
        result = machine.call_value(function, Args(each or [Unknown()], {}, args.vague))
    return Seq([], "list", result, machine.branch)


@handles("itertools.takewhile", "itertools.dropwhile", "itertools.filterfalse")
def keep_other(machine: Machine, args: Args) -> Value:
    """Some of the items: which, is left open."""

    def make() -> Value:
        found = keep_some(machine, args)
        items, rest = machine.items_of(argument_of(args, 1))
        each = [*items, *([rest] if rest is not None else [])]
        return Seq([], "list", any_of(each) if each else None, machine.branch) if isinstance(found, Seq) else found

    return machine.lazily(make, (), tuple(args.all()))


@handles("builtins.filter")
def filter_some(machine: Machine, args: Args) -> Value:
    """Some of the items, when they are asked for."""
    return machine.lazily(lambda: keep_some(machine, args), (), tuple(args.all()))


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
            machine.call_value(function, Args([one_of(items, rest)]))
    everything = [*items, *([rest] if rest is not None else [])]
    return Seq([], "list", any_of(everything) if everything else None, machine.branch)


@handles("itertools.starmap")
def map_rows(machine: Machine, args: Args) -> Value:
    """A function on every row of arguments, when it is asked for."""
    return machine.lazily(lambda: apply_rows(machine, args), (), tuple(args.all()))


def apply_rows(machine: Machine, args: Args) -> Value:
    """A function on every row of arguments."""
    function = argument_of(args, 0)
    items, rest = machine.items_of(argument_of(args, 1))
    results = [machine.call_value(function, _row(machine, item)) for item in items[:MAX_ROUNDS]]
    if len(items) > MAX_ROUNDS:
        rest = one_of(items[MAX_ROUNDS:], rest)
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
        machine.beside(target, Args(items, named, rest))
    return Thing("thread")


@handles("weakref.finalize")
def finalize(machine: Machine, args: Args) -> Value:
    """A function that is called when an object goes."""
    machine.beside(argument_of(args, 1), args.after(2))
    return Thing("thread")


@handles("atexit.register", "asyncio.run", "asyncio.to_thread", "contextlib.ExitStack.callback",
         "asyncio.create_task", "asyncio.gather", "asyncio.wait_for", "asyncio.ensure_future",
         "unittest.mock.patch")  # fmt: skip
def call_later(machine: Machine, args: Args) -> Value:
    """A function that is called with what follows it; a value that is waited for."""
    first = argument_of(args, 0)
    if can_act(first) and not isinstance(first, Unknown | Seq | Handle):
        return machine.beside(first, args.after(1))
    for value in args.all():
        machine.escape(value)
    return first


@handles("timeit.timeit", "timeit.repeat", "timeit.Timer", "cProfile.run", "profile.run", "cProfile.runctx",
         "<profile>.run", "<profile>.runctx", "<profile>.runcall")  # fmt: skip
def time_code(machine: Machine, args: Args) -> Value:
    """Runs code given as text."""
    for value in (args.get(1, "setup"), args.get(0, "stmt"), *args.pos[2:3]):
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
         "multiprocessing.pool.ThreadPool", "asyncio.get_event_loop", "asyncio.new_event_loop",
         "asyncio.get_running_loop", "asyncio.TaskGroup", "contextlib.ExitStack",
         "contextlib.AsyncExitStack", "sched.scheduler")  # fmt: skip
def pool(machine: Machine, args: Args) -> Value:
    """Something that calls functions; each of its workers begins with one."""
    first = args.named.get("initializer") or next((value for value in args.pos if can_act(value)), None)
    if first is not None:
        given = args.named.get("initargs") or next((value for value in args.pos if isinstance(value, Seq)), None)
        items, rest = machine.items_of(given) if given is not None else ([], None)
        machine.beside(first, Args(items, {}, rest))
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
            machine.call_value(function, spread)
    if isinstance(function, Thing) and function.kind == "<chdir>":
        return machine.call_method(function, "__enter__", Args())
    if isinstance(function, Instance) and function.klass.find("__call__") is None:
        machine.escape(function)
        return machine.enter(function)
    if isinstance(function, Text | Unknown | Thing | Seq | Handle | Const):
        return function
    return machine.beside(function, rest)


@handles("pool.map", "pool.imap", "pool.imap_unordered", "pool.map_async")
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
         "os.getpid", "os.getppid", "os.getuid", "os.cpu_count", "time.perf_counter_ns",
         "random.randrange")  # fmt: skip
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
    sources = content(args)
    return Thing("date", sources=sources) if form is None else Text((NAME if "/" not in form else TOP,), sources)


@handles("date.strftime", "date.isoformat", "date.date", "date.timestamp")
def date_text(machine: Machine, args: Args) -> Value:
    """The text of a date."""
    form = single(args.get(1))
    machine.account(args.get(1))
    return Text((NAME if form is None or "/" not in form else TOP,))


@handles("argparse.ArgumentParser.parse_known_args")
def parse_some_arguments(_machine: Machine, _args: Args) -> Value:
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
    if target is not NONE:
        machine.redirected = join(machine.redirected, target) if machine.redirected is not None else target
    return target


@handles("os.environ.get", "os.getenv", "os.environ.pop", "os.environb.get")
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
    from guardrail.effects.code.python._system import set_any, set_environment

    for value in args.pos:
        if isinstance(value, Dict) and value.rest is None:
            for key, item in value.items.items():
                set_environment(machine, key if isinstance(key, str) else None, item)
        else:
            set_any(machine, value)
    for name, value in args.named.items():
        set_environment(machine, name, value)
    return NONE


@handles("os.environ.copy", "os.environ.items", "os.environ.keys", "os.environ.values")
def all_variables(machine: Machine, _args: Args) -> Value:
    """All variables: those that are set later in the copy are followed."""
    return Dict({}, anything(machine.state.contents()), machine.branch)


@handles("sys.path.insert", "sys.path.append", "sys.path.extend")
def search_path(machine: Machine, args: Args) -> Value:
    """Another folder that modules are looked for in."""
    machine.folders.extend(args.pos[-1:])
    machine.pure_folder = None
    machine.account(args.get(len(args.pos) - 1))
    return NONE


@handles("cProfile.Profile", "profile.Profile")
def profiler(_machine: Machine, _args: Args) -> Value:
    """Something that runs code."""
    return Thing("<profile>")


@handles("pool.subprocess_exec")
def start_from_loop(machine: Machine, args: Args) -> Value:
    """A program, after the protocol."""
    return machine.call_ref("asyncio.create_subprocess_exec", Args(args.pos[2:], args.named, args.vague))


@handles("pool.subprocess_shell")
def start_shell_from_loop(machine: Machine, args: Args) -> Value:
    """A shell text, after the protocol."""
    return machine.call_ref("asyncio.create_subprocess_shell", Args(args.pos[2:], args.named, args.vague))


@handles("IPython.get_ipython")
def notebook(machine: Machine, args: Args) -> Value:
    """A way to run anything."""
    return machine.opaque("a notebook's shell", "inline", *args.all())
