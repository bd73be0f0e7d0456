"""How programs of Node, Ruby, PHP, Lua, R, Julia and Elixir are cut into tokens."""

from __future__ import annotations

import re
from typing import Final

from guardrail.effects.code import _words as words
from guardrail.effects.code._tokens import Syntax
from guardrail.patterns import lazy

_TEXTS: Final = r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\''
_LONG_TEXTS: Final = lazy(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
_HASH: Final = lazy(r"#[^\n]*")
_SIGNS: Final = (
    r"===|!==|=>|->|<-|<=>|\|>|<>|\.\.\.?|&&=?|\|\|=?|\*\*=?|==|!=|~=|=~|!~|<=|>=|\+\+|--|<<|>>>?"
    r"|[-+*%&|^.]=?|[=<>!~?:;,(){}\[\]]"
)
_NAME: Final = r"[A-Za-z_]\w*"

NODE: Final = Syntax(
    word=lazy(r"[A-Za-z_$][\w$]*", re.ASCII),
    texts=lazy(_TEXTS, re.DOTALL),
    sign=lazy(
        r"\.\.\.|\?\.(?!\d)|===|!==|=>|\*\*=?|&&=?|\|\|=?|\?\?=?|==|!=|<=|>=|\+\+|--|<<=?|>>>?=?"
        r"|[-+*%&|^]=?|[=<>!~?:;,.(){}\[\]]"
    ),
    comment=lazy(r"//[^\n\r\u2028\u2029]*|/\*(?:(?!\*/).)*\*/", re.DOTALL),
    odd=lazy(r"<!--|-->"),
    patterns=True,
    leading=words.NODE_LEADING,
    templates=True,
)
RUBY: Final = Syntax(
    word=lazy(rf"\$(?:stdin|stdout|stderr|\d+|[_.,;/!~])|{_NAME}(?:[?!](?!=))?", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"&\.|::|" + _SIGNS),
    comment=_HASH,
    odd=lazy(r"%(?![ =])|%=?\s*#|\?(?! )|<<[-~\"'`A-Za-z_]|=(?:begin|end)\b"),
    code_in_text=lazy(r"#[{$@]"),
    patterns=True,
    leading=words.RUBY_LEADING,
    lines=True,
)
PHP: Final = Syntax(
    word=lazy(rf"\$?{_NAME}", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"\?\?=?|[/.]=?|" + _SIGNS),
    comment=lazy(r"(?:#(?!\[)|//)(?:(?!\?>)[^\n\r])*(?=[\n\r]|\Z)|/\*(?:(?!\*/).)*\*/", re.DOTALL),
    odd=lazy(r"\?>|<\?|<<<|->|::"),
    code_in_text=lazy(r"\{\$|\$\{"),
)
LUA: Final = Syntax(
    word=lazy(_NAME, re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"//?|#|" + _SIGNS),
    comment=lazy(r"--(?!\[=*\[)[^\n]*"),
    odd=lazy(r"\[=*\[|--\[=*\[|::"),
)
R: Final = Syntax(
    word=lazy(r"(?:[A-Za-z]|\.(?!\d))[\w.]*", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"<<-|<-|<=|>=|==|!=|&&?|\|\||\|>|\||%in%|%%|%/%|%\*%|[-+*/^=<>!~:;,(){}\[\]$]"),
    comment=_HASH,
    odd=lazy(r"->|::|[rR][\"']"),
)
JULIA: Final = Syntax(
    word=lazy(rf"{_NAME}(?:!(?!=))?", re.ASCII),
    texts=lazy(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    sign=lazy(r"//?|" + _SIGNS),
    comment=lazy(r"#(?!=)[^\n]*"),
    odd=lazy(r"#="),
    code_in_text=lazy(r"\$"),
)
ELIXIR: Final = Syntax(
    word=lazy(rf"{_NAME}(?:[?!](?!=))?", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"//?|<>|\+\+|" + _SIGNS),
    comment=_HASH,
    odd=lazy(r":(?=\S)|\?(?=\S)|~"),
    code_in_text=lazy(r"#\{"),
)
