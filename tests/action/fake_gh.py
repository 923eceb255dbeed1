"""Stands for GitHub's `gh api`: notes what it is asked for, and answers from a file.

In the folder `FAKE_GH`: `answers.json` has what GitHub knows, by path; `calls` gets the arguments
of each call, `body` the text that is posted.
"""

import json
import os
import sys
from pathlib import Path

import jq


def main(words: list[str]) -> None:
    """Answer one call."""
    folder = Path(os.environ["FAKE_GH"])
    with (folder / "calls").open("a", encoding="utf-8") as file:
        file.write(json.dumps(words) + "\n")
    assert words.pop(0) == "api"
    assert os.environ["GH_TOKEN"]
    given, fields, path = dict[str, str](), dict[str, str](), ""
    while words:
        word = words.pop(0)
        if word in {"-f", "-F"}:
            name, _, value = words.pop(0).partition("=")
            fields[name] = value
        elif word in {"--method", "--jq"}:
            given[word] = words.pop(0)
        elif not word.startswith("--"):
            path = word
    if given.get("--method", "GET") != "GET":
        (folder / "body").write_bytes(Path(fields["body"].removeprefix("@")).read_bytes())
        return
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))[path]
    if path.endswith("/pulls"):
        answers = [one for one in answers if f"{one['owner']}:{one['branch']}" == fields["head"]]
        answers = [one for one in answers if one["state"] == fields["state"]]
    for found in jq.compile(given["--jq"]).input_value(answers):
        print(found if isinstance(found, str) else json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
