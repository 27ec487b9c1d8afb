"""BFD with FRR: bgpd, bfdd and zebra. Needs root; exit code 77 means skipped."""

from bfd_both import OURS, THEIRS, Bfd, Case, Ends, Outages, Timers
from bfd_rig import main

SHUT = Bfd(100, 100, 5, shut=True)


class WithFrr(Case):
    make = "frr"


class FrrTimers(Timers, WithFrr):
    def test_link_local(self):
        self.meet_link_local()


class FrrOutages(Outages, WithFrr):
    pass


class FrrEnds(Ends, WithFrr):
    pass


class FrrAdminDown(WithFrr):
    """RFC 5882 §3.2: that BFD was switched off says nothing about the path."""

    def test_switched_off_over_there_and_on_again(self):
        self.begin(OURS, THEIRS)
        since, established = self.daemon.control.last_event_id(), self.established_count()
        self.router.change("site", bfd=SHUT)
        self.await_event("bfd_down", "AdminDown", since)
        self.router.change("site", bfd=THEIRS)
        self.await_that(lambda: self.ours()["state"] == "up", "BFD is up at the site")
        self.await_that(lambda: self.router_bfd_state() == "up", "BFD is up at the router")
        self.assertTrue(self.has_route())
        self.assertTrue(self.daemon.control.session_is_up("router"))
        self.assertEqual(self.established_count(), established)
        self.assertEqual(self.events("session_down", since), [])

    def test_strict_keeps_bgp_where_it_is_switched_off(self):
        self.begin("{interval: 100ms, multiplier: 5, strict: true}", THEIRS)
        since, established = self.daemon.control.last_event_id(), self.established_count()
        self.router.change("site", bfd=SHUT)
        self.await_event("bfd_down", "AdminDown", since)
        # It says so for a moment only, and then nothing.
        self.await_that(lambda: self.ours()["neighbor_says"] is None, "the site has forgotten its packets")
        self.assertTrue(self.has_route())
        self.assertEqual(self.established_count(), established)
        self.assertEqual(self.events("session_down", since), [])


if __name__ == "__main__":
    main(__name__, "frr")
