"""Corpora of command lines, and a world of real files to judge them in.

Not concerned with what a line should give: each test says that. A corpus is text, one command to a line; `#` and a
blank begin a comment, `⏎` stands for a newline inside a command, and `{W}` and its kin for a place in the world.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest

from guardrail import Decision, Guard, Subject, ToolCall

CASES = Path(__file__).parent / "cases"

Holding = Literal["directory", "file"]
"""What is registered as the weights: the directory that holds them, or the file itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a corpus.

    Args:
        id: `file:digest`, stable while the line is.
        family: name of the file, without its ending.
        text: the command, before its places are filled in.
    """

    id: str
    family: str
    text: str


def identity(family: str, text: str) -> str:
    """`family:digest`: lines may move, and a list that names them stays right."""
    return f"{family}:{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def lines_of(path: Path) -> list[Line]:
    """The commands of one corpus file, in order."""
    found = []
    for raw in path.read_text(encoding="utf-8").splitlines():
        if raw.strip() and not raw.startswith("# "):
            text = raw.replace("⏎", "\n")
            found.append(Line(id=identity(path.stem, text), family=path.stem, text=text))
    return found


def corpus(folder: str) -> list[Line]:
    """Every command of a folder of corpora."""
    return [
        line for path in sorted((CASES / folder).glob("*.txt")) if path.stem[:5] != "known" for line in lines_of(path)
    ]


def known(path: Path) -> dict[str, str]:
    """A list of known shortcomings: the first word of a line is an id, the rest is for people."""
    if not path.exists():
        return {}
    rows = [row.split(maxsplit=1) for row in path.read_text(encoding="utf-8").splitlines()]
    return {row[0]: " ".join(row[1:]) for row in rows if row and row[0] != "#"}


class World:
    """A model, a control config, an evaluation and a project, as real files below one root.

    Args:
        root: an empty directory.
        holding: what is registered as the weights.
    """

    MARKS: Final = ("{W}", "{D}", "{M}", "{C}", "{CD}", "{E}", "{R}", "{G}", "{H}", "{P}", "{T}", "{TRAIL}")
    """What a corpus line may name; `places` says where each is."""

    URIS: Final = ("hf://acme/beta", "s3://models/beta", "gs://models/beta", "https://registry.acme.example/v2/beta")
    """Where the weights are kept besides."""

    def __init__(self, root: Path, holding: Holding) -> None:
        self.root = root
        self.models = root / "srv/models/beta"
        self.weights = self.models / "model.safetensors"
        self.control = root / "etc/acme/shutdown_config.yaml"
        self.evaluation = root / "srv/evals/beta.json"
        self.home = root / "home/agent"
        self.project = self.home / "project"
        self._model_files()
        self._project_files()
        self.toml = root / "guardrail.toml"
        weights = self.models if holding == "directory" else self.weights
        self.toml.write_text(
            f'[[asset]]\nid = "model:beta"\nclass = "weights"\nmodel = "acme/beta"\npaths = ["{weights}"]\n'
            f"uris = {json.dumps(self.URIS)}\n"
            f'[[asset]]\nid = "control:shutdown"\nclass = "control"\npaths = ["{self.control}"]\n'
            "controls = { shutdown_enabled = true }\n"
            f'[[asset]]\nid = "eval:beta"\nclass = "evaluation"\npaths = ["{self.evaluation}"]\n'
            # A busy machine must not turn an answer into a fault.
            f'[trail]\ntimeout_seconds = 60\ndirectory = "{root}/trail"\n[limits]\ndecision_ms = 60000\n',
            encoding="utf-8",
        )

    def _model_files(self) -> None:
        self._write(self.weights, b"\x10\0\0\0\0\0\0\0" + b'{"__metadata__":{}}' + bytes(4096))
        self._write(self.models / "README.md", b"# Beta\n")
        self._write(self.models / "config.json", b'{"model_type": "transformer"}\n')
        self._write(self.models / "tokenizer.json", b'{"version": "1.0"}\n')
        self._write(
            self.control,
            b"# who may stop what\nshutdown_enabled: true\nlog_level: info\nreport_interval: 60\n",
        )
        self._write(self.evaluation, b'{"model": "beta", "score": 71.5, "n": 20}\n')

    def _project_files(self) -> None:
        project = self.project
        for name, text in PROJECT.items():
            self._write(project / name, text.encode())
        for name in ("scripts/run.sh", "scripts/train.sh", "scripts/env.sh"):
            (project / name).chmod(0o755)
        self._write(self.home / ".ssh/id_ed25519.pub", b"ssh-ed25519 AAAA agent\n")
        (project / "build").mkdir()
        subprocess.run(["git", "init", "-q", "-b", "main", str(project)], check=True, timeout=60)

    def more_names(self) -> None:
        """Other names of the weights, as threats use them: a link to the directory, to the file, and a hard link."""
        (self.project / "latest").symlink_to(self.models)
        (self.project / "w.link").symlink_to(self.weights)
        os.link(self.weights, self.project / "w.hard")

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    @property
    def places(self) -> dict[str, str]:
        """What stands for what in a corpus."""
        return {
            "{W}": str(self.weights),
            "{D}": str(self.models),
            "{M}": str(self.models.parent),
            "{C}": str(self.control),
            "{CD}": str(self.control.parent),
            "{E}": str(self.evaluation),
            "{R}": str(self.models / "README.md"),
            "{G}": str(self.models / "config.json"),
            "{H}": str(self.home),
            "{P}": str(self.project),
            "{T}": str(self.toml),
            "{TRAIL}": str(self.root / "trail"),
        }

    def fill(self, text: str) -> str:
        """A line with its places filled in; `{b64:…}}`, `{hex:…}}` and their kin encode what they hold."""
        for mark, place in self.places.items():
            text = text.replace(mark, place)
        return encoded(text)

    def call(self, text: str, session: str, cwd: str | None = None) -> ToolCall:
        """A shell call of the agent, in its project."""
        return ToolCall(
            tool="bash",
            args={"command": self.fill(text)},
            cwd=cwd or str(self.project),
            subject=Subject(id="agent"),
            session=session,
        )

    def open(self, patch: pytest.MonkeyPatch) -> Guard:
        """A guard without a trail, for an agent whose home is here."""
        patch.setenv("HOME", str(self.home))
        # Thousands of decisions: their log lines would bury what a failing test has to say.
        for module in ("guardrail.assets._files", "guardrail.effects.shell._globs"):
            patch.setattr(f"{module}.MAX_GLOB_SECONDS", 10.0)
        patch.setattr("guardrail.assets._trees.MAX_LOOK_SECONDS", 10.0)
        patch.setattr(logging.getLogger("guardrail.decision"), "disabled", True)
        return Guard.open(self.toml, record=False)


def encoded(text: str) -> str:
    """Fill in `{b64:…}`, `{hex:…}`, `{oct:…}` and `{rev:…}`, innermost first."""
    import base64
    import re

    ways = {
        "b64": lambda part: base64.b64encode(part.encode()).decode(),
        "hex": lambda part: part.encode().hex(),
        "oct": lambda part: "".join(f"\\{byte:03o}" for byte in part.encode()),
        "xhex": lambda part: "".join(f"\\x{byte:02x}" for byte in part.encode()),
        "rev": lambda part: part[::-1],
        "rot": lambda part: part.translate(_ROT13),
    }
    mark = re.compile(r"\{(b64|hex|oct|xhex|rev|rot):((?:(?!\{(?:b64|hex|oct|xhex|rev|rot):).)*?)\}\}", re.DOTALL)
    while found := mark.search(text):
        text = text[: found.start()] + ways[found[1]](found[2]) + text[found.end() :]
    return text


_LOW, _HIGH = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROT13 = str.maketrans(_LOW + _HIGH, _LOW[13:] + _LOW[:13] + _HIGH[13:] + _HIGH[:13])


def why(decision: Decision) -> str:
    """The rules that fired and the effects they fired on, for a message."""
    out = []
    for reason in decision.reasons:
        effect = decision.effects[reason.effect] if reason.effect is not None else None
        said = f" [{effect.op} {effect.resource.address} {dict(effect.attrs)}]" if effect is not None else ""
        out.append(f"{reason.rule}{said}")
    return "; ".join(out[:4])


PROJECT = {
    "README.md": "# App\n\nold name, see https://example.com\n",
    "LICENSE": "MIT\n",
    "VERSION": "1.2.3\n",
    "CHANGELOG.md": "feat: first\n",
    "Makefile": "all:\n\t@echo building\ntest:\n\tpytest -q\nclean:\n\trm -rf build\n",
    "pyproject.toml": '[project]\nname = "app"\nversion = "1.2.3"\n',
    "setup.cfg": "[metadata]\nname = app\n",
    "setup.py": "from setuptools import setup\nsetup()\n",
    "requirements.txt": "requests\n",
    "package.json": '{"name": "app", "version": "1.0.0", "scripts": {"build": "tsc", "test": "jest"}}\n',
    "Dockerfile": "FROM python:3.12-slim\nCOPY . /app\n",
    "docker-compose.yml": "services:\n  api:\n    ports: ['localhost:8080:80']\n",
    ".env": "PORT=8080\n",
    ".env.example": "PORT=8080\n# comment\n",
    ".gitignore": "*.pyc\n",
    "src/app.py": "import os\n\n\ndef main():\n    print('foo')\n\n\nTIMEOUT = 10\n",
    "src/config.py": "class Config:\n    pass\n",
    "src/hello.c": "int main(void) { return 0; }\n",
    "src/set.c": '#include "config"\nint main(void) { return 0; }\n',
    "src/old.py": "X = 1\n",
    "app/__init__.py": "__version__ = '1.2.3'\n",
    "tests/test_app.py": "def test_main():\n    assert True\n",
    "tests/run_all.py": "import unittest\n\nunittest.main()\n",
    "train.py": "import argparse\n\nprint('training')\n",
    "serve.py": "import argparse\n\nprint('serving')\n",
    "eval.py": "import argparse\n\nprint('evaluating')\n",
    "manage.py": "import sys\n\nprint(sys.argv)\n",
    "scripts/run.sh": '#!/bin/sh\nexec python -m app "$@"\n',
    "scripts/train.sh": '#!/bin/sh\npython train.py "$@"\n',
    "scripts/env.sh": "export APP_ENV=dev\n",
    "scripts/report.py": "print('report')\n",
    "scripts/prepare.py": "print('prepare')\n",
    "scripts/build.mjs": "console.log('build')\n",
    "data/sales.csv": "id,name,price\n1,a,10\n2,b,20\n",
    "data/list.txt": "one\ntwo\n",
    "data/ids.txt": "1\n2\n",
    "data/counts.txt": "a 1\nb 2\n",
    "data/words.txt": "Hello foo\n",
    "data/items.json": '{"items": [{"id": 1, "name": "a"}]}\n',
    "data/a.txt": "a\n",
    "data/b.txt": "b\n",
    "a.txt": "a\n",
    "b.txt": "b\n",
    "fix.patch": "--- a/src/app.py\n+++ b/src/app.py\n@@ -1 +1 @@\n-import os\n+import sys\n",
    "logs/app.log": "ERROR one\nok\n",
    "docs/index.md": "# Docs\n",
    "docs/page.htm": "<p>\n",
    "k8s/deploy.yaml": "kind: Deployment\n",
    "reports/previous.json": '{"score": 70}\n',
    "notes.md": "notes\n",
    "migrations/001.sql": "create table a (x int);\n",
    "certs/server.crt": "x\n",
}
"""A small project in many languages."""
