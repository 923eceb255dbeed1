"""What environments are made of, as a hash: another one means that they are built anew.

Runs in nox's own Python, and `python bench/planning/pins.py FILE...` in any.
"""

import hashlib
import re
import sys
from pathlib import Path

INCLUDES = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)", re.MULTILINE)


def wanted(*told: object) -> str:
    """A hash in hexadecimal of all that says what is installed."""
    return hashlib.sha256(repr(told).encode()).hexdigest()


def requirements(file: Path) -> str:
    """Text of a requirements file, and of those that it includes; addresses are taken as words.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is no text.
    """
    texts, files = dict[Path, str](), [file]
    while files:
        each = files.pop().resolve()
        if each not in texts:
            texts[each] = each.read_text(encoding="utf-8")
            named = [each.parent / name for name in INCLUDES.findall(texts[each])]
            files += [one for one in named if one.is_file()]
    return "".join(texts.values())


if __name__ == "__main__":
    print(wanted([requirements(Path(name)) for name in sys.argv[1:]]))
