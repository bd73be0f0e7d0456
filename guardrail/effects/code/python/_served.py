"""What a library serves: whoever asks gets what the functions of the code answer, and the files that are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import carried, content
from guardrail.effects.code.python._core import remote
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._path_functions import put_together
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import (
    NONE,
    Args,
    Const,
    Handle,
    Native,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    options,
    path_texts,
)
from guardrail.effects.domain._values import merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

_SERVED: Final = "net:served"


def _give(machine: Machine, sources: tuple[Resource, ...]) -> None:
    """Content is there for whoever asks."""
    for source in sources:
        machine.emit("copy", source, remote(_SERVED), may=True, flow=("serve",))


def _answering(machine: Machine, values: list[Value]) -> None:
    """Functions of the code answer requests."""
    before, machine.returned = machine.returned, ()
    for value in values:
        machine.escape(value)
    given, machine.returned = machine.returned, before
    _give(machine, given)


def _tree(machine: Machine, value: Value | None) -> None:
    """Every file below a directory is served."""
    for option in options(value) if value is not None else ():
        if isinstance(option, Text | Unknown) and not (isinstance(option, Unknown) and option.numeric):
            _give(machine, machine.places(option, kind="dir", recursive=True))
        elif isinstance(option, Seq):
            for item in (*option.items, *([option.rest] if option.rest is not None else [])):
                _tree(machine, item)


_APPS: Final = (
    "flask.Flask flask.Blueprint fastapi.FastAPI fastapi.APIRouter starlette.applications.Starlette "
    "starlette.routing.Router starlette.routing.Route gradio.Interface gradio.Blocks gradio.ChatInterface"
)
_ROUTES: Final = (
    "route get post put patch delete head options websocket websocket_route api_route add_url_rule add_api_route "
    "add_route middleware before_request after_request errorhandler exception_handler on_event mount include_router "
    "register_blueprint template_filter cli_command teardown_request context_processor add_middleware view click "
    "change submit load launch run queue"
)


@handles(*_APPS.split())
def app(machine: Machine, args: Args) -> Value:
    """An application: functions that are given to it answer, and so do folders."""
    for name, value in args.named.items():
        if name in ("static_folder", "template_folder"):
            _tree(machine, value)
        machine.account(value)
    for value in args.pos:
        machine.account(value)
    _answering(machine, list(args.all()))
    return Thing("web.app")


@handles(*(f"web.app.{name}" for name in _ROUTES.split()))
def route(machine: Machine, args: Args) -> Value:
    """A function is registered now, or by the decorator that this gives."""
    given = args.after(1)
    for name, value in given.named.items():
        if name in ("allowed_paths", "static_folder"):
            _tree(machine, value)
    for value in given.all():
        machine.account(value)
    _answering(machine, list(given.all()))

    def register(more: Args) -> Value:
        _answering(machine, list(more.all()))
        return more.pos[0] if more.pos else NONE

    return Native(register)


@handles("flask.send_file", "fastapi.responses.FileResponse", "starlette.responses.FileResponse", "gradio.File",
         "gradio.DownloadButton", "streamlit.image", "streamlit.audio", "streamlit.video")  # fmt: skip
def one_file(machine: Machine, args: Args) -> Value:
    """A file is the answer."""
    path = args.get(0, "path_or_file")
    path = path if path is not None else args.get(-1, "path") or args.named.get("value") or Unknown()
    for value in (*args.pos[1:], *args.named.values()):
        machine.account(value)
    if any(isinstance(option, Handle | Thing) for option in options(path)):
        found = machine.contents_of(path)
    elif isinstance(path, Unknown):
        found = path.sources
    else:
        found = machine.read(machine.places(path))
    _give(machine, found)
    return Unknown(found)


@handles("flask.send_from_directory")
def one_of_folder(machine: Machine, args: Args) -> Value:
    """A file below a directory is the answer."""
    folder, name = argument_of(args, 0, "directory"), args.get(1, "path") or args.get(-1, "filename") or Unknown()
    for value in (*args.pos[2:], *args.named.values()):
        machine.account(value)
    if not isinstance(name, Text) or len(path_texts(name)) > 1:
        found = machine.places(folder, kind="dir", recursive=True)
        machine.each("read", found, attrs={"reveals": "content"})
    else:
        found = machine.read(machine.places(Text([put_together(a, path_texts(name)[0]) for a in path_texts(folder)])))
    _give(machine, found)
    return Unknown(found)


@handles("fastapi.staticfiles.StaticFiles", "starlette.staticfiles.StaticFiles", "gradio.set_static_paths")
def folder(machine: Machine, args: Args) -> Value:
    """Every file of a directory is an answer."""
    _tree(machine, args.get(0, "directory") or args.named.get("paths"))
    return Thing("web.files")


_ANSWERS: Final = (
    "flask.jsonify flask.make_response flask.Response flask.render_template_string flask.stream_with_context "
    "fastapi.Response fastapi.responses.JSONResponse fastapi.responses.PlainTextResponse "
    "fastapi.responses.StreamingResponse fastapi.responses.HTMLResponse starlette.responses.Response "
    "starlette.responses.PlainTextResponse starlette.responses.JSONResponse starlette.responses.StreamingResponse "
    "starlette.responses.HTMLResponse"
)


@handles(*_ANSWERS.split())
def answer(machine: Machine, args: Args) -> Value:
    """Content is the answer."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    _give(machine, content(args))
    return Unknown(content(args))


_SHOWN: Final = "write text code json markdown dataframe table download_button caption title header subheader metric"


@handles(*(f"streamlit.{name}" for name in _SHOWN.split()))
def shown(machine: Machine, args: Args) -> Value:
    """Content is on a page."""
    found: tuple[Resource, ...] = ()
    for value in args.all():
        machine.account(value)
        machine.escape(value)
        if not isinstance(value, Const | Thing):
            found = merge(found, carried(value))
    _give(machine, found)
    return Unknown()
