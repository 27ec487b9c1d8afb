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
from swervelab import netns
from swervelab.routers import MAKES
from swervelab.signals import end_like_ctrl_c

SKIPPED = 77


def unavailable(kinds: list) -> "str | None":
    reasons = [netns.unavailable(), *(MAKES[kind].unavailable() for kind in kinds)]
    return next((reason for reason in reasons if reason is not None), None)


def play(kinds: list) -> dict:
    """A process for each column: what it starts ends with it."""
    running = {
        kind: subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--column", kind], stdout=subprocess.PIPE, text=True
        )
        for kind in kinds
    }
    columns = {}
    try:
        for kind, process in running.items():
            text, _ = process.communicate()
            columns[kind] = json.loads(text) if process.returncode == 0 else None
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
    return columns


def cells_by_row(columns: dict) -> dict:
    rows = {}
    for kind, found in columns.items():
        for name, cell in (found or {"cells": {}})["cells"].items():
            rows.setdefault(name, {})[kind] = cell
    return rows


def table(columns: dict) -> str:
    """Rows are what was done, columns the makes; the words of what failed stand below."""
    rows = cells_by_row(columns)
    first = max((len(name) for name in rows), default=0)
    width = 11
    titles = zip(*((MAKES[kind].title, MAKES[kind].version()) for kind in columns))
    lines = [(" " * first + "".join(f"  {text:<{width}}" for text in texts)).rstrip() for texts in titles]
    notes = []
    for name, cells in rows.items():
        line = f"{name:<{first}}"
        for kind in columns:
            cell = cells.get(kind, {"result": "FAIL", "detail": column.NOT_PLAYED})
            text = cell["result"] if cell["result"] != "ok" else f"ok {cell['detail']}".strip()
            line += f"  {text:<{width}}"
            if cell["result"] != "ok" and cell["detail"] != column.NOT_PLAYED:
                notes.append(f"{MAKES[kind].title}, {name}: {cell['result']}: {cell['detail']}")
        lines.append(line.rstrip())
    notes += [f"{MAKES[kind].title}: the column broke off" for kind, found in columns.items() if found is None]
    return "\n".join(lines + ([""] + notes if notes else []))


def passed(columns: dict) -> bool:
    return all(
        found is not None and all(cell["result"] == "ok" for cell in found["cells"].values())
        for found in columns.values()
    )


def settle_logs(columns: dict):
    """Logs stay where something failed."""
    for kind, found in columns.items():
        if found is None:
            continue
        if passed({kind: found}):
            shutil.rmtree(found.pop("logs"))
        else:
            print(f"{MAKES[kind].title}: logs in {found['logs']}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", choices=MAKES, help="this one only; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the matrix as JSON on standard output")
    parser.add_argument("--column", choices=MAKES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.column:
        print(json.dumps(column.play(arguments.column)))
        return 0
    kinds = arguments.peer or list(MAKES)
    reason = unavailable(kinds)
    if reason is not None:
        print(f"skipped: {reason}")
        return SKIPPED
    columns = play(kinds)
    settle_logs(columns)
    if arguments.json:
        peers = {kind: {"version": MAKES[kind].version(), **(found or {})} for kind, found in columns.items()}
        record = {"schema": "swerve.interop/1", "passed": passed(columns), "peers": peers}
        print(json.dumps(record, indent=2))
    else:
        print(table(columns))
    return 0 if passed(columns) else 1


if __name__ == "__main__":
    end_like_ctrl_c()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
