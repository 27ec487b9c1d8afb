"""The manual pages build, and name every command, option and configuration key that there is."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "docs" / "man"


def page(name):
    """The source of a page without the backslashes that scdoc wants before underscores."""
    return (MAN / name).read_text(encoding="utf-8").replace("\\_", "_")


def help_of(binary, *words):
    return subprocess.run([os.environ[binary], *words, "--help"], capture_output=True, text=True, check=True).stdout


def options(text):
    return set(re.findall(r"(?m)^  .*?(--[a-z-]+)", text))


def commands(text):
    return re.findall(r"(?m)^  ([a-z]+) ", text.partition("ommands:\n")[2])


def examples(text):
    """The lines of swervectl in the code blocks of a page, each as words; what follows && is a line of its own."""
    blocks = re.findall(r"(?ms)^```(?:sh)?\n(.*?)^```$", text)
    lines = [shlex.split(part, comments=True) for block in blocks for line in block.splitlines() for part in line.split("&&")]
    lines = [line[1:] if line[:1] == ["sudo"] else line for line in lines]
    return [line[1:] for line in lines if line and os.path.basename(line[0]) == "swervectl"]


def keys():
    """The keys of the reference page, which is made from the schema: the last word of each dotted name."""
    rows = re.findall(r"(?m)^\| `([a-z0-9_.]+)` \|", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))
    return {part for row in rows for part in row.split(".")}


class Manual(unittest.TestCase):
    def test_pages_build(self):
        sources = sorted(MAN.glob("*.scd"))
        self.assertEqual(["swerve.yaml.5.scd", "swervectl.1.scd", "swerved.8.scd"], [source.name for source in sources])
        for source in sources:
            built = subprocess.run(["scdoc"], input=source.read_bytes(), capture_output=True, check=False)
            self.assertEqual((0, b""), (built.returncode, built.stderr), source.name)
            self.assertIn(b".TH", built.stdout)

    def test_swervectl_names_every_command_and_option(self):
        text, top = page("swervectl.1.scd"), help_of("SWERVECTL")
        known = commands(top)
        self.assertIn("status", known)
        self.assertIn("--socket", options(top))
        for option in options(top):
            self.assertIn(f"*{option}*", text)
        for command in known:
            self.assertRegex(text, rf"(?m)^\*{command}[ *]")
            own = help_of("SWERVECTL", command)
            for option in options(own):
                self.assertIn(f"{option}*", text, command)
            for inner in commands(own):
                self.assertIn(f"*{command} {inner}*", text)

    def test_examples_are_lines_that_swervectl_takes(self):
        pages = [MAN / "swervectl.1.scd", ROOT / "README.md", ROOT / "docs" / "operations.md"]
        for name in pages:
            found = examples(name.read_text(encoding="utf-8").replace("\\_", "_"))
            self.assertGreater(len(found), 1, name)
            for words in found:
                ran = subprocess.run([os.environ["SWERVECTL"], "--socket", "/nonexistent/socket", *words], cwd=ROOT,
                                     capture_output=True, text=True, check=False)
                # No daemon is there to do it; a usage error would be 2. A file is judged without a daemon.
                expected = {0, 4} if words[:2] == ["config", "check"] else {3}
                self.assertIn(ran.returncode, expected, f"{name.name}: {words}: {ran.stderr}")

    def test_swerved_names_every_option(self):
        found = options(help_of("SWERVED"))
        self.assertIn("--check", found)
        for option in found:
            self.assertIn(f"*{option}*", page("swerved.8.scd"))

    def test_the_configuration_page_names_every_key(self):
        known, text = keys(), page("swerve.yaml.5.scd")
        self.assertIn("healthy_when", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))
        self.assertTrue({"site", "owned", "interval", "endpoint", "pid_file"} <= known, known)
        self.assertFalse([key for key in sorted(known) if not re.search(rf"\*[a-z0-9_.]*\b{key}\b[a-z0-9_.]*\*", text)])


if __name__ == "__main__":
    if not shutil.which("scdoc"):
        print("skipped: package scdoc is missing")
        sys.exit(77)
    unittest.main()
