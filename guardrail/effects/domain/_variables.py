"""Variables of the environment by which programs run something, write something or are given options: data alone.

Not concerned with when a variable is set, nor with those that change what a command name means: `_environment` is.
Facts come from the programs' manuals, looked at in 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.patterns import lazy

RUNS: Final = lazy(
    r"EDITOR|VISUAL|\w+_(?:PAGER|EDITOR|BROWSER|RSH|SSH|SSH_COMMAND|PASSCOMMAND|PASSWORD_COMMAND|ASKPASS|EXTERNAL_DIFF)|HGEDITOR|HGMERGE"
    r"|FZF_\w+_COMMAND|SKIM_DEFAULT_COMMAND|DIFFPROG|MANOPT|PERLDOC|RI_PAGER|DOCKER_SSH|NIX_SSHOPTS|SSH_SK_HELPER"
    r"|(?i:npm_config_(?:script_shell|shell|editor|viewer|git|browser))|RUSTC|RUSTDOC|CARGO_\w+_(?:RUNNER|LINKER|WRAPPER)"
    r"|RUSTC_(?:WORKSPACE_)?WRAPPER|CC|CXX|CPP|FC|LD|AR|AS|NVCC|NVCC_PREPEND_FLAGS|CCACHE_PREFIX\w*|TEXEDIT|XDVIEDITOR"
    r"|PSQL_EDITOR_LINENUMBER_ARG|PSQL_WATCH_PAGER|WWW_BROWSER|NNN_OPENER|RANGER_\w+|TMUX_EDITOR|SHELL_COMMAND"
)
"""Their value is shell text that runs, with or without further words."""

EDITS: Final = lazy(r"(?:\w+_)?EDITOR|VISUAL|HGEDITOR")
"""Those of them that are given the name of a file, which they are to change."""

KNOWN_SHELLS: Final = frozenset("sh bash dash zsh fish ksh nologin false".split())

CODE: Final[tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]] = (
    (
        lazy(r"G?VIMINIT|EXINIT|NEXINIT"),
        lazy(r"(?:\s*+:?\s*+(?:se|set|setlocal|sy|syntax|syn|filetype|color|colorscheme)\b[\w\s=,.:+-]*+\|?)*+"),
    ),
    (lazy(r"LUA_INIT\w*|PERL5DB|ERL_(?:A|Z)?FLAGS|ELIXIR_ERL_OPTIONS|RUBYSHELL"), lazy(r"[+\w\s]*")),
    (
        lazy(r"FZF_DEFAULT_OPTS|SKIM_DEFAULT_OPTIONS|_ZO_FZF_OPTS"),
        lazy(r"(?!.*(?:execute|become|reload|transform|preview|\bcmd\b|history|listen)).*", re.DOTALL),
    ),
    (
        lazy(r"(?:GNU)?MAKEFLAGS|MFLAGS|MAKEFILES"),
        lazy(
            r"(?:\s*+(?:-[lj]\s*+[\d.]++|-?[jksinw]++\d*+"
            r"|--(?:jobs|silent|quiet|no-print-directory|output-sync)(?:=\w++)?))*+"
        ),
    ),
    (lazy(r"GOFLAGS"), lazy(r"(?!.*(?:exec|tool|overlay)).*", re.DOTALL)),
    # Where the compiler and the linker of Go are found, and what else says so.
    (
        lazy(r"GOROOT|GOTOOLDIR"),
        lazy(r"(?:/usr/(?:local/|lib/|share/)?|/opt/|/snap/)go[\w.-]*(?:/[\w.-]+)*"),
    ),
    (lazy(r"GOENV"), lazy(r"off")),
    (lazy(r"GOAUTH"), lazy(r"(?:\s*+(?:off|netrc|git\s++[^;]*+)\s*+;?)*+")),
    (lazy(r"GO(?:CACHEPROG|PACKAGESDRIVER)"), lazy(r"off")),
    (
        lazy(r"(?:CARGO_\w*_?)?RUST(?:DOC)?FLAGS"),
        lazy(r"(?!.*(?:linker=\S*/|-B|-fuse-ld=\S*/|plugin=|-specs|-wrapper|runtool)).*", re.DOTALL),
    ),
    (
        lazy(r"(?:JDK_JAVA|MAVEN|GRADLE|JAVA|ANT|SBT|KAFKA|SPARK_DAEMON_JAVA|HADOOP)_OPTS|JDK_JAVA_OPTIONS"),
        lazy(r"(?:\s*+(?:-X(?:m[sxn]|ss)\w++|-D[\w.-]++(?:=[\w.:-]*+)?|-XX:[+-]\w++|-XX:\w++=\d\w*+|-server|-ea))*+"),
    ),
)
"""Variables whose value is code or options that may be code, and what a value looks like that does nothing."""

WRITES: Final = lazy(
    r"SSLKEYLOGFILE|\w*HISTFILE|PSQL_HISTORY|SQLITE_HISTORY|PYTHON_HISTORY|NODE_REPL_HISTORY|REDISCLI_HISTFILE"
    r"|TF_LOG_PATH|ANSIBLE_LOG_PATH|NCCL_DEBUG_FILE|NCCL_GRAPH_DUMP_FILE|NCCL_TOPO_DUMP_FILE|CU\w+_LOGDEST\w*"
    r"|CU\w+_LOG_FILE|LLVM_PROFILE_FILE|COVERAGE_FILE|GST_DEBUG_FILE|MALLOC_TRACE|MALLOC_CONF|G_DEBUG_FILE"
    r"|HEAPPROFILE|CPUPROFILE|PERF_BUILDID_DIR|GCOV_PREFIX|XLA_DUMP_TO|TORCH_LOGS_OUT|TORCH_TRACE|TENSORBOARD_LOGDIR"
    r"|NODE_V8_COVERAGE|NODE_REDIRECT_WARNINGS|BASH_LOADABLES_LOG|WGETLOG|DOCKER_IIDFILE|RIPGREP_LOG|PSQL_LOG|VALGRIND_LOG|GIT_TRACE\w*"
)
"""Their value is the name of a file, or of a directory, that is written."""

WRITES_IN_TEXT: Final[tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]] = (
    (lazy(r"FFREPORT"), lazy(r"file=((?:\\.|[^:])+)")),
    (lazy(r"[A-Z]*SAN_OPTIONS"), lazy(r"(?:log_path|coverage_dir)=[\"']?([^:\"']+)")),
    (lazy(r"XLA_FLAGS"), lazy(r"--xla_dump_to=(\S+)")),
    (lazy(r"MALLOC_CONF"), lazy(r"prof_prefix:([^,]+)")),
)
"""The same, where the name is a part of the value."""

PREFIXES: Final[Mapping[str, str]] = {
    "cargo": "CARGO_", "pip": "PIP_", "pip3": "PIP_", "rclone": "RCLONE_", "npm": "NPM_CONFIG_", "npx": "NPM_CONFIG_",
    "pnpm": "NPM_CONFIG_", "restic": "RESTIC_", "borg": "BORG_", "kopia": "KOPIA_", "uv": "UV_", "yarn": "YARN_",
    "poetry": "POETRY_", "virtualenv": "VIRTUALENV_", "pulumi": "PULUMI_", "helm": "HELM_", "vault": "VAULT_",
    "streamlit": "STREAMLIT_", "caddy": "CADDY_", "minikube": "MINIKUBE_", "gitleaks": "GITLEAKS_", "dvc": "DVC_",
}  # fmt: skip
"""Commands each of whose long options may also be given as a variable that begins so."""

NAMED_OPTIONS: Final[Mapping[str, str]] = {
    "RESTIC_REPOSITORY": "--repo",
    "RESTIC_FROM_REPOSITORY": "--from-repo",
    "BORG_REPO": "--repo",
    "BORG_CACHE_DIR": "--cache-dir",
    "NPM_CONFIG_LOGS_DIR": "--logs-dir",
}
"""Variables of those that stand for an option of another name."""

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "terraform": ("TF_CLI_ARGS",), "tofu": ("TF_CLI_ARGS",), "zip": ("ZIPOPT", "ZIP"), "unzip": ("UNZIPOPT", "UNZIP"),
    "zipinfo": ("ZIPINFOOPT", "ZIPINFO"), "pytest": ("PYTEST_ADDOPTS",), "bat": ("BAT_OPTS",), "ack": ("ACK_OPTIONS",),
    "lzop": ("LZOP",), "pigz": ("PIGZ",), "arj": ("ARJ_SW",), "rar": ("RAR",), "dialog": ("DIALOGOPTS",),
    "cscope": ("CSCOPEOPTIONS",),
}  # fmt: skip
"""Variables whose words stand before those of a command; with a subcommand after `_` too."""
