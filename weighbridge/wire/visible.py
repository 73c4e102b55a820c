"""Text that others sent, as it may stand in a terminal, a page, a metric or a document.

Control characters steer terminals, and marks of direction make text read otherwise than it is. Both are written out.
"""

import re

INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
"""Controls, marks of direction, separators of lines, and what has no width."""


def visible(text: str) -> str:
    """The text with all such characters written out as escapes; itself where there is none."""
    return INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
