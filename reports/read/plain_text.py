"""Text that every output takes as text: words of a shard may come from anywhere."""

import re

# Beside the control characters proper, those that break lines, hide, or turn the writing round.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def plain(text: str) -> str:
    """The text without them, in characters that can be encoded: file names may hold any bytes."""
    return CONTROL.sub("?", text.encode("utf-8", "backslashreplace").decode())
