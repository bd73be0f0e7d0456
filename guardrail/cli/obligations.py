"""`guardrail obligations`: see what is owed, look for it, give leave to do it, and check what proves it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_DENY, EXIT_ESCALATE, EXIT_FAULT
from guardrail.cli._options import where

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.guard import Guard
    from guardrail.obligations import ObligationStatus
    from guardrail.obligations._duty import Duty

EXIT_OK: Final = 0

_EXITS: Final = (
    "exit codes: 0 nothing is overdue, 3 something was not done, 4 something waits for a person, "
    "1 it could not be looked at, 2 usage or configuration"
)
_CERTIFICATE_EXITS: Final = "exit codes: 0 it is genuine, about what was asked and upheld, 1 it is not, 2 usage"
_WORD: Final = (
    "The word is signed and laid beside the mandates; a running guard takes it up within seconds. "
    "Only files that are known by device, inode number and time of birth are deleted, and no link is followed."
)


_HOLD: Final = (
    "While it is on hold its order grants nothing, the guard deletes nothing, and nothing is overdue; only who put it "
    "on hold can let it go on. It is due when it was: sign the order again for another time."
)


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "obligations",
        help="see what is owed, prove that it was done, or have it done",
        description="Obligations are what orders oblige to: a deletion, a shutdown, an evaluation.",
        epilog=_EXITS,
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="what is owed and how it stands", epilog=_EXITS)
    listing.add_argument("--all", action="store_true", help="also what was discharged or withdrawn")
    where(listing)
    listing.set_defaults(run=_list)

    show = actions.add_parser("show", help="everything that is known of one obligation", epilog=_EXITS)
    show.add_argument("id", metavar="ID", help="`mandate/obligation`")
    where(show)
    show.set_defaults(run=_show)

    verify = actions.add_parser(
        "verify",
        help="look for it: files, processes, mounts, watched directories, addresses",
        description="Looks thoroughly, and records what is seen; a deletion is proven by the second look, "
        "the quiet period after the first.",
        epilog=_EXITS,
    )
    verify.add_argument("id", metavar="ID", nargs="?", default="", help="only this one, also if it was discharged")
    where(verify)
    verify.set_defaults(run=_verify)

    discharge = actions.add_parser(
        "discharge", help="say that the guard itself shall delete it", description=_WORD, epilog=_EXITS
    )
    discharge.add_argument("id", metavar="ID", help="`mandate/obligation`")
    discharge.add_argument("--key", required=True, metavar="FILE", help="private key of a [[person]]")
    discharge.add_argument("--derivatives", action="store_true", help="further names and whole copies go too")
    where(discharge)
    discharge.set_defaults(run=_say, says="discharge", reason="")

    for says, text in (
        ("hold", "say that nothing is to be deleted until you let it go on"),
        ("resume", "let what you have put on hold go on"),
    ):
        word = actions.add_parser(says, help=text, description=_HOLD, epilog=_EXITS)
        word.add_argument("id", metavar="ID", help="`mandate/obligation`")
        word.add_argument("--key", required=True, metavar="FILE", help="private key of a [[person]]")
        word.add_argument("--reason", default="", metavar="TEXT", help="why, for people")
        where(word)
        word.set_defaults(run=_say, says=says)

    certificate = actions.add_parser(
        "certificate", help="print the certificate of a deletion", epilog="exit codes: 0 done, 1 there is none, 2 usage"
    )
    certificate.add_argument("id", metavar="ID", help="`mandate/obligation`")
    certificate.add_argument("--out", metavar="FILE", help="where it goes; default standard output")
    certificate.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    certificate.set_defaults(run=_certificate)

    check = actions.add_parser("verify-certificate", help="check a certificate", epilog=_CERTIFICATE_EXITS)
    check.add_argument("file", metavar="FILE", help="the certificate")
    check.add_argument(
        "--vkey", required=True, metavar="VKEY", help="verifier key of the trail, as text or as a file that holds it"
    )
    check.add_argument("--asset", metavar="ID", help="the asset that it has to be about")
    check.add_argument("--order", metavar="ID", help="the order that it has to be under")
    check.add_argument("--config", metavar="FILE", help="guardrail.toml: ask its trail too whether it still holds")
    check.add_argument("--json", action="store_true", help="print JSON: the statement that was signed")
    check.set_defaults(run=_check)


# -- seeing


def _list(args: argparse.Namespace) -> int:
    from guardrail.obligations import status_of
    from guardrail.obligations._reading import read_duties

    duties = read_duties(_config(args))
    wanted = [duty for duty in duties.values() if args.all or not duty.has_ended]
    return _print([status_of(duty) for duty in wanted], as_json=args.json)


def _show(args: argparse.Namespace) -> int:
    from guardrail.obligations import status_of

    duty = _duty(_config(args), args.id)
    status = status_of(duty)
    if args.json:
        print(json.dumps(_fields(duty), indent=2))
    else:
        _print_one(status)
        _print_facts(duty)
    return _code([status])


def _verify(args: argparse.Namespace) -> int:
    config = _config(args)
    if args.id:
        _duty(config, args.id)
    statuses = _settled(config, args.id)
    if args.id:
        statuses = [status for status in statuses if status.id == args.id]
    return _print(statuses, as_json=args.json)


def _settled(config: Config, only: str) -> list[ObligationStatus]:
    from guardrail.printing import visible

    with _guard(config) as guard:
        given, refused = guard.mandates.words()
        statuses = list(guard.settle(only=only))
        for why in (*map(str, refused), *guard.obligations.words(given)):
            print(visible(f"note: a word does not count: {why}"), file=sys.stderr)
        return statuses


def _guard(config: Config) -> Guard:
    from guardrail.audit import TrailInUse
    from guardrail.guard import Guard

    try:
        return Guard.open(config)
    except TrailInUse:
        # Whoever runs has the trail, and records what it sees itself; here it is only looked at.
        pass
    print("note: a guard is running, so what is seen here is not recorded: it attends to it itself", file=sys.stderr)
    return Guard.open(config, record=False)


# -- doing


def _say(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.mandates import Word, give_word, load_key, public_keys, public_text, read_public
    from guardrail.mandates._word import ENDINGS
    from guardrail.printing import visible

    config = _config(args)
    duty = _duty(config, args.id)
    if args.says == "discharge" and duty.terms.effect != "delete":
        raise ConfigError(f"`{args.id}` is no deletion: the guard can do nothing else for anybody")
    if not config.mandates.directory:
        raise ConfigError("`mandates.directory` is not set, so no guard of this configuration would find the word")
    key = load_key(args.key)
    people = public_keys(config)
    by = next((name for name, public in people.items() if public == read_public(public_text(key))), None)
    if by is None:
        raise ConfigError(f"the key `{args.key}` is that of no [[person]] of the configuration: use that of one")
    word = Word(
        obligation=args.id,
        asset=duty.terms.asset,
        by=by,
        at=dt.datetime.now(dt.UTC),
        says=args.says,
        reason=args.reason,
        derivatives=getattr(args, "derivatives", False),
    )
    out = config.path(config.mandates.directory) / f"{args.id.replace('/', '.')}{ENDINGS[word.says]}"
    _write(out, give_word(word, key))
    print(visible(f"{by} says that {_SAID[word.says].format(duty.terms.asset)}: {out}"), file=sys.stderr)
    return _print([one for one in _settled(config, args.id) if one.id == args.id], as_json=args.json)


_SAID: Final = {
    "discharge": "the guard shall delete {}",
    "hold": "nothing of {} is to be deleted for now",
    "resume": "what was ordered of {} goes on",
}


def _write(out: Path, data: bytes) -> None:
    from guardrail.errors import ConfigError

    fresh = out.with_name(f".{out.name}.new")
    try:
        # Renamed into place, so that a guard that is looking never reads half of it.
        fresh.write_bytes(data)
        fresh.replace(out)
    except OSError as error:
        raise ConfigError(f"cannot write `{out}`: {(error.strerror or str(error)).lower()}") from None


# -- proof


def _certificate(args: argparse.Namespace) -> int:
    from guardrail.audit import trail_place
    from guardrail.obligations._certificate import to_file
    from guardrail.obligations._reading import certificate_of
    from guardrail.obligations._transparency import with_proof
    from guardrail.printing import visible

    config = _config(args)
    duty = _duty(config, args.id)
    found = certificate_of(config, duty)
    if found is None:
        why = duty.evidence[0] if duty.evidence else "it was not looked for yet"
        print(visible(f"guardrail: `{args.id}` has no certificate: it is `{duty.stage}`: {why}"), file=sys.stderr)
        return EXIT_FAULT
    seq, envelope = found
    certificate = to_file(with_proof(envelope, trail_place(config), seq))
    if args.out:
        _write(Path(args.out), certificate)
        print(visible(f"wrote {args.out}"))
    else:
        sys.stdout.write(certificate.decode())
    return EXIT_OK


def _check(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.obligations._certificate import check_certificate, read_vkey
    from guardrail.obligations._transparency import check_proof
    from guardrail.printing import visible

    vkey = _vkey(args.vkey)
    for line in vkey.splitlines() or [""]:
        read_vkey(line)
    try:
        data = _read(args.file)
        statement = check_certificate(data, vkey)
    except ConfigError as error:
        print(visible(f"NOT genuine: {args.file}: {error}"), file=sys.stderr)
        return EXIT_FAULT
    try:
        seq, size = check_proof(data, vkey)
    except ConfigError as error:
        print(visible(f"NOT shown to be in the trail: {args.file}: {error}"), file=sys.stderr)
        return EXIT_FAULT
    told: dict[str, Any] = statement["predicate"]
    for what, wanted in (("asset", args.asset), ("order", args.order)):
        if wanted is not None and told[what] != wanted:
            print(visible(f"NOT about it: {args.file} is about the {what} `{told[what]}`"), file=sys.stderr)
            return EXIT_FAULT
    if args.config is not None and (why := _why_not_upheld(_config(args), statement, data)):
        print(visible(f"NOT upheld: {args.file}: {why}"), file=sys.stderr)
        return EXIT_FAULT
    if args.json:
        print(json.dumps(statement, indent=2))
    else:
        _print_statement(statement)
        print(f"  in the trail as record {seq}, in a signed tree of {size}")
    return EXIT_OK


def _why_not_upheld(config: Config, statement: dict[str, Any], data: bytes) -> str:
    """Why the trail does not uphold a genuine certificate; empty if it does."""
    from guardrail.obligations._certificate import digest_of
    from guardrail.obligations._reading import read_duties

    name: str = statement["predicate"]["obligation"]
    # From the trail alone: the index beside it is not what was signed.
    duty = read_duties(config, whole=True).get(name)
    if duty is None:
        return f"the trail knows of no obligation `{name}`"
    if duty.certificate == digest_of(data):
        return ""
    why = duty.evidence[0] if duty.evidence else "another certificate took its place"
    return f"`{name}` is `{duty.stage}` by now: {why}"


def _vkey(given: str) -> str:
    if "+" in given and not Path(given).exists():
        return given
    return _read(given).decode("utf-8", "replace").strip()


def _read(path: str) -> bytes:
    from guardrail.errors import ConfigError
    from guardrail.obligations._certificate import MAX_CERTIFICATE_BYTES

    try:
        with open(path, "rb") as stream:
            return stream.read(MAX_CERTIFICATE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None


def _print_statement(statement: dict[str, Any]) -> None:
    from guardrail.printing import visible

    told: dict[str, Any] = statement["predicate"]
    print(visible(f"genuine: {told['asset']} was deleted under {told['order']}, by {told['executor']}"))
    print(visible(f"  approved by  {', '.join(told['approvers'])}"))
    for subject in statement["subject"]:
        digests = ", ".join(f"{name}:{value}" for name, value in subject["digest"].items())
        print(visible(f"  deleted      {subject['name']} {digests}"))
    for sweep in told["sweeps"]:
        print(
            f"  looked for   {_time(sweep['t_us'])}: {sweep['files']} files in {sweep['roots']} directories, "
            f"{sweep['compared']} compared, {sweep['processes']} processes, {sweep['unreadable']} places not read"
        )
    for violation in told["violations"]:
        print(visible(f"  was wrong    {violation['kind']}: {violation['says']}"))
    for limit in told["limits"]:
        print(visible(f"  not seen     {limit}"))
    print(f"  records      {told['seq'][0]} to {told['seq'][1]} of the trail")


# -- printing


def _print(statuses: list[ObligationStatus], *, as_json: bool) -> int:
    import msgspec

    if as_json:
        print(json.dumps([msgspec.to_builtins(status) for status in statuses], indent=2))
    else:
        for status in statuses:
            _print_one(status)
        if not statuses:
            print("nothing is owed")
    return _code(statuses)


def _print_one(status: ObligationStatus) -> None:
    from guardrail.printing import visible

    wrong = f" [{', '.join(status.kinds)}]" if status.kinds else ""
    waits = "; waits for a person" if status.waits_for_person else f"; on hold by {status.held}" if status.held else ""
    print(
        visible(
            f"{status.state.upper():<9} {status.id}: {status.effect} {status.asset}, {status.stage}{wrong}, "
            f"due {_time(status.due_us)}{waits}"
        )
    )
    for line in status.evidence:
        print(visible(f"          {line}"))


def _print_facts(duty: Duty) -> None:
    from guardrail.printing import visible

    for outcome, count in duty.attempts.items():
        print(f"  attempts   {count} {outcome}")
    for one in duty.violations:
        print(visible(f"  violation  {_time(one.at_us)} {one.kind}: {one.says}"))
    for sweep in duty.sweeps:
        print(f"  sweep      {_time(sweep.t_us)} {sweep.files} files, {sweep.compared} compared")
    for line in duty.left:
        print(visible(f"  left       {line}"))
    if duty.word:
        print(visible(f"  leave      {duty.word}"))
    if duty.held:
        print(visible(f"  on hold    by {duty.held} since {_time(duty.held_us)} {duty.held_why}"))
    if duty.certificate:
        print(f"  certificate sha256:{duty.certificate}")


def _fields(duty: Duty) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(duty)
    return {**fields, "state": duty.state, "stage": duty.stage, "waits_for_person": duty.waits_for_person}


def _code(statuses: list[ObligationStatus]) -> int:
    """The exit code for some duties: a person is needed, something was not done, or neither."""
    if any(status.waits_for_person for status in statuses):
        return EXIT_ESCALATE
    return EXIT_DENY if any(status.kinds and status.state == "unmet" for status in statuses) else EXIT_OK


def _time(us: int) -> str:
    try:
        return dt.datetime.fromtimestamp(us / 1_000_000, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "at no time of a calendar"


def _config(args: argparse.Namespace) -> Config:
    from guardrail.cli import find_config
    from guardrail.config import load

    return load(find_config(args.config))


def _duty(config: Config, name: str) -> Duty:
    from guardrail.errors import ConfigError
    from guardrail.obligations._reading import read_duties

    duties = read_duties(config)
    if name not in duties:
        known = ", ".join(f"`{one}`" for one in list(duties)[:5])
        hint = f"such as {known}" if known else "nothing was taken up yet"
        raise ConfigError(f"there is no obligation `{name}`: `guardrail obligations list --all` has all, {hint}")
    return duties[name]
