"""The policy that ships is the one its sources make: compared without OPA by digest, and with OPA byte by byte."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from guardrail.cli import main
from guardrail.errors import ConfigError
from guardrail.model import Op
from guardrail.policy import _build as builder
from guardrail.policy._build import RELEASE
from guardrail.policy._capabilities import portable_capabilities
from guardrail.policy._opa_binary import OPA_VERSION, Opa
from guardrail.policy._settings import Family, read_settings
from tests.policy_support import POLICIES, ROOT, bundle, find_opa

DIGEST_LENGTH = 64


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the bundle root, to change."""
    target = tmp_path / "policies"
    shutil.copytree(POLICIES, target)
    return target


@pytest.fixture
def opa() -> Opa:
    """The compiler."""
    return find_opa()


def edit(file: Path, old: str, new: str) -> None:
    """Change a source."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


# ── without OPA ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_artefact_was_built_from_these_sources() -> None:
    """Every source has the digest that the manifest recorded; needs no OPA."""
    assert builder.stale_sources(POLICIES, bundle().manifest) == ()


def test_a_changed_source_is_noticed_without_opa(copy: Path) -> None:
    """One more comment, one more rule or one fewer: the artefact is stale, and the sources are named."""
    manifest = bundle().manifest
    (copy / "guardrail/rules/assets/copy.rego").write_text("package guardrail.rules.assets.copy\n")
    (copy / "guardrail/rules/mine.rego").write_text("package guardrail.rules.mine\n")
    (copy / "guardrail/rules/assets/times.rego").unlink()
    (copy / RELEASE).write_text("{}")
    assert builder.stale_sources(copy, manifest) == (
        RELEASE, "guardrail/rules/assets/copy.rego", "guardrail/rules/assets/times.rego", "guardrail/rules/mine.rego",
    )  # fmt: skip


def test_the_manifest_names_everything() -> None:
    """Versions and digests of what went in and what came out, and the revision that rules report."""
    manifest = bundle().manifest
    build = POLICIES / "build"
    assert manifest.opa == OPA_VERSION
    assert manifest.wasm == hashlib.sha256((build / "policy.wasm").read_bytes()).hexdigest()
    assert manifest.data == hashlib.sha256((build / "data.json").read_bytes()).hexdigest()
    assert manifest.capabilities == hashlib.sha256((POLICIES / "capabilities.json").read_bytes()).hexdigest()
    assert all(len(digest) == DIGEST_LENGTH for digest in manifest.sources.values())
    assert orjson.loads((POLICIES / RELEASE).read_bytes()) == {"revision": manifest.revision}
    assert orjson.loads((build / "data.json").read_bytes())["guardrail"]["release"]["revision"] == manifest.revision


def test_every_operation_has_a_family_that_rules_know() -> None:
    """The words of the model, of the settings and of the rules are the same words."""
    settings = read_settings(builder.read_sources(POLICIES))
    assert settings.ops.keys() == set(get_args(Op))
    shape = (POLICIES / "guardrail/lib/shape.rego").read_text(encoding="utf-8")
    assert set(re.findall(r'^family\("(\w+)"\)$', shape, re.MULTILINE)) == set(get_args(Family))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"exact": "deny"', '"exact": "refuse"', "Invalid enum value"),
        ('"targeted"', '"aimed"', "unknown field `aimed`"),
        ('"copy": "copy",', "", "gives no family to `copy`"),
        ('"copy": "copy",', '"copy": "copies",', "Invalid enum value"),
        ('"copy": "copy",', '"copy": "copy", "teleport": "copy",', "Invalid enum value"),
        ('"version": "1.0.0",', "", "missing required field `version`"),
        ("{", "", "not valid"),
    ],
)
def test_settings_that_are_not_understood_are_refused(copy: Path, old: str, new: str, why: str) -> None:
    """A slip in data.json never ships as a rule that does not fire."""
    edit(copy / "data.json", old, new)
    with pytest.raises(ConfigError, match=why):
        read_settings(builder.read_sources(copy))


def test_a_directory_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """With the file that is missing."""
    with pytest.raises(ConfigError, match=r"there is no `\.manifest` in it"):
        builder.read_sources(tmp_path)


def test_without_opa_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when GUARDRAIL_OPA names something that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no `opa` binary: install it with `.*go install .*opa@v1"):
        Opa.find()
    monkeypatch.setenv("GUARDRAIL_OPA", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="no `opa` binary at `"):
        Opa.find()


def test_the_named_opa_goes_first_then_the_local_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GUARDRAIL_OPA, then `.tools/bin/opa`, then PATH."""
    paths = [tmp_path / place / "opa" for place in ("named", ".tools/bin", "path")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(stat.S_IRWXU)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(paths[2].parent))
    monkeypatch.setenv("GUARDRAIL_OPA", str(paths[0]))
    found = [Opa.find().path]
    monkeypatch.delenv("GUARDRAIL_OPA")
    found.append(Opa.find().path)
    paths[1].unlink()
    found.append(Opa.find().path)
    assert found == [str(path) for path in paths]


