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

    def test_ctrl_c_leaves_no_process_and_no_socket(self):
        demo = subprocess.Popen(
            [DEMO, "--script"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )
        for line in demo.stdout:
            if line.startswith("Act 2"):
                break
        demo.send_signal(signal.SIGINT)
        demo.stdout.read()
        demo.stdout.close()
        self.assertEqual(demo.wait(60), 130)
        self.assertEqual(self.configurations(), ["A.yaml", "B.yaml", "upstream.yaml"])
        # The kernel ends the last of them a moment after their parent.
        deadline = time.monotonic() + 10
        while self.leftovers() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
