"""tools/demo as people run it: unattended with its record, and ended in the middle by Ctrl-C."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "tools" / "demo")


class Demo(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="swerve-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.environment = dict(os.environ, TMPDIR=self.directory)

    def configurations(self) -> list:
        return sorted(path.name for path in pathlib.Path(self.directory).glob("swerve-demo-*/*.yaml"))

    def leftovers(self) -> list:
        """Processes whose command line names this test's directory, and sockets in it."""
        found = [str(path) for path in pathlib.Path(self.directory).rglob("*") if path.is_socket()]
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if self.directory in command:
                found.append(command)
        return found

    def test_script_passes_every_act_and_prints_the_record(self):
        done = subprocess.run(
            [DEMO, "--script", "--json"],
            capture_output=True,
            text=True,
            timeout=240,
            env=self.environment,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads(done.stdout)
        self.assertTrue(record["passed"])
        self.assertEqual(len(record["acts"]), 6)
        for act in record["acts"]:
            self.assertTrue(act["timeline"], act["act"])
            self.assertLessEqual(act["took_ms"], act["limit_ms"])
        for act in record["acts"][1:3]:
            stages = [stage["stage"] for stage in act["timeline"]]
            for wanted in ("failure", "verdict", "bytes written", "gone at the upstream", "first good answer"):
                self.assertTrue(any(wanted in stage for stage in stages), f"{wanted} in {stages}")
            self.assertIsInstance(act["requests_lost"], int)
        self.assertEqual(self.configurations(), ["A.yaml", "B.yaml", "upstream.yaml"])
        self.assertEqual(self.leftovers(), [])

    def test_an_act_that_breaks_off_has_failed(self):
        done = subprocess.run(
            [DEMO, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            env=dict(self.environment, SWERVE_BIN_DIR="/nope"),
            check=False,
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("0 of 6 acts passed", done.stderr)
        record = json.loads(done.stdout)
        self.assertFalse(record["passed"])
        self.assertEqual([act["passed"] for act in record["acts"]], [False])
        self.assertIn("/nope/swerved is missing", record["acts"][0]["faults"][0])

    def test_a_wrong_router_is_a_usage_error(self):
        for arguments, words in (
            (["--router", "frr"], "--router goes with --lab"),
            (["--lab", "--router", "ios"], "not 'ios'"),
            (["--lab", "--router"], "not ''"),
        ):
            with self.subTest(arguments):
                done = subprocess.run([DEMO, *arguments], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn(words, done.stderr)

    @unittest.skipIf(os.geteuid() != 0, "network namespaces need root")
    def test_the_lab_plays_with_the_router_of_choice(self):
        done = subprocess.run(
            [DEMO, "--lab", "--router", "frr", "--json"],
            capture_output=True,
            text=True,
            timeout=240,
            env=self.environment,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads(done.stdout)
        self.assertTrue(record["passed"])
        self.assertIn("FRR is restarted", [act["act"] for act in record["acts"]])
        self.assertEqual(self.leftovers(), [])

    def test_ctrl_c_leaves_no_process_and_no_socket(self):
        self.ended_in_act_2_by([signal.SIGINT])

    def test_an_impatient_end_leaves_nothing_either(self):
        self.ended_in_act_2_by([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])

    def ended_in_act_2_by(self, signals: list):
        with open(os.path.join(self.directory, "record"), "w+", encoding="utf-8") as output:
            demo = subprocess.Popen(
                [DEMO, "--json"],
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                env=self.environment,
            )
            for line in demo.stderr:
                if line.startswith("Act 2"):
                    break
            demo.send_signal(signals[0])
            for line in demo.stderr:
                if line.startswith("Interrupted"):
                    break
            for number in signals[1:]:
                demo.send_signal(number)
            demo.stderr.read()
            demo.stderr.close()
            self.assertEqual(demo.wait(60), 130)
            output.seek(0)
            record = json.load(output)
        self.assertFalse(record["passed"])
        self.assertEqual(record["fault"], "interrupted")
        self.assertEqual(len(record["acts"]), 1)
        self.assertEqual(self.configurations(), ["A.yaml", "B.yaml", "upstream.yaml"])
        # The kernel ends the last of them a moment after their parent.
        deadline = time.monotonic() + 10
        while self.leftovers() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
