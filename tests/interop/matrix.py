#!/usr/bin/env python3
"""The interop matrix: Swerve beside every make of router, each in network namespaces of its own, all at once."""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import column
from features import Features
from outages import Outages
from swervelab import netns
from swervelab.routers import MAKES
from swervelab.signals import end_like_ctrl_c

SKIPPED = 77
PARTS = {"outages": Outages, "features": Features}


def unavailable(kinds: list) -> "str | None":
    reasons = [netns.unavailable(), *(MAKES[kind].unavailable() for kind in kinds)]
    return next((reason for reason in reasons if reason is not None), None)


def play(kinds: list, parts: list) -> dict:
    """A process for each part of each column: what it starts ends with it. By kind, then by part; None: broke off."""
    running = {
        (kind, part): subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--peer", kind, "--part", part, "--play"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in parts
        for kind in kinds
    }
    columns = {kind: {} for kind in kinds}
    try:
        for (kind, part), process in running.items():
            text, _ = process.communicate()
            columns[kind][part] = json.loads(text) if process.returncode == 0 else None
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
    return columns


def cells_by_row(columns: dict) -> dict:
    rows = {}
    for kind, parts in columns.items():
        for found in parts.values():
            for name, cell in (found or {"cells": {}})["cells"].items():
                rows.setdefault(name, {})[kind] = cell
    return rows


def table(columns: dict) -> str:
    """Rows are what was done, columns the makes; the words of what failed or does not apply stand below."""
    rows = cells_by_row(columns)
    first = max((len(name) for name in rows), default=0)
    width = 11
    titles = zip(*((MAKES[kind].title, MAKES[kind].version()) for kind in columns))
    lines = [(" " * first + "".join(f"  {text:<{width}}" for text in texts)).rstrip() for texts in titles]
    notes = {}  # what did not pass, and the rows of each make that it holds for
    for name, cells in rows.items():
        line = f"{name:<{first}}"
        for kind in columns:
            cell = cells.get(kind, {"result": "FAIL", "detail": column.NOT_PLAYED})
            text = cell["result"] if cell["result"] != "ok" else f"ok {cell['detail']}".strip()
            line += f"  {text:<{width}}"
            if cell["result"] != "ok" and cell["detail"] != column.NOT_PLAYED:
                said = (MAKES[kind].title, cell["result"], cell["detail"])
                notes.setdefault(said, []).append(name)
        lines.append(line.rstrip())
    below = [f"{title}, {'; '.join(names)}: {result}: {why}" for (title, result, why), names in notes.items()]
    below += [
        f"{MAKES[kind].title}: the part {part} broke off"
        for kind, parts in columns.items()
        for part, found in parts.items()
        if found is None
    ]
    return "\n".join(lines + ([""] + below if below else []))


def passed(found: "dict | None") -> bool:
    """Of one part of a column. What the router cannot do is no fault."""
    return found is not None and all(cell["result"] != "FAIL" for cell in found["cells"].values())


def all_passed(columns: dict) -> bool:
    return all(passed(found) for parts in columns.values() for found in parts.values())


def settle_logs(columns: dict):
    """Logs stay where something failed."""
    for kind, parts in columns.items():
        for part, found in parts.items():
            if passed(found):
                shutil.rmtree(found.pop("logs"))
            elif found is not None:
                print(f"{MAKES[kind].title}: logs of {part} in {found['logs']}", file=sys.stderr)


def record(columns: dict) -> dict:
    peers = {}
    for kind, parts in columns.items():
        whole = [found for found in parts.values() if found is not None]
        peers[kind] = {
            "version": MAKES[kind].version(),
            "cells": {name: cell for found in whole for name, cell in found["cells"].items()},
            "logs": [found["logs"] for found in whole if "logs" in found],
            "took_s": max((found["took_s"] for found in whole), default=None),
        }
    return {"schema": "swerve.interop/2", "passed": all_passed(columns), "peers": peers}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", choices=MAKES, help="this one only; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the matrix as JSON on standard output")
    parser.add_argument("--part", action="append", choices=PARTS, help="this one only; may be repeated")
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)  # one part, in this process
    arguments = parser.parse_args()
    kinds, parts = arguments.peer or list(MAKES), arguments.part or list(PARTS)
    if arguments.play:
        print(json.dumps(column.play(kinds[0], parts[0], PARTS[parts[0]])))
        return 0
    reason = unavailable(kinds)
    if reason is not None:
        print(f"skipped: {reason}")
        return SKIPPED
    columns = play(kinds, parts)
    settle_logs(columns)
    if arguments.json:
        print(json.dumps(record(columns), indent=2))
    else:
        print(table(columns))
    return 0 if all_passed(columns) else 1


if __name__ == "__main__":
    end_like_ctrl_c()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
