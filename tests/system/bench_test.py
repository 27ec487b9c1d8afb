"""tools/bench/failover runs to its end and its record is complete. Its figures are for people; none is asserted here."""

import json
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class FailoverBench(unittest.TestCase):
    def test_one_run_of_everything(self):
        done = subprocess.run(
            [str(ROOT / "tools" / "bench" / "failover"), "--runs", "1", "--decisions", "20", "--json"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads(done.stdout)
        measured = {row["variant"]: sorted(set(row) - {"variant"}) for row in record["rows"]}
        both = ["hang", "kill"]
        self.assertEqual(
            measured,
            {
                "swerve-process": ["kill"],
                "swerve-http-1s": both,
                "swerve-http-100ms": both,
                "exabgp-fall3": both,
                "exabgp-fall1": both,
            },
        )
        self.assertEqual(record["decision_to_bytes"]["samples"], 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
