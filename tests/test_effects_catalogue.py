"""What the catalogue's format says of options and of files that no word names."""

from __future__ import annotations

import pytest

from guardrail.effects.catalogue._options import parse_options
from guardrail.effects.catalogue._spec import Entry, Spec
from guardrail.effects.domain._values import Field
from tests.effects_support import NoFiles, said


def test_options_between_bars_are_not_the_same_option() -> None:
    """`-a -b | -c` is one option with two spellings, and another one."""
    spec = Spec(Entry(names=("x",), options={"-a -b | -c": ""}))
    assert parse_options(spec, [Field(text="-b"), Field(text="-c")]).flags == {"-a", "-c"}


def test_an_option_with_a_meaning_is_not_thrown_together_with_others() -> None:
    """A mode that asks for one of many flags would ask for all of them."""
    many = " ".join(f"-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    with pytest.raises(ValueError, match="too many spellings"):
        Spec(Entry(names=("x",), options={many: ""}, digest=("-b",)))


def test_a_number_may_be_glued_to_an_option_with_one_dash() -> None:
    """`xxd -l16` takes no further word."""
    assert said("xxd -l16 /a") == ["read /a"]


def test_a_file_that_no_word_names_is_made_beside_the_one_that_is_read() -> None:
    """Names known, globbed and unknown."""
    assert "copy /d/a.txt -> /d/a.txt.gz" in said("gzip -k /d/a.txt")
    assert "copy /d/*.txt -> /d/*.txt.gz" in said("gzip -k /d/*.txt")
    assert "write **" in said("gzip -k $X")


def test_names_that_come_on_the_input_are_packed() -> None:
    """From `find`, from literal text, and from nobody knows where."""
    assert "copy /m -> /o" in said("find /m -type f | cpio -o > /o")
    assert "copy /m/a -> /o" in said("echo /m/a | cpio -o > /o")
    assert "copy ** -> /o" in said("cpio -o > /o < /list")


def test_models_that_a_recipe_names_are_copied_into_the_result() -> None:
    """Both a recipe on disk and one that the call itself writes."""
    view = NoFiles({"/c.yml": b"models:\n  - model: /srv/beta\n"})
    assert "copy /srv/beta -> /out" in said("mergekit-yaml /c.yml /out", view=view)
    assert "copy /srv/beta -> /out" in said("echo 'base_model: /srv/beta' > /c.yml; mergekit-yaml /c.yml /out")


def test_a_recipe_that_is_not_known_is_opaque() -> None:
    """Nothing is taken to be harmless because it cannot be read."""
    assert "exec_opaque code:mergekit-yaml" in said("mergekit-yaml /c.yml /out")


@pytest.mark.parametrize(
    "command",
    [
        'awk \'{print > ENVIRON["X"] "/m"}\' /a',
        'awk \'{print > (c ? "/x" : "/y")}\' /a',
        "awk '{f = f \"x\"; print > f}' /a",
        "awk '{sub(/a/, \"b\", f); print > f}' /a",
        'awk \'{f = "/x"; sub(/a/, "b",\n f); print > f}\' /a',
        "awk 'BEGIN {f = g \"x\"; g = f; print > f}' /a",
        "awk -v f=/x -v f=/y '{print > f}' /a",
    ],
)
def test_a_name_that_awk_works_out_is_any_name(command: str) -> None:
    """Only literals, and variables that are set once, are followed."""
    assert any(line.startswith("write **") for line in said(command))


@pytest.mark.parametrize(
    "command",
    [
        "awk '{print \"a > b\"}' /a",
        "awk '/>/ {print}' /a",
        "awk '{print ($1 > 3)}' /a",
        "awk '$1 > 3' /a",
        "awk '{print $1 / 2, \"x/y > z\"}' /a",
        "awk '{x = $1 | 0} # print > \"/x\"' /a",
    ],
)
def test_a_sign_that_is_no_redirection_writes_nothing(command: str) -> None:
    """Comparisons, texts, regular expressions and comments."""
    assert not any(line.startswith(("write", "append")) for line in said(command))
