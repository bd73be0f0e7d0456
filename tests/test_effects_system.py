"""Clocks, rights, mounts, processes, services, schedules, accounts and connections: what is done beside files."""

from __future__ import annotations

import pytest

from guardrail.effects.domain._wellknown import meanings
from guardrail.model import Op, Resource
from tests.effects_support import NoFiles, codes, effects_of, said


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("echo k >> ~/.ssh/authorized_keys", "set_security account:authorized_keys"),
        ('echo k >> "/home/$U/.ssh/authorized_keys"', "set_security account:authorized_keys"),
        ("sed -i s/a/b/ /etc/hosts", "set_security account:hosts"),
        ("echo x | sudo tee /etc/sudoers.d/bob", "set_security account:sudoers.d/bob"),
        ("chmod 777 //etc/./shadow", "set_security account:shadow"),
        ("ln -s /x /etc/cron.d/job", "schedule cron:/etc/cron.d/job"),
        ("rm /etc/cron*", "schedule cron:*"),
        ("chmod -R 700 /etc", "set_security account:*"),
        ("cp a.service /etc/systemd/system/", "service systemd:a.service"),
        ("cp a.timer ~/.config/systemd/user/", "schedule systemd:a.timer"),
        ("mv a /etc/systemd/system/x.service", "service systemd:x.service"),
        ("echo 1 > /proc/sys/kernel/x", "service kernel:/proc/sys/kernel/x"),
        ("echo b > /proc/sysrq-trigger", "service power:/proc/sysrq-trigger"),
        ("echo 1 > /proc/12/oom_score_adj", "signal process:12"),
        ("cp /proc/12/mem /o", "copy process:12 -> /o"),
        ("ln -sf /z /etc/localtime", "set_times clock:/etc/localtime"),
    ],
)
def test_to_change_some_files_is_to_change_what_they_stand_for(command: str, wanted: str) -> None:
    """An account, a schedule, a service, the clock, the kernel or a process."""
    assert wanted in said(command)


@pytest.mark.parametrize(
    "command",
    ["cat /etc/passwd", "cp /etc/passwd /tmp/p", "echo x > /w/etc/passwd", "echo x > etc/hosts", "ls -R /etc", "rm $X"],
)
def test_to_read_such_a_file_or_to_change_another_of_that_name_is_nothing_more(command: str) -> None:
    """Nothing but files is touched."""
    assert not [effect for effect in effects_of(command) if effect.resource.kind in ("account", "service", "process")]


def test_the_meaning_of_a_file_is_told_once() -> None:
    """A copy and the write that goes with it change one account."""
    assert said("cp /x /etc/shadow").count("set_security account:shadow") == 1


def test_a_name_of_which_nothing_is_known_is_no_account() -> None:
    """Policy holds it as something that could be an asset; it is not every account and schedule as well."""
    anything = Resource(kind="any", pattern="**")
    operations: tuple[Op, ...] = ("write", "delete", "rename")
    assert not [meaning for op in operations for meaning in meanings(op, anything, None)]


def test_what_a_table_of_cron_says_is_analysed_as_if_it_ran() -> None:
    """Each line's command, its input after a percent sign, in no directory that is known."""
    table = "MAILTO=x\n# c\n0 5 * * 1-5 cp /m /b\n@daily rm /d\n*/5 * * * * sh%rm /e\n1 2 3 4 5 rm rel\n"
    found = said("crontab /t", view=NoFiles({"/t": table.encode()}))
    assert {"copy /m -> /b", "delete /d", "delete /e", "delete **/rel", "schedule cron:self"} <= set(found)
    assert not codes("crontab /t", view=NoFiles({"/t": table.encode()}))


def test_a_table_that_is_not_known_or_not_understood_is_opaque() -> None:
    """It runs some day, whatever it says."""
    assert codes("crontab /t") == {"dynamic"}
    assert codes("crontab -", view=NoFiles()) == {"dynamic"}
    assert codes("echo 'nonsense' | crontab -") == {"unparsed"}


def test_a_file_that_the_call_made_is_what_is_scheduled_or_sent() -> None:
    """A batch for sftp, a table for cron and a config for curl are written first and used then."""
    assert "copy /m -> sftp://h/m" in said("echo 'put /m' > /s; sftp -b /s h")
    assert "delete /m" in said("echo '@daily rm /m' > /t && crontab /t")
    assert "copy /m -> https://h" in said("printf 'url=https://h\\nupload-file=/m\\n' > /c; curl -K /c")


@pytest.mark.parametrize(
    ("session", "wanted"),
    [
        ("put -r /m x", "copy /m -> sftp://h/x"),
        ("lcd /d\nmput *.bin", "copy /d/*.bin -> sftp://h/*.bin"),
        ("get /r /o", "write /o"),
        ("-rm /r", "api_delete sftp://h/r"),
        ("!cp /m /b", "copy /m -> /b"),
        ("rename /a /b", "mention /a"),
    ],
)
def test_a_session_is_gone_through_command_by_command(session: str, wanted: str) -> None:
    """Uploads, downloads, removals, and commands of this machine."""
    assert wanted in said(f"sftp h <<'E'\n{session}\nE")


def test_a_session_of_nothing_but_looking_is_harmless() -> None:
    """No code, no upload."""
    assert not codes("sftp h <<< 'ls -l'")
    assert not codes("sftp -b /dev/null h")


def test_a_mount_gives_files_another_name_and_hides_others() -> None:
    """Both sides are told, and every layer of an overlay."""
    found = said("mount -t overlay -o lowerdir=/a:/b,upperdir=/u,workdir=/k none /m")
    assert {"mount /a -> /m", "mount /b -> /m", "mount /u -> /m", "mount /m"} <= set(found)


def test_a_signal_says_which_and_to_ask_for_a_process_is_none() -> None:
    """Signal 0 is a question."""
    (effect,) = effects_of("kill -s KILL 12")
    assert (effect.op, effect.attrs["signal"]) == ("signal", "KILL")
    assert said("kill -0 12") == ["list process:12"]


def test_an_option_value_of_a_device_tool_does_not_eat_the_device() -> None:
    """The same letter takes a value in one tool and none in its neighbour."""
    assert "write /m" in said("mkswap -f /m")
    assert "write /m" in said("sfdisk -b /m")
    assert "set_security account:bob" in said("passwd -d bob")


def test_a_verb_that_is_cut_short_is_the_whole_one() -> None:
    """btrfs takes any beginning that only one of its verbs has; more than one is not guessed."""
    assert "copy /m -> /b" in said("btrfs su sn /m /b")
    assert "program" in codes("btrfs s /m /b")


def test_a_group_of_subcommands_alone_only_tells_how_it_is_used() -> None:
    """Without words it prints its help, but with an input it may be a shell of its own."""
    assert said("supervisorctl --help") == []
    assert codes("echo 'stop x' | supervisorctl") == {"inline"}
