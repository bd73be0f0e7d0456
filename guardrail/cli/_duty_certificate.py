"""`guardrail obligations certificate` and `verify-certificate`: what proves a deletion, and whether it does."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT
from guardrail.cli._input import read_bytes, vkeys
from guardrail.cli._output import put
from guardrail.cli._review import configuration
from guardrail.printing import moment, visible

if TYPE_CHECKING:
    from guardrail.config import Config

_EXITS: Final = "exit codes: 0 it is genuine, about what was asked and upheld, 1 it is not, 2 usage"


def add(actions: Any) -> None:
    """Add these actions to `guardrail obligations`."""
    certificate = actions.add_parser(
        "certificate", help="print the certificate of a deletion", epilog="exit codes: 0 done, 1 there is none, 2 usage"
    )
    certificate.add_argument("id", metavar="ID", help="`mandate/obligation`")
    certificate.add_argument("--out", metavar="FILE", help="where it goes; default standard output")
    certificate.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    certificate.set_defaults(run=_print)

    check = actions.add_parser("verify-certificate", help="check a certificate", epilog=_EXITS)
    check.add_argument("file", metavar="FILE", help="the certificate")
    check.add_argument(
        "--vkey", required=True, metavar="VKEY", help="verifier key of the trail, as text or as a file that holds it"
    )
    check.add_argument("--asset", metavar="ID", help="the asset that it has to be about")
    check.add_argument("--order", metavar="ID", help="the order that it has to be under")
    check.add_argument("--config", metavar="FILE", help="guardrail.toml: ask its trail too whether it still holds")
    check.add_argument("--json", action="store_true", help="print JSON: the statement that was signed")
    check.set_defaults(run=_check)


def _print(args: argparse.Namespace) -> int:
    from guardrail.audit import trail_place
    from guardrail.obligations._certificate import to_file
    from guardrail.obligations._reading import certificate_of, find_duty
    from guardrail.obligations._transparency import with_proof

    config = configuration(args)
    duty = find_duty(config, args.id)
    found = certificate_of(config, duty)
    if found is None:
        why = duty.evidence[0] if duty.evidence else "it was not looked for yet"
        print(visible(f"guardrail: `{args.id}` has no certificate: it is `{duty.stage}`: {why}"), file=sys.stderr)
        return EXIT_FAULT
    seq, envelope = found
    certificate = to_file(with_proof(envelope, trail_place(config), seq))
    if args.out:
        put(args.out, certificate)
        print(visible(f"wrote {args.out}"))
    else:
        sys.stdout.write(certificate.decode())
    return EXIT_ALLOW


def _check(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.obligations._certificate import MAX_CERTIFICATE_BYTES, check_certificate, read_vkey
    from guardrail.obligations._transparency import check_proof

    vkey = vkeys(args.vkey)
    for line in vkey.splitlines() or [""]:
        read_vkey(line)
    try:
        data = read_bytes(args.file, MAX_CERTIFICATE_BYTES + 1)
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
    if args.config is not None and (why := _why_not_upheld(configuration(args), statement, data)):
        print(visible(f"NOT upheld: {args.file}: {why}"), file=sys.stderr)
        return EXIT_FAULT
    if args.json:
        print(json.dumps(statement, indent=2))
    else:
        _print_statement(statement)
        print(f"  in the trail as record {seq}, in a signed tree of {size}")
    return EXIT_ALLOW


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


def _print_statement(statement: dict[str, Any]) -> None:
    told: dict[str, Any] = statement["predicate"]
    print(visible(f"genuine: {told['asset']} was deleted under {told['order']}, by {told['executor']}"))
    print(visible(f"  approved by  {', '.join(told['approvers'])}"))
    for subject in statement["subject"]:
        digests = ", ".join(f"{name}:{value}" for name, value in subject["digest"].items())
        print(visible(f"  deleted      {subject['name']} {digests}"))
    for sweep in told["sweeps"]:
        print(
            f"  looked for   {moment(sweep['t_us'])}: {sweep['files']} files in {sweep['roots']} directories, "
            f"{sweep['compared']} compared, {sweep['processes']} processes, {sweep['unreadable']} places not read"
        )
    for violation in told["violations"]:
        print(visible(f"  was wrong    {violation['kind']}: {violation['says']}"))
    for limit in told["limits"]:
        print(visible(f"  not seen     {limit}"))
    print(f"  records      {told['seq'][0]} to {told['seq'][1]} of the trail")
