"""tools/check on a small project of its own: what it counts, and how it ends."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
PRESETS = {
    "version": 6,
    "configurePresets": [
        {"name": name, "generator": "Ninja", "binaryDir": "${sourceDir}/build/${presetName}"} for name in ("dev", "release", "sim-clang")
    ],
    "buildPresets": [{"name": "sim-clang", "configurePreset": "sim-clang", "targets": ["sim_test"]}],
}


class Check(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="swerve-check-")
        self.addCleanup(self.directory.cleanup)
        self.root = Path(self.directory.name)
        (self.root / "tools").mkdir()
        for name in ("check", "jobs"):
            shutil.copy(TOOLS / name, self.root / "tools" / name)
        self.script("tools/install-packages", "exit 0")
        (self.root / "tests" / "sim").mkdir(parents=True)
        self.script("tests/sim/mutants.py", "exit 0")
        self.worlds("echo trace hash 1")
        (self.root / "CMakePresets.json").write_text(json.dumps(PRESETS), encoding="utf-8")
        (self.root / ".clang-format").write_text("BasedOnStyle: Google\n", encoding="utf-8")
        self.source("int main() {}\n")
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        subprocess.run(["git", "add", "."], cwd=self.root, check=True)

    def script(self, name, body):
        path = self.root / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def worlds(self, body):
        """What stands for the simulation; it runs in the directory of the project and knows its own place."""
        self.script("worlds", body)

    def source(self, text):
        (self.root / "main.cpp").write_text(text, encoding="utf-8")

    def project(self, tests, more=""):
        """A project without a language, whose tests are shell commands by name."""
        lines = ["cmake_minimum_required(VERSION 3.25)", "project(p LANGUAGES NONE)", "enable_testing()", more]
        lines += [f"add_custom_target({program})" for program in ("swerved", "swervectl", "swerve_postgres", "bench_receiver", "sim_test")]
        lines.append("configure_file(worlds tests/sim/sim_test COPYONLY)")
        for name, command in tests.items():
            lines.append(f'add_test(NAME {name} COMMAND sh -c "{command}")')
            lines.append(f"set_tests_properties({name} PROPERTIES SKIP_RETURN_CODE 77)")
        (self.root / "CMakeLists.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def check(self, *words, **env):
        surroundings = {key: value for key, value in os.environ.items() if key != "CI"} | env
        ran = subprocess.run([self.root / "tools" / "check", *words], capture_output=True, text=True, env=surroundings,
                             timeout=120, check=False)
        self.output = ran.stdout + ran.stderr
        return ran.returncode, (ran.stdout.splitlines() or [""])[-1]

    def test_all_passed(self):
        self.project({"a": "true", "b": "true"})
        self.assertEqual((0, "2 passed, 0 failed, 0 skipped"), self.check(), self.output)

    def test_compilers_that_make_other_worlds_of_a_seed_are_a_failure(self):
        self.project({"a": "true"})
        self.worlds("echo trace hash $0")
        self.assertEqual((1, "1 passed, 1 failed, 0 skipped"), self.check(), self.output)

    def test_worlds_and_mutants_count(self):
        self.project({"a": "true"})
        self.script("tests/sim/mutants.py", "echo one has survived; exit 1")
        self.assertEqual((1, "1 passed, 1 failed, 0 skipped"), self.check(), self.output)
        self.assertIn("one has survived", self.output)

    def test_skipped_is_no_failure_but_in_ci(self):
        self.project({"a": "true", "b": "echo skipped: no root && exit 77"})
        self.assertEqual((0, "1 passed, 0 failed, 1 skipped"), self.check(), self.output)
        self.assertIn("skipped: b (skipped: no root)", self.output)
        self.assertEqual((1, "1 passed, 1 failed, 0 skipped"), self.check(CI="true"), self.output)

    def test_a_failure_shows_its_output(self):
        self.project({"a": "true", "b": "echo what went wrong && exit 1"})
        self.assertEqual((1, "1 passed, 1 failed, 0 skipped"), self.check(), self.output)
        self.assertIn("what went wrong", self.output)

    def test_no_tests_at_all_is_a_failure(self):
        self.project({})
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"), self.check(), self.output)

    def test_formatting_counts_as_one(self):
        self.project({"a": "true"})
        self.source("int   main() {}\n")
        self.assertEqual((1, "1 passed, 1 failed, 0 skipped"), self.check(), self.output)

    def test_what_does_not_build_is_not_tested(self):
        self.project({"a": "true"}, "add_custom_target(broken ALL COMMAND false)")
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"), self.check(), self.output)
        self.project({"a": "true"}, "this is no CMake")
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"), self.check(), self.output)

    def test_missing_packages_end_it(self):
        self.project({"a": "true"})
        self.script("tools/install-packages", "echo error: only root can >&2; exit 1")
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"), self.check(), self.output)
        self.assertIn("only root can", self.output)

    def test_usage(self):
        self.assertEqual(2, self.check("--frobnicate")[0])
        self.assertEqual(0, self.check("--help")[0])


class Packages(unittest.TestCase):
    def install(self, *sections, **env):
        return subprocess.run([TOOLS / "install-packages", *sections], capture_output=True, text=True,
                              env=os.environ | env, timeout=60, check=False)

    def test_an_unknown_section_is_an_error(self):
        self.assertEqual(1, self.install("nothing").returncode)
        self.assertEqual(2, self.install().returncode)

    def test_what_is_missing_is_named_to_who_is_not_root(self):
        if os.geteuid() == 0 and not shutil.which("setpriv"):
            self.skipTest("root needs setpriv to become somebody else")
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            root = Path(directory)
            (root / "tools").mkdir()
            shutil.copy(TOOLS / "install-packages", root / "tools")
            (root / "tools" / "packages").write_text("# c\n[build]\nbash\n\n[test]\nno-such-package\n", encoding="utf-8")
            # A sudo that refuses, whatever this machine's own would do.
            (root / "sudo").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
            (root / "sudo").chmod(0o755)
            command = [root / "tools" / "install-packages"]
            if os.geteuid() == 0:
                command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
            env = os.environ | {"PATH": f"{directory}:{os.environ['PATH']}"}
            ran = subprocess.run([*command, "build", "test"], capture_output=True, text=True, env=env, timeout=60, check=False)
            self.assertEqual(1, ran.returncode)
            self.assertIn("apt-get install --no-install-recommends no-such-package", ran.stderr)
            ran = subprocess.run([*command, "build"], capture_output=True, text=True, env=env, timeout=60, check=False)
            self.assertEqual((0, "", ""), (ran.returncode, ran.stdout, ran.stderr))


if __name__ == "__main__":
    unittest.main()