# ── with OPA ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rebuild_gives_the_same_bytes(opa: Opa) -> None:
    """Module, data and manifest are reproduced exactly, so anybody can see what ships."""
    assert builder.differences(POLICIES, builder.build(POLICIES, opa)) == ()


def test_a_rebuild_elsewhere_gives_the_same_bytes(opa: Opa, copy: Path) -> None:
    """Neither the path of the checkout nor what was built before goes into the module."""
    shutil.rmtree(copy / "build")
    (copy / RELEASE).unlink()
    files = builder.build(copy, opa)
    assert builder.differences(POLICIES, files) == ()
    assert set(builder.differences(copy, files)) == set(files)
    builder.write(copy, files)
    assert builder.differences(copy, files) == ()


def test_the_capabilities_are_those_of_the_portable_dialect(opa: Opa) -> None:
    """The committed file is what this OPA gives, cut down to what every engine answers alike."""
    assert (POLICIES / "capabilities.json").read_bytes() == portable_capabilities(opa)


def test_the_rego_tests_pass(opa: Opa) -> None:
    """`opa test` over every rule, with the types of the input checked against the schema."""
    done = subprocess.run(
        [opa.path, "test", "--bundle", ".", "--ignore", "build", "--schema", "schemas", "--format", "json"],
        cwd=POLICIES, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    results: list[dict[str, Any]] = json.loads(done.stdout)
    assert [result["name"] for result in results if result.get("fail") or result.get("error")] == []
    assert done.returncode == 0
    assert len(results) >= 60


def test_every_family_of_rules_has_its_tests() -> None:
    """One `_test.rego` beside each."""
    rules = POLICIES / "guardrail" / "rules"
    families = {path.stem for path in rules.glob("*.rego") if not path.stem.endswith("_test")}
    assert {path.stem.removesuffix("_test") for path in rules.glob("*_test.rego")} == families


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("guardrail/rules/assets/copy.rego", "claim.family ==", "sprintf(`%v`, [1]) ==", "undefined function sprintf"),
        ("guardrail/rules/assets/copy.rego", "claim.family ==", "time.now_ns() ==", "undefined function time"),
        ("guardrail/lib/sanction.rego", "input.context.mandates", "input.contxt.mandates", "undefined ref"),
        ("guardrail/rules/assets/copy.rego", "some claim in", "unused := 1; some claim in", "unused"),
        ("guardrail/rules/assets/copy.rego", "\tsome claim", "  some claim", "opa fmt --write"),
        ("guardrail/rules/assets/copy.rego", "severity: critical", "severity: awful", "METADATA .* is not complete"),
        ("guardrail/rules/assets/copy.rego", "stops:", "halts:", "METADATA .* is not complete"),
        ("guardrail/rules/assets/copy.rego", "id: copy.unsanctioned", "id: move.unsanctioned", "two rules with the id"),
        ("guardrail/rules/assets/copy.rego", "to `{target}`", "to `{aim}`", "names `aim`"),
        ("guardrail/rules/assets/copy.rego", '"none"', '"nobody"', "does not answer its example number 1; if `data"),
        ("data.json", '"schedule": "lifecycle"', '"schedule": "inspect"', "so it is with `lifecycle.unsanctioned`; if"),
        ("data.json", '"moved": []', '"moved": ["x"]', "names the rule `x`"),
        ("data.json", '"opaque.code"', '"opaque.cod"', "names the rule `opaque.cod`"),
    ],
)  # fmt: skip
def test_a_source_that_is_not_right_is_not_built(opa: Opa, copy: Path, file: str, old: str, new: str, why: str) -> None:
    """Functions outside of the dialect, slips in field names, incomplete metadata, unknown rules: OPA or we refuse."""
    edit(copy / file, old, new)
    with pytest.raises(ConfigError, match=why):
        builder.build(copy, opa)


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_passes_for_the_policy_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    """`guardrail policy check` needs no OPA, and runs every example."""
    assert main(["policy", "check", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["revision"], said["stale"]) == (True, bundle().manifest.revision, [])
    assert "copy.unsanctioned" in said["rules"]


def test_check_fails_for_a_stale_policy(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 1 and the names of the files."""
    edit(copy / "guardrail/main.rego", "package", "# one more comment\npackage")
    assert main(["policy", "check", "--root", str(copy)]) == 1
    said = capsys.readouterr()
    assert "stale" in said.out
    assert "guardrail/main.rego" in said.err


def test_check_can_demand_a_rebuild(opa: Opa, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A module that belongs to no source is found even where every recorded digest fits."""
    assert main(["policy", "check", "--require-rebuild", "--root", str(copy)]) == 0
    manifest = copy / "build" / "manifest.json"
    data = copy / "build" / "data.json"
    data.write_bytes(data.read_bytes().replace(b'"deny"', b'"allow"', 1))
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text().replace(bundle().manifest.data, digest))
    assert main(["policy", "check", "--require-rebuild", "--root", str(copy), "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["stale"] == ["build/data.json", "build/manifest.json"]


def test_build_makes_a_stale_policy_fresh(opa: Opa, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A moved setting, built: a new revision that judges otherwise, once the examples it overrules are named."""
    edit(copy / "data.json", '"opaque.code": "escalate"', '"opaque.code": "deny"')
    assert main(["policy", "build", "--root", str(copy)]) == 2
    assert "rule `review.granted` does not answer its example" in capsys.readouterr().err
    edit(copy / "data.json", '"moved": []', '"moved": ["review.granted"]')
    assert main(["policy", "build", "--root", str(copy)]) == 0
    assert main(["policy", "check", "--root", str(copy), "--json"]) == 0
    revision = json.loads(capsys.readouterr().out.splitlines()[-1])["revision"]
    assert revision.startswith("1.0.0+")
    assert revision != bundle().manifest.revision


def test_test_runs_the_rego_tests(opa: Opa, copy: Path) -> None:
    """And is 1 if one fails."""
    command = [sys.executable, "-m", "guardrail", "policy", "test", "--root", str(copy)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False).returncode == 0
    broken = "package guardrail.x_test\n\ntest_broken if 1 == 2\n"
    (copy / "guardrail/x_test.rego").write_text(broken)
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False).returncode == 1


def test_a_source_that_opa_refuses_is_one_sentence_on_stderr(
    opa: Opa, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit code 2, without a traceback."""
    edit(copy / "guardrail/main.rego", "package guardrail.main", "package guardrail.main nonsense")
    assert main(["policy", "build", "--root", str(copy)]) == 2
    assert "`opa check` says:" in capsys.readouterr().err
