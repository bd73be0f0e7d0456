"""Text that is worked out from generated Python expressions is the text that Python itself gives."""

from __future__ import annotations

import posixpath
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effects_support import effects_of

pytestmark = pytest.mark.property

WORDS = st.text(alphabet="abcXYZ019_-. ", min_size=1, max_size=6)


def literal(word: str) -> str:
    """A literal of some style."""
    return repr(word)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """Pure text expressions: operators, formats, methods, conditions, comprehensions, decoders."""
    if depth == 0:
        return literal(draw(WORDS))
    one = draw(expressions(depth=depth - 1))
    two = draw(expressions(depth=depth - 1))
    number = draw(st.integers(0, 5))
    forms = [
        f"({one} + {two})", f"('%s-%s' % ({one}, {two}))", f"'{{}}_{{}}'.format({one}, {two})",
        f"f'{{{one.replace(chr(92), '')!s}}}'" if "'" not in one else f"str({one})",
        f"'/'.join([{one}, {two}])", f"({one})[::-1]", f"({one}).upper()", f"({one}).replace({two}, 'q')",
        f"({one})[{number}:]", f"({one} if {number} > 2 else {two})", f"''.join(chr(ord(c)) for c in {one})",
        f"({one}).strip()", f"({one} * {number})", f"'{{x}}'.format(x={one})", f"''.join(map(str, [{one}, {number}]))",
        f"[{one}, {two}][{number} % 2]", f"{{'a': {one}, 'b': {two}}}['a']", f"(lambda v: v + {two})({one})",
        f"bytes({one}, 'utf-8').hex()", f"bytes.fromhex(({one}).encode().hex()).decode()",
        f"__import__('base64').b64decode(__import__('base64').b64encode(({one}).encode())).decode()",
        f"({one}).split()[0] if ({one}).split() else 'none'", f"str(len({one}) + {number})",
        f"({one}).partition('.')[0]",
        f"''.join(sorted({one}))", f"({one}).zfill({number})", f"str({number} ** 2 // 3 - 1) + {one}",
        f"'-'.join(w for w in ({one}, {two}) if len(w) > {number})", f"({one} or {two})", f"'%03d' % {number} + {one}",
        f"__import__('codecs').encode({one}, 'rot13')", f"''.join(reversed({one}))", f"repr({one})[1:-1]",
    ]  # fmt: skip
    return draw(st.sampled_from(forms))


def outcome(expression: str) -> str | None:
    """What Python gives; None if it gives no usable name."""
    try:
        value = eval(expression)
    except Exception:  # noqa: BLE001 - an expression that fails names nothing
        return None
    return value if isinstance(value, str) and value and "\0" not in value and len(value) < 4000 else None


@settings(max_examples=300, deadline=None)
@given(expression=expressions())
def test_a_text_that_is_worked_out_is_what_python_gives(expression: str) -> None:
    """The path that is deleted is the very text, or a pattern with it in it; never another path."""
    value = outcome(expression)
    if value is None:
        return
    code = f"import os; os.remove({expression})"
    found = [effect for effect in effects_of(f"python3 -c {shlex.quote(code)}") if effect.op == "delete"]
    assert found, code
    want = value if value.startswith("/") else f"/w/{value}"
    exact = [effect.resource.path for effect in found if effect.resource.path is not None]
    vague = any(effect.resource.pattern is not None for effect in found)
    assert want in exact or vague, (exact, want)
    if exact and not vague and len(found) == 1:
        assert posixpath.normpath(exact[0]) == posixpath.normpath(want)


@settings(max_examples=100, deadline=None)
@given(expression=expressions(depth=2))
def test_most_texts_are_worked_out_exactly(expression: str) -> None:
    """No form of the generator ends in a pattern: each of them is exact."""
    value = outcome(expression)
    if value is None:
        return
    code = f"import os; os.remove({expression})"
    found = [effect for effect in effects_of(f"python3 -c {shlex.quote(code)}") if effect.op == "delete"]
    assert [effect.resource.pattern for effect in found if effect.resource.pattern is not None] == [], code
