"""The main job against a real BIRD 2, in network namespaces: plays the acts of `tools/demo --lab` and asserts each."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lab"))

import netlab  # noqa: E402
from swervelab.acts import Act  # noqa: E402
from swervelab.bird import RouteWatch  # noqa: E402
from swervelab.netns import Namespaces, run  # noqa: E402
from swervelab.world import World  # noqa: E402


class BirdLab(unittest.TestCase):
    """One lab for all acts, in the order in which a night would bring them."""

    def test_acts(self):
        with Namespaces() as namespaces, World("interop") as world:  # the processes end before the namespaces go
            lab = netlab.Lab(world, namespaces)
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
    reason = netlab.unavailable()
    if reason is not None:
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main(verbosity=2)
