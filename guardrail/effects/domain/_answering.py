"""Addresses where a model answers: asking it there is no work on what the question names."""

from __future__ import annotations

import re
from typing import Final

from guardrail.patterns import lazy

ANSWERING: Final = lazy(
    r"(?:^|/)(?:completions?|chat|responses|messages|embed(?:ding)?s?(?:_sparse|_all)?|generate(?:_stream|_content)?"
    r"|predict(?:ions?)?|infer(?:ence)?|invocations|invoke|rerank|scores?|classif(?:y|ications?)|pooling|tokeni[sz]e"
    r"|detokeni[sz]e|transcriptions|translations|speech|moderations|count_tokens|search|show|query|ask|v1/models)/?$"
    r"|:(?:predict|rawPredict|streamRawPredict|generateContent|streamGenerateContent|countTokens|classify|regress)$",
    re.IGNORECASE,
)
"""The end of an address where a model answers, is described or is found."""
