"""Libraries of models whose objects take content in, or hand it on, in ways that no table says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import carried, content, hold
from guardrail.effects.code.python._core import remote, single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._library import apply
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._values import (
    NONE,
    Args,
    Const,
    Dict,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    options,
)
from guardrail.effects.domain._values import merge

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
    facts = {name: value for name, value in args.named.items() if name in _KEPT}
    if args.pos:
        facts["output_dir"] = args.pos[0]
    return Thing("transformers.arguments", facts)


_KEPT: Final = ("push_to_hub", "hub_model_id", "output_dir", "save_strategy")
_UNSAID: Final = Text(("trainer_output",))
"""Where a trainer saves to that was told nothing."""


@handles("transformers.Trainer", "transformers.Seq2SeqTrainer")
def trainer(machine: Machine, args: Args) -> Value:
    """A model with the way to train it."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    how = args.get(1, "args")
    make = args.named.get("model_init")
    made = carried(machine.call_value(make, Args([]))) if make is not None else ()
    return Thing("transformers.trainer", {"how": how} if how is not None else {}, held=merge(content(args), made))


@handles("transformers.trainer.save_model", "transformers.trainer._save_checkpoint", "transformers.trainer._save")
def save_trained(machine: Machine, args: Args) -> Value:
    """The model is written to a directory, or to where the trainer saves by itself."""
    for value in args.pos[1:]:
        machine.account(value)
    _save(machine, args.pos[0], args.get(1, "output_dir"))
    return NONE


def _save(machine: Machine, owner: Value, where: Value | None = None) -> None:
    """A model, as it has become, lies where its trainer saves to: training of no steps leaves it as it was."""
    how = owner.facts.get("how") if isinstance(owner, Thing) else None
    for option in options(how) if how is not None and not _is_path(where) else ():
        known = isinstance(option, Thing) and option.kind == "transformers.arguments"
        where = option.facts.get("output_dir", _UNSAID) if isinstance(option, Thing) and known else anything()
        machine.put("write", machine.places(where), carried(owner))
    if how is None or _is_path(where):
        machine.put(
            "write", machine.places(where if where is not None and _is_path(where) else _UNSAID), carried(owner)
        )


def _is_path(value: Value | None) -> bool:
    return value is not None and not (isinstance(value, Const) and not isinstance(value.value, bytes))


def _saves(how: Value | None) -> bool:
    """A trainer with such arguments saves while it trains: it does, unless it is told not to."""
    told = [option.facts.get("save_strategy") if isinstance(option, Thing) else None for option in options(how or NONE)]
    return any(single(one) != "no" for one in told)


@handles("transformers.trainer.train")
def train(machine: Machine, args: Args) -> Value:
    """The model is trained, saved on the way, and sent away if the arguments say so."""
    owner = args.pos[0]
    for value in args.after(1).all():
        machine.account(value)
    how = owner.facts.get("how") if isinstance(owner, Thing) else None
    for option in options(how) if how is not None else ():
        pushed = option.facts.get("push_to_hub") if isinstance(option, Thing) else None
        if pushed is not None and not (isinstance(pushed, Const) and pushed.value is False):
            name = single(option.facts.get("hub_model_id")) if isinstance(option, Thing) else None
            machine.put("write", (remote(f"hf://{name or '*'}"),), carried(owner))
    if _saves(how):
        _save(machine, owner)
    return Unknown()


@handles("accelerator.save_state")
def save_state(machine: Machine, args: Args) -> Value:
    """All that was prepared is written, to a directory of the project's where none is said."""
    for value in args.after(2).all():
        machine.account(value)
    where = args.get(1, "output_dir")
    places = machine.places(where) if where is not None and _is_path(where) else machine.places(anything())
    machine.put("write", places, carried(args.pos[0]))
    return NONE


@handles("keras.callbacks.ModelCheckpoint", "keras.callbacks.BackupAndRestore")
def checkpoint(machine: Machine, args: Args) -> Value:
    """Writes a model to a file while it is trained."""
    for value in args.all():
        machine.account(value)
    return Thing("keras.checkpoint", {"to": args.get(0, "filepath") or args.named.get("backup_dir") or anything()})


@handles("model.fit", "model.fit_generator")
def fit(machine: Machine, args: Args) -> Value:
    """A model is trained, and written by what is called on the way, or where a word says so."""
    owner, given = args.pos[0], args.after(1)
    for value in given.all():
        machine.account(value)
        machine.escape(value)
    places = [given.named[name] for name in ("output_path", "checkpoint_path") if name in given.named]
    for value in given.all():
        for option in options(value):
            parts = machine.items_of(option)[0] if isinstance(option, Seq) else [option]
            places += [
                part.facts["to"] for part in parts if isinstance(part, Thing) and part.kind == "keras.checkpoint"
            ]
    for where in places:
        if _is_path(where):
            machine.put("write", machine.places(where), carried(owner))
    return Unknown()


@handles("model.collective_rpc", "model.apply_model")
def on_workers(machine: Machine, args: Args) -> Value:
    """A method of the workers that hold the model, which may save it, or a function."""
    for value in args.after(1).all():
        machine.account(value)
        machine.escape(value)
    machine.mention(Unknown(carried(args.pos[0])))
    return Unknown(carried(args.pos[0]))


_FLAVORS: Final = (
    "transformers pytorch sklearn tensorflow keras onnx xgboost lightgbm sentence_transformers pyfunc".split()
)


@handles(*(f"mlflow.{flavor}.save_model" for flavor in _FLAVORS))
def save_flavor(machine: Machine, args: Args) -> Value:
    """A model, or what lies in a directory, is written in the form of MLflow, with all files that it is given."""
    where = args.get(1, "path") if "python_model" not in args.named else args.get(0, "path")
    for value in args.all():
        if value is where:
            continue
        machine.account(value)
        machine.mention(value) if isinstance(value, Text | Dict) else machine.escape(value)
    machine.put("write", machine.places(where or anything()), content(args))
    return NONE


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
