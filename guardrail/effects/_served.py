"""Requests to model servers and registries that do more than send: what their own command or client would be.

Not concerned with what the request says: which model it names is not looked for, so that it may be any of them.
Blind spot: a server at another port, or behind another path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from guardrail.effects.domain._addresses import at
from guardrail.model import Effect, Op
from guardrail.patterns import lazy

_OLLAMA: Final = lazy(r"https?://[^/]+:11434/+api/+(copy|create|push|delete)/*(?:[?#].*)?")
_MLFLOW: Final = lazy(
    r"https?://[^?#]+/mlflow/+(?:registered-models|model-versions|runs|experiments)/+"
    r"(create|delete|update|rename|alias|transition-stage)/*(?:[?#].*)?"
)
_HUB: Final = lazy(r"https?://(?:[^/@]*@)?(?:www\.)?(?:huggingface\.co|hf\.co)/+api/+repos/+(delete|move)/*(?:[?#].*)?")
_DOING: Final[dict[str, Op]] = {
    "copy": "api_copy",
    "create": "api_copy",
    "push": "api_copy",
    "delete": "api_delete",
}
_SENT: Final = frozenset(("net_send", "api_delete"))
_QUIET: Final = ("/runs/", "/experiments/")
"""What every training run creates and updates."""


def served(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """The effects, and what requests among them would do on the server that they are sent to."""
    found: list[Effect] = []
    for effect in effects:
        if effect.op in _SENT:
            found.extend(_of(effect))
    return (*effects, *found) if found else effects


def _of(effect: Effect) -> Iterator[Effect]:
    uri = (effect.target if effect.target is not None else effect.resource).uri or ""
    if (match := _OLLAMA.fullmatch(uri)) is not None:
        yield _done(effect, _DOING[match[1]], "ollama")
        return
    if (match := _HUB.fullmatch(uri)) is not None:
        yield _done(effect, _DOING.get(match[1], "api_visibility"), "hf")
        return
    match = _MLFLOW.fullmatch(uri)
    if match is not None and (match[1] == "delete" or not any(part in uri for part in _QUIET)):
        yield _done(effect, _DOING.get(match[1], "api_visibility"), "mlflow")


def _done(effect: Effect, op: Op, scheme: str) -> Effect:
    # What is deleted could be any model, and so an asset's that has no address there.
    attrs = {**effect.attrs, "any": True} if op == "api_delete" else effect.attrs
    return msgspec.structs.replace(
        effect, op=op, resource=at(scheme, "*"), target=None, edit=None, flow=(), attrs=attrs
    )
