"""What is asked of BFD with every make of router; asserted at both ends, in the words of each."""

import ctypes
import os
import signal
import time

from bfd_rig import FAR_ROUTER, LINK_LOCAL_ROUTER, LINK_LOCAL_SITE, PATIENCE_S, PREFIXES, ROUTER, SITE, Case
from swervelab.clock import boottime_ns
from swervelab.routers import Bfd

OURS, THEIRS = "{interval: 100ms, multiplier: 5}", Bfd(100, 100, 5)
HANG_LIMIT_S = 5.0  # after which the watchdog ends a process whose loop has not moved

_PTRACE_SEIZE, _PTRACE_INTERRUPT = 0x4206, 0x4207
_libc = ctypes.CDLL(None, use_errno=True)


def stop_thread(tid: int):
    """Stops one thread of a child while the others run on; the end of the process is not delayed by it."""
    for request in (_PTRACE_SEIZE, _PTRACE_INTERRUPT):
        if _libc.ptrace(request, tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(tid, 0)  # the stop, so that nobody takes it for the end


class Timers:
    hops, ttl_behind_one = 2, 254  # what the site allows, and how the router's packets arrive there

    def test_timers_are_negotiated_both_ways_and_changed_without_a_flap(self):
        self.begin("{interval: 100ms, multiplier: 5}", Bfd(min_tx_ms=250, min_rx_ms=150, multiplier=4))
        self.await_timers(ours=(150, 1000), theirs=(250, 750))  # each sends as often as the other takes it
        before = self.state_of_all()
        self.reload("{interval: 400ms, multiplier: 3}")
        self.await_timers(ours=(400, 1600), theirs=(400, 1200))
        self.reload("{interval: 50ms, multiplier: 10}")
        self.await_timers(ours=(150, 1000), theirs=(250, 1500))
        self.router.change("site", bfd=Bfd(min_tx_ms=60, min_rx_ms=500, multiplier=8))
        self.await_timers(ours=(500, 480), theirs=(60, 5000))
        self.router.change("site", bfd=Bfd(min_tx_ms=80, min_rx_ms=50, multiplier=5))
        self.await_timers(ours=(50, 400), theirs=(80, 500))
        self.assertEqual(self.state_of_all(), before)
        self.assertTrue(self.wire.bfd(source=SITE["ipv4"], poll=True))
        self.assertTrue(self.wire.bfd(source=ROUTER["ipv4"], final=True))
        for end in (SITE, ROUTER):
            self.assertEqual({packet.ttl for packet in self.wire.bfd(source=end["ipv4"])}, {255})
            self.assertEqual({packet.port for packet in self.wire.bfd(source=end["ipv4"])}, {3784})
        ports = {packet.source_port for packet in self.wire.bfd(source=SITE["ipv4"])}
        self.assertEqual(len(ports), 1)
        self.assertGreaterEqual(min(ports), 49152)

    def await_timers(self, ours: tuple, theirs: tuple):
        """(transmit interval, detection time) in milliseconds at each end, as that end sees them."""
        self.await_that(lambda: self.our_timers() == ours, f"our timers are {ours}")
        self.await_that(lambda: self.their_timers() == theirs, f"their timers are {theirs}")

    def our_timers(self) -> tuple:
        session = self.ours()
        return tuple(round((session[key] or 0) * 1e3) for key in ("transmit_interval_s", "detection_time_s"))

    def their_timers(self) -> tuple:
        session = self.router.bfd_session("site")
        return session.transmit_ms, session.detection_ms

    def state_of_all(self) -> tuple:
        """What a flap would change."""
        ours = self.ours()
        return (
            (ours["state"], ours["downs"], ours["discriminator"]),
            (self.router_bfd_state(), self.router.bfd_session("site").since),
            (self.established_count(), self.daemon.control.session_is_up("router")),
        )

    def test_ipv6(self):
        self.begin(OURS, THEIRS, "ipv6")
        for end in (SITE, ROUTER):
            self.assertEqual({packet.ttl for packet in self.wire.bfd(source=end["ipv6"])}, {255})
        self.daemon.process.freeze()
        self.await_no_route("ipv6")
        self.daemon.process.thaw()
        self.await_all("ipv6")

    def test_multihop(self):
        self.meet_behind_a_router("ipv4")

    def test_multihop_ipv6(self):
        self.meet_behind_a_router("ipv6")

    def meet_behind_a_router(self, family: str):
        far = FAR_ROUTER[family]
        self.join_by_router()
        self.start_router(THEIRS, family, local=far, multihop=2)
        bfd = f"{{interval: 100ms, multiplier: 5, multihop: {self.hops}}}"
        self.start_site(bfd + "\n    multihop: 2", family, remote=far)
        self.await_all(family)
        self.assertEqual({packet.port for packet in self.wire.bfd()}, {4784})
        self.assertEqual({packet.ttl for packet in self.wire.bfd(source=far)}, {self.ttl_behind_one})
        self.assertEqual({packet.ttl for packet in self.wire.bfd(source=SITE[family])}, {255})
        self.net.drop("x", "forward", "meta l4proto { tcp, udp }")
        self.await_no_route(family)
        self.net.drop_no_more("x")
        self.await_all(family)

    def meet_link_local(self):
        self.join_by_switches()
        for where, end, interface in (("s", LINK_LOCAL_SITE, "to-x"), ("r", LINK_LOCAL_ROUTER, "to-y")):
            self.net.ip(where, "address", "add", f"{end}/64", "dev", interface, "nodad")
        self.start_router(THEIRS, "ipv6", local=LINK_LOCAL_ROUTER, remote=LINK_LOCAL_SITE, interface="to-y")
        self.start_site(OURS + "\n    interface: to-x", "ipv6", local=LINK_LOCAL_SITE, remote=LINK_LOCAL_ROUTER)
        self.await_all("ipv6")
        self.assertEqual({packet.ttl for packet in self.wire.bfd(source=LINK_LOCAL_SITE)}, {255})
        self.assertEqual(self.ours()["interface"], "to-x")
        self.daemon.process.freeze()
        self.await_no_route("ipv6")
        self.daemon.process.thaw()
        self.await_all("ipv6")


class Outages:
    def test_the_cut_that_leaves_both_carriers_up(self):
        self.begin(OURS, THEIRS)
        before = self.net.carrier("s", "to-x"), self.net.carrier("r", "to-y")
        self.assertEqual([carrier for carrier, _ in before], [True, True])
        since = self.daemon.control.last_event_id()
        self.net.ip("x", "link", "set", "to-y", "down")
        self.await_no_route()
        self.await_event("bfd_down", "nothing arrived", since)
        self.assertEqual((self.net.carrier("s", "to-x"), self.net.carrier("r", "to-y")), before)
        self.net.ip("x", "link", "set", "to-y", "up")
        self.await_all()
        self.assertEqual((self.net.carrier("s", "to-x"), self.net.carrier("r", "to-y")), before)

    def test_our_process_frozen_and_back(self):
        self.begin(OURS, THEIRS)
        pid, established = self.daemon.process.pid, self.established_count()
        self.daemon.process.freeze()
        self.await_no_route()
        time.sleep(HANG_LIMIT_S + 1.0)  # the pause itself: long enough to be taken for a hang
        self.daemon.process.thaw()
        self.await_all()
        self.assertTrue(self.daemon.process.is_running())
        self.assertEqual(self.daemon.process.pid, pid)
        self.assertGreater(self.established_count(), established)

    def test_our_process_killed_and_nothing_of_its_tcp_arrives(self):
        self.begin(OURS, THEIRS)
        self.net.drop("s", "output", "meta l4proto tcp")
        self.daemon.process.signal(signal.SIGKILL)
        self.await_no_route()
        self.assertEqual(self.wire.bgp(kind="notification", source=SITE["ipv4"]), [])

    def test_the_neighbor_frozen_and_back(self):
        self.begin(OURS, THEIRS)
        since = self.daemon.control.last_event_id()
        self.router.freeze()
        self.assert_ended_by_bfd(since, "nothing arrived")
        # Its kernel takes connections all the same: BGP tries again and does not wait for BFD.
        at = boottime_ns()
        self.await_that(
            lambda: [one for one in self.wire.bgp(kind="open", source=SITE["ipv4"]) if one.at_ns > at],
            "BGP tries again",
        )
        self.assertNotEqual(self.ours()["state"], "up")
        self.router.thaw()
        self.await_all()

    def test_our_packets_lost(self):
        self.begin(OURS, THEIRS)
        since, at = self.daemon.control.last_event_id(), boottime_ns()
        self.net.drop("s", "output", "udp dport 3784")
        self.await_no_route()
        self.await_event("bfd_down", "the neighbor says Down", since)
        self.wire.await_bfd(10.0, at, source=ROUTER["ipv4"], state="down", diagnostic=1)
        self.net.drop_no_more("s")
        self.await_all()

    def test_their_packets_lost(self):
        self.begin(OURS, THEIRS)
        since, at = self.daemon.control.last_event_id(), boottime_ns()
        self.net.drop("s", "input", "udp dport 3784")
        self.assert_ended_with_bfd(since, "nothing arrived")
        self.await_no_route()
        self.wire.await_bfd(10.0, at, source=SITE["ipv4"], state="down", diagnostic=1)
        self.await_that(lambda: self.router_bfd_state() != "up", "BFD is down at the router")
        self.net.drop_no_more("s")
        self.await_all()


class Ends:
    def test_stop_says_admin_down_last(self):
        self.begin(OURS, THEIRS)
        self.daemon.process.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(20.0), 0)
        self.await_no_route()
        withdraws = self.wire.bgp(source=SITE["ipv4"], withdraws=True)
        cease = self.wire.bgp(source=SITE["ipv4"], kind="notification")
        admin_down = self.wire.await_bfd(10.0, source=SITE["ipv4"], state="admin_down")
        self.assertEqual([one.code[0] for one in cease], [6])
        self.assertTrue(withdraws)
        self.assertLess(withdraws[-1].at_ns, cease[0].at_ns)
        self.assertLess(cease[0].at_ns, admin_down.at_ns)
        self.assertEqual(self.wire.bfd(source=SITE["ipv4"])[-1].state, "admin_down")

    def test_switched_off_here_and_on_again(self):
        """Both makes end BGP for our AdminDown, whatever RFC 5882 §3.2 says; it comes back without BFD."""
        self.begin(OURS, THEIRS)
        since = self.daemon.control.last_event_id()
        self.reload(None)
        self.wire.await_bfd(PATIENCE_S, source=SITE["ipv4"], state="admin_down")
        self.await_event("session_up", "", since)
        self.await_that(self.has_route, "the prefix is at the router")
        self.assertEqual(self.daemon.control.get("/v1/bfd")["bfd"], [])
        self.assertNotEqual(self.router_bfd_state(), "up")
        established = self.established_count()
        self.reload(OURS)
        self.await_all()
        self.assertEqual(self.established_count(), established)

    def test_a_hung_main_loop_says_path_down_before_the_process_ends(self):
        self.begin(OURS, THEIRS)
        self.net.drop("s", "output", "meta l4proto tcp")  # what the kernel says of the end
        stop_thread(self.daemon.process.pid)
        self.wire.await_bfd(40.0, source=SITE["ipv4"], state="down", diagnostic=5)
        self.assertEqual(self.daemon.process.wait(20.0), 1)
        self.await_no_route()
        self.assertEqual(self.wire.bfd(source=SITE["ipv4"])[-1].diagnostic, 5)

    def test_a_planned_restart_keeps_the_routes(self):
        """RFC 4724, and RFC 5882 §4.3: AdminDown says that nothing is wrong."""
        self.join_by_switches()
        self.start_router(Bfd(100, 100, 5, graceful=True), graceful_restart=True)
        self.start_site(OURS + "\n    graceful_restart: {restart_time: 60s}")
        self.await_all()
        self.daemon.control.post("/v1/stop", planned_restart=True, reason="interop")
        self.assertEqual(self.daemon.process.wait(PATIENCE_S), 0)
        self.wire.await_bfd(PATIENCE_S, source=SITE["ipv4"], state="admin_down")
        self.await_that(lambda: self.router_bfd_state() != "up", "BFD is down at the router")
        self.await_that(lambda: not self.router.session_is_up("site"), "the router sees the end")
        self.assertTrue(self.has_route())
        self.daemon.start(patience_s=PATIENCE_S)
        self.await_all()


__all__ = ["OURS", "THEIRS", "Bfd", "Case", "Ends", "Outages", "PREFIXES", "Timers"]
