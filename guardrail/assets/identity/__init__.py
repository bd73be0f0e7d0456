"""What a file is and whether it is one we know: structure and content, never its name or its dates.

Needs the `identity` extra for reading whole files; telling a format apart needs nothing.
"""

from __future__ import annotations

from guardrail.assets.identity._formats import Format, format_of, format_of_directory

__all__ = ["Format", "format_of", "format_of_directory"]
