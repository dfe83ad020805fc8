"""Finished measurements, kept in one JSON file, so that an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner import write_json

Record = dict[str, Any]


class Store:
    """Lists of records by key, such as ``step/512/vgg19``; each is on the disk as soon as it is made.

    Args:
        path: the file; need not exist.
        about: what all records have in common: machine, images, weights. Others do not belong beside them.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        # As JSON reads it, so that the two can be compared.
        self.about: Record = json.loads(json.dumps(about))
        self.records: dict[str, list[Record]] = {}
        if path.exists():
            kept = json.loads(path.read_text())
            for name, value in self.about.items():
                if kept["about"].get(name) != value:
                    sys.exit(
                        f"{path} holds measurements with another {name}: {kept['about'].get(name)}, and not {value}; "
                        "name another --out or add --fresh"
                    )
            self.records = kept["records"]

    def get(self, key: str) -> list[Record]:
        """What has been measured under this key."""
        return self.records.get(key, [])

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep one more."""
        self.records.setdefault(key, []).append(dict(record))
        write_json(self.path, {"about": self.about, "records": self.records})

    def drop(self, first: str) -> None:
        """Forget the keys whose first part this is."""
        self.records = {key: kept for key, kept in self.records.items() if key.partition("/")[0] != first}

    def under(self, *parts: object) -> dict[str, list[Record]]:
        """Records by the rest of their key, for the keys that begin with these parts."""
        beginning = "/".join(map(str, parts)) + "/"
        return {key[len(beginning) :]: kept for key, kept in self.records.items() if key.startswith(beginning)}
