"""What a simulation notes down while it runs, a line a note, so that a killed process takes nothing with it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """A file of notes; each is written by one call of the system, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def note(self, what: str, **facts: Any) -> None:
        """Write a note down."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, (json.dumps({"what": what, **facts}) + "\n").encode())
        finally:
            os.close(file)

    def notes(self, *what: str) -> Iterator[dict[str, Any]]:
        """The notes of some kinds, in the order they were written."""
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                note = json.loads(line)
                if note["what"] in what:
                    yield note

    def counts(self, what: str, by: str) -> Counter[str]:
        """How many notes of a kind there are, by one of their facts."""
        return Counter(str(note[by]) for note in self.notes(what))
