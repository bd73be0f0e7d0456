"""Libraries of models whose objects take content in, or hand it on, in ways that no table says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import carried, content, hold
from guardrail.effects.code.python._core import remote, single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._library import apply
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._values import Args, Const, Ref, Text, Thing, Unknown, Value, anything, options

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


@handles("safetensors.torch.load_model")
def load_model(machine: Machine, args: Args) -> Value:
    """`load_model(model, file)`: afterwards the model holds what is in the file."""
    out = apply(machine, table().entries["safetensors.torch.load_model"], args)
    model = args.get(0, "model")
    if model is not None:
        hold(model, carried(out))
    return out


@handles("onnxruntime.InferenceSession")
def inference(machine: Machine, args: Args) -> Value:
    """A session, whose options may name a file that the model is written to again."""
    out = apply(machine, table().entries["onnxruntime.InferenceSession"], args)
    for given in options(args.get(1, "sess_options") or anything()):
        kept = given.facts.get("optimized_model_filepath") if isinstance(given, Thing) else None
        if kept is not None:
            machine.put("write", machine.places(kept), carried(out))
    return out


@handles("transformers.TrainingArguments", "transformers.Seq2SeqTrainingArguments")
def training_arguments(machine: Machine, args: Args) -> Value:
    """How to train, and whether what comes of it is sent to the hub."""
    for value in args.all():
        machine.account(value)
    facts = {name: value for name, value in args.named.items() if name in ("push_to_hub", "hub_model_id")}
    return Thing("transformers.arguments", facts)


@handles("transformers.Trainer", "transformers.Seq2SeqTrainer")
def trainer(machine: Machine, args: Args) -> Value:
    """A model with the way to train it."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    how = args.get(1, "args")
    return Thing("transformers.trainer", {"how": how} if how is not None else {}, held=content(args))


@handles("transformers.trainer.train")
def train(machine: Machine, args: Args) -> Value:
    """The model is trained, and sent away if the arguments say so."""
    owner = args.pos[0]
    how = owner.facts.get("how") if isinstance(owner, Thing) else None
    for option in options(how) if how is not None else ():
        pushed = option.facts.get("push_to_hub") if isinstance(option, Thing) else None
        if pushed is not None and not (isinstance(pushed, Const) and pushed.value is False):
            name = single(option.facts.get("hub_model_id")) if isinstance(option, Thing) else None
            machine.put("write", (remote(f"hf://{name or '*'}"),), carried(owner))
    return Unknown()


@handles("grpc.channel.unary_unary", "grpc.channel.unary_stream", "grpc.channel.stream_unary",
         "grpc.channel.stream_stream")  # fmt: skip
def procedure(machine: Machine, args: Args) -> Value:
    """A procedure of another machine, which is called as a function is."""
    for value in args.after(1).all():
        machine.account(value)
        machine.escape(value)
    return Ref("grpc.called")


@handles("grpc.called")
def called(machine: Machine, args: Args) -> Value:
    """What it is given leaves for the other machine."""
    for value in args.all():
        machine.mention_names(value) if isinstance(value, Text) else machine.account(value)
    machine.put("write", (remote("net:grpc"),), content(args))
    return Thing("response")
