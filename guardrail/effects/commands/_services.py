"""Services, firewalls and network settings: commands whose first words say whether they only look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, Field, Stream
from guardrail.model import Op
from guardrail.patterns import lazy

NEIGHBOURS: Final = "neighbours"
"""What a list of other hosts is called, whichever command prints it; `history.reconnaissance` has its address."""

_LOOKS: Final = frozenset(
    "show list ls lst get help status monitor info dump version query state stats test is-active print check".split()
)
_SHORT_LOOKS: Final = frozenset("s sh sho l li lis st stat".split())
_FIREWALLD: Final = tuple(
    f"--{verb}"
    for verb in (
        "add remove set new delete change reload complete panic-o runtime load path direct policy lockdown".split()
    )
)
_ALWAYS: Final = frozenset("route ifup ifdown dhclient dhcpcd wg-quick pppd openvpn".split())
_CHANGING_FILES: Final = ("-f", "--file", "-b", "-batch", "--batch")


def _texts(words: tuple[Field, ...]) -> list[str]:
    return [field.text for field in words]


def service(call: Call, _parsed: Parsed) -> Stream:
    """`service NAME VERB` and its like of other systems."""
    words = [text for text in _texts(call.args) if not text.startswith("-")]
    if call.name == "service" and words and "/" in words[0]:
        return call.opaque("program", reason="a script that is named by its path")
    name, verb = (words[:1], words[1:]) if call.name in _NAME_FIRST else (words[1:2], words[:1])
    if not words or verb[:1] in (["status"], ["list"], ["help"]) or words == ["help"]:
        return SOMETHING
    if call.name in _OF_FOLDERS:
        name, verb = [words[-1].rstrip("/").rpartition("/")[2]], _texts(call.args[:1])
    call.emit("service", at("systemd", name[0] if name else "*"), attrs={"verb": " ".join(verb)[:100]})
    _shut_out(call, name, verb)
    return SOMETHING


def unit(call: Call, parsed: Parsed) -> Stream:
    """`systemctl stop UNIT` and its like."""
    out = apply_spec(call, parsed)
    _shut_out(call, [field.text for field in parsed.operands], [call.name.rpartition(" ")[2]])
    return out


def _shut_out(call: Call, names: list[str], verbs: list[str]) -> None:
    """Whoever stops what lets people in has locked all of them out."""
    if any(map(_DOORS.fullmatch, names)) and any(map(_ENDING.fullmatch, verbs)):
        call.emit("set_security", at("account", "*"), attrs={"verb": " ".join(verbs)[:100]})


_DOORS: Final = lazy(
    r"(?:ssh|sshd|dropbear|sssd|nscd|nslcd|winbind|systemd-logind|krb5kdc|slapd)(?:\.(?:service|socket))?"
)
"""Services that let people in, or know who they are."""

_ENDING: Final = lazy(r"stop|kill|down|disable|mask|freeze|off|exit|clean|remove|pause|-[a-z]*[dxk][a-z]*")

_OF_FOLDERS: Final = frozenset(("s6-svc", "svc", "runsv"))
"""Commands of which the last word is the folder of a service, and an option what is done to it."""


def launched(call: Call, parsed: Parsed) -> Stream:
    """`launchctl load FILE`, `launchctl bootout DOMAIN/NAME`: the service is called like its file."""
    out = apply_spec(call, parsed)
    for field in parsed.operands:
        name = field.text.rpartition("/")[2].removesuffix(".plist")
        call.emit("service", at("systemd", name), attrs={"verb": call.name.rpartition(" ")[2]})
    return out


_NAME_FIRST: Final = frozenset(("service", "rc-service", "invoke-rc.d", "update-rc.d", "chkconfig"))
"""Commands of which the first word is the service, and the second what is done to it."""


def _changes(call: Call, op: Op, scheme: str, name: str) -> Stream:
    for index, field in enumerate(call.args):
        if field.text in _CHANGING_FILES and index + 1 < len(call.args):
            call.read(call.args[index + 1])
    call.mention(field for field in call.args if "/" in field.text)
    call.emit(op, at(scheme, name), attrs={"verb": " ".join(_texts(call.args))[:100]})
    return SOMETHING


def iptables(call: Call, _parsed: Parsed) -> Stream:
    """`iptables`, `ip6tables`, `ebtables`, `arptables`: rules are listed, or changed."""
    words = _texts(call.args)
    for field in call.args:
        if field.text.startswith(("-M", "--modp")):
            call.opaque("inline", reason="a program that loads modules", words=call.args)
    if any(map(_RULES_LISTED.fullmatch, words)) and not any(map(_RULES_CHANGED.match, words)):
        return SOMETHING
    return _changes(call, "set_security", "firewall", call.name) if words else SOMETHING


_RULES_LISTED: Final = lazy(r"-[nvxt]*[LSC].*|--(?:lis|che|vers|help)[\w-]*|-[Vh]")
_RULES_CHANGED: Final = lazy(
    r"-[nvx]*[ADIRFXPNEZ]|--(?:app|del|ins|rep|flu|pol|new|ren|zer|ato)"  # a value of this form is a question too many
)


def firewall(call: Call, _parsed: Parsed) -> Stream:
    """`nft`, `ufw`, `firewall-cmd`, `ipset`: verbs and options that begin with what they do."""
    words = _texts(call.args)
    verbs = [word for word in words if not word.startswith("-")]
    asked = ("--list", "--get", "--state", "--query", "--info", "--version", "--help", "--check-config", "-h", "-V")
    options = [word for word in words if word.startswith("-")]
    looking = bool(verbs) and (verbs[0] in _LOOKS or verbs[:2] == ["app", "list"] or verbs[:2] == ["app", "info"])
    if call.name == "firewall-cmd":
        looking = not any(option.startswith(_FIREWALLD) for option in options)
    elif call.name == "ipset" and not verbs:
        looking = any(o in ("-L", "-l", "-S", "-T", "list", "save", "test") for o in options)
    if looking or (not verbs and words and all(o.startswith(asked) for o in options)) or not words:
        return SOMETHING
    if call.name == "nft" and any(o in ("-c", "--check") for o in options):
        return SOMETHING
    return _changes(call, "set_security", "firewall", call.name)


def network(call: Call, parsed: Parsed) -> Stream:
    """`ip`, `nmcli`, `tc` and their like: an object, and a verb that looks or changes."""
    words = [field.text for field in parsed.operands]
    for index, field in enumerate(call.args):
        if call.name in ("ip", "tc", "bridge") and field.text in ("-b", "-batch") and index + 1 < len(call.args):
            call.read(call.args[index + 1])
            call.emit("service", at("network", "*"), attrs={"verb": "batch"})
            return call.opaque("inline", reason=f"{call.name} takes commands from a file")
    if call.name == "ip" and words[:1] in (["netns"], ["vrf"]) and words[1:2] == ["exec"]:
        if "-a" in _texts(call.args) or "-all" in _texts(call.args):
            return call.shell.again(call, tuple(parsed.operands[2:]), external=True)
        return call.shell.again(call, tuple(parsed.operands[3:]), external=True)
    verb = words[1] if len(words) > 1 else "show"
    if call.name in ("ip", "bridge") and words and "link".startswith(words[0]) and verb in ("s", "se"):
        verb = "set"  # of a link it is tried first
    if not words or verb in _LOOKS or verb in _SHORT_LOOKS or words[0] in _LOOKS or words[0] == "monitor":
        if (
            call.name == "ip"
            and words
            and len(words[0]) > 1
            and "neighbour".startswith(words[0].replace("bor", "bour"))
        ):
            call.emit("list", at("net", NEIGHBOURS))
        return SOMETHING
    return _changes(call, "service", "network", words[0])


def interface(call: Call, _parsed: Parsed) -> Stream:
    """`ifconfig`, `route`, `arp`, `iwconfig`: a name alone is looked at, more words change it."""
    words = [text for text in _texts(call.args) if not text.startswith("-")]
    options = [text for text in _texts(call.args) if text.startswith("-")]
    changing = any(word in ("add", "del", "delete", "up", "down", "flush", "change") for word in words)
    few = len(words) < (1 if call.name in _ALWAYS else 2)
    if (few and not changing and not any(o in ("-d", "-s", "-f", "--delete", "--set", "--file") for o in options)) or (
        call.name in ("arp", "netstat") and not any(o in ("-d", "-s", "-f") for o in options)
    ):
        if call.name == "arp":
            call.emit("list", at("net", NEIGHBOURS))
        return SOMETHING
    return _changes(call, "service", "network", words[0] if words else call.name)


def hostname(call: Call, parsed: Parsed) -> Stream:
    """`hostname`: tells the name, or sets it."""
    for field in (*parsed.operands, *parsed.values_of("--file")):
        call.emit("service", at("kernel", f"hostname {field.text}"), attrs={"verb": "hostname"})
    for field in parsed.values_of("--file"):
        call.read(field)
    return SOMETHING


def logged(call: Call, parsed: Parsed) -> Stream:
    """`logger`: what comes in, or is in a file, goes into the log here, or on another host."""
    server = parsed.value("--server")
    log = at("udp", f"//{server.text}") if server is not None else at("journal", "syslog")
    sources = tuple(source for field in call.args for source in field.sources)
    for field in parsed.values_of("--file"):
        sources = (*sources, *call.read(field))
    if not parsed.operands and not parsed.has("--file"):
        sources = (*sources, *call.stdin.sources)
    for source in sources:
        call.emit("copy", source, log, flow=call.stdin.flow)
    if server is not None:
        call.emit("net_send", log)
    return SOMETHING


def inhibited(call: Call, parsed: Parsed) -> Stream:
    """`systemd-inhibit COMMAND`: as long as the command runs, the machine is not shut down."""
    if not parsed.operands or parsed.has("--list", "--help"):
        return SOMETHING
    call.emit("service", at("power", "inhibit"), attrs={"verb": "inhibit"})
    return call.shell.again(call, tuple(parsed.operands), external=True)


def sysctl(call: Call, parsed: Parsed) -> Stream:
    """`sysctl`: settings of the kernel are told, or set by `NAME=VALUE`, `-w` or a file."""
    setting = parsed.has("--write", "--load", "--system")
    for field in parsed.operands:
        if parsed.has("--load"):
            call.read(field)
        elif ".." in field.text.split("/"):
            # A name that leads out of where the settings are.
            place = Field(text=f"/proc/sys/{field.text.partition('=')[0]}", sources=field.sources)
            call.printed = call.read(place)
            if "=" in field.text or setting:
                call.put("write", call.place(place), field.sources)
        elif "=" in field.text or setting or field.many:
            call.emit("service", at("kernel", field.text.partition("=")[0]), attrs={"verb": "sysctl"})
    if parsed.has("--load", "--system"):
        for field in parsed.values_of("--load"):
            call.read(field)
        call.emit("service", at("kernel", "*"), attrs={"verb": "sysctl"})
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "firewall": firewall,
    "hostname": hostname,
    "inhibited": inhibited,
    "interface": interface,
    "iptables": iptables,
    "launched": launched,
    "logged": logged,
    "network": network,
    "service": service,
    "sysctl": sysctl,
    "unit": unit,
}
"""What `code` of a spec may say, for this module."""
