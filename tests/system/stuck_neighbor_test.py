"""A neighbor that stops reading, against the real daemon: what it has still to read when it reads on (DESIGN.md §4.8)."""

import json
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIXES = 200000  # a megabyte on the wire, four times what the kernel may hold unsent


class StuckNeighbor(unittest.TestCase):
    def test_it_reads_little_that_is_stale_and_all_of_its_withdrawals(self):
        done = subprocess.run(
            [str(ROOT / "tools" / "bench" / "mass"), "--stuck", "--prefixes", str(PREFIXES), "--runs", "2", "--json"],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        # The bench waits until the other neighbor has heard every prefix, each time, before it goes on.
        stuck = json.loads(done.stdout)["stuck"]
        self.assertEqual(stuck["prefixes"], PREFIXES)
        self.assertGreater(stuck["stale_octets"], 0)
        self.assertLessEqual(stuck["stale_octets"], stuck["bound_octets"])
        self.assertEqual(stuck["left_at_the_neighbor"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
