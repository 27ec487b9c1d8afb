"""The main job against a real router, in network namespaces: plays the acts of `tools/demo --lab` and asserts each.

    lab_test.py [bird|frr|gobgp]
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lab"))

import netlab  # noqa: E402
from swervelab.acts import Act  # noqa: E402
from swervelab.kernel_routes import RouteWatch  # noqa: E402
from swervelab.netns import Namespaces, run  # noqa: E402
from swervelab.world import World  # noqa: E402


class RouterLab(unittest.TestCase):
    """One lab for all acts, in the order in which a night would bring them."""

    kind = "bird"

    def test_acts(self):
        # The processes end before the namespaces go.
        with Namespaces() as namespaces, World(f"lab-{self.kind}") as world:
            lab = netlab.Lab(world, namespaces, self.kind)
            with RouteWatch(namespaces, "r") as watch, lab.client:
                for title, _, perform in netlab.Acts(lab, watch).programme:
                    with self.subTest(title):
                        # A loaded build machine may be slow; what is asserted here is that it happens, and why.
                        act = Act(title, limit_ms=30_000.0)
                        perform(act)
                        print(f"{title}: {act.record()['timeline']}", flush=True)
                        self.assertEqual(act.faults, [])
                        self.assertTrue(act.stages)
        self.assertEqual(leftovers(namespaces), [])


def leftovers(namespaces: Namespaces) -> list:
    """Network namespaces of ours that are still there."""
    return [line for line in run("ip", "netns", "list").splitlines() if line.startswith(namespaces.prefix)]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        RouterLab.kind = sys.argv.pop(1)
    reason = netlab.unavailable(RouterLab.kind)
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main(verbosity=2)
