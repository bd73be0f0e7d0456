"""What a script is told to write, and which scripts make other files of the models they are handed.

Not concerned with what the script's text says; it may not be there, or be followed only in part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.patterns import lazy

_MAKING: Final = lazy(r"convert|quanti[sz]|gguf|onnx|merge|export|extract|shard|dump|distil|fp32|consolidat|prun")
"""Parts of names of scripts that write what they read in another form."""

_OF_MODELS: Final = lazy(
    r"fp32|fp16|bf16|gguf|ggml|safetensors|lora|quanti[sz]|ckpt|checkpoint|shard|consolidat|onnx|awq|gptq|weights|model"
    r"|llama|(?:^|_)hf(?:_|\.|$)|torch|mlx|peft|adapter"
)
"""Parts of names of those that take a model first and say last where the other form goes."""

_VERBS: Final = frozenset("lite convert quantize export merge merge-lora merge_lora auto_awq auto_gptq".split())
"""First words of a command line that do the same."""

_OUTPUT: Final = lazy(
    r"-o|--?(?:work[-_]dir|out|output|outfile|outdir|dest|destination|target|to|save|out[-_](?:file|dir|path|model|type)"
    r"|output[-_]?(?:file|dir|path|model|folder)|save[-_](?:to|as|path|dir|file))"
)
"""Options whose value is what a script writes."""


def outputs(call: Call, script: str, args: Sequence[Field]) -> None:
    """Say what a script may write by its options; a converter copies what it is handed there.

    Args:
        call: the interpreter.
        script: name of the script.
        args: what the script is handed.
    """
    name = script.rpartition("/")[2].lower()
    making = _MAKING.search(name) is not None or bool(args and args[0].text in _VERBS)
    written = list(_written(args))
    if not written and making and _OF_MODELS.search(name):
        named = [field for field in args if field.text[:1] != "-"]
        written = named[-1:] if len(named) > 1 else []
    if not written:
        return
    for field in written:
        # Only the thing itself: a directory above an asset is where results of all sorts go.
        call.emit("mention", call.place(field), attrs={"cwd": True}, precision="opaque", may=True)
        for source in args if making else ():
            if source not in written and source.text[:1] != "-":
                place = call.place(source, recursive=True)
                call.emit("copy", place, call.place(field), flow=("script",), precision="opaque", may=True)


def _written(args: Sequence[Field]) -> Iterator[Field]:
    for index, field in enumerate(args):
        name, equals, _ = field.text.partition("=")
        if not _OUTPUT.fullmatch(name):
            continue
        if equals:
            yield field.tail(len(name) + 1)
        elif index + 1 < len(args) and args[index + 1].text[:1] != "-":
            yield args[index + 1]
