"""BFD with BIRD 2. Needs root; exit code 77 means skipped."""

import pathlib
import signal

from bfd_both import OURS, THEIRS, Bfd, Case, Ends, Outages, Timers
from bfd_rig import FAR_ROUTER, ROUTER, ROUTER_ASN, SITE, SITE_ASN, main
from swervelab.routers import Bird, Peering

AUTH = "{{interval: 100ms, multiplier: 5, auth: {{type: {kind}, key_id: {key_id}, key_file: {file}}}}}"
SECOND_SITE = "192.0.2.3"


class WithBird(Case):
    make = "bird"


class BirdTimers(Timers, WithBird):
    # It sends multihop packets with the system's default TTL of 64: nothing short of all hops lets them count.
    hops, ttl_behind_one = 255, 63

    def test_link_local(self):
        self.meet_link_local()


class BirdOutages(Outages, WithBird):
    pass


class BirdEnds(Ends, WithBird):
    pass


class Authentication(WithBird):
    def key_file(self, secret: str) -> str:
        path = pathlib.Path(self.world.directory) / "bfd.key"
        path.write_text(secret + "\n", encoding="ascii")
        path.chmod(0o600)
        return str(path)

    def auth(self, kind: str, secret: str, key_id: int = 7) -> str:
        return AUTH.format(kind=kind, key_id=key_id, file=self.key_file(secret))

    def theirs(self, kind: str, secret: str, key_id: int = 7) -> Bfd:
        return Bfd(100, 100, 5, authentication=kind, key_id=key_id, secret=secret)

    def test_meticulous_keyed_sha1(self):
        secret = "a key of 20 octets !"
        self.begin(self.auth("meticulous_keyed_sha1", secret), self.theirs("meticulous keyed sha1", secret))
        self.assert_all_authenticated()
        self.daemon.process.freeze()
        self.await_no_route()
        self.daemon.process.thaw()
        self.await_all()

    def test_simple_password(self):
        self.begin(self.auth("simple_password", "16 octets in all"), self.theirs("simple", "16 octets in all"))
        self.assert_all_authenticated()

    def assert_all_authenticated(self):
        self.assertEqual({packet.authenticated for packet in self.wire.bfd()}, {True})
        self.assertEqual(sum(self.ours()["discarded"].values()), 0)

    def test_another_key_is_refused_until_it_is_the_same(self):
        self.join_by_switches()
        self.start_router(self.theirs("meticulous keyed sha1", "right"))
        self.start_site(self.auth("meticulous_keyed_sha1", "wrong"))
        self.await_refused("authentication_failed")
        self.reload(self.auth("simple_password", "right"))
        self.await_refused("authentication_failed")
        self.reload(OURS)
        self.await_refused("authentication_unexpected")
        self.reload(self.auth("meticulous_keyed_sha1", "right"))
        self.await_all()

    def await_refused(self, why: str):
        self.await_that(lambda: self.ours()["discarded"][why] >= 2, f"packets are dropped: {why}")
        self.assertEqual(self.ours()["state"], "down")
        self.assertEqual(self.router_bfd_state(), "down")


class SwitchedOff(WithBird):
    def test_bird_says_nothing_and_bgp_comes_back_without_it(self):
        """It never says AdminDown: the site cannot know better than that the neighbor is gone."""
        self.begin(OURS, THEIRS)
        since = self.daemon.control.last_event_id()
        self.router.change("site", bfd=None)
        self.assert_ended_by_bfd(since, "nothing arrived")
        self.await_that(self.has_route, "the prefix is at the router")
        self.assertEqual(self.ours()["state"], "down")
        self.assertEqual(self.wire.bfd(source=ROUTER["ipv4"], state="admin_down"), [])


class Strict(WithBird):
    def test_no_open_before_bfd_is_up(self):
        self.join_by_switches()
        self.start_router(None, dials=True)
        self.start_site("{interval: 100ms, multiplier: 5, strict: true}", listen='bgp: {listen: ["192.0.2.1:179"]}')
        self.wire.await_bfd(20.0, source=SITE["ipv4"], state="down")
        # Both would have begun by now: the router knocks every second, and so would we.
        self.await_that(lambda: len(self.wire.bfd(source=SITE["ipv4"])) >= 4, "more packets")
        self.assertEqual(self.wire.bgp(source=SITE["ipv4"], kind="open"), [])
        self.router.change("site", bfd=THEIRS)
        self.await_all()
        first_open = self.wire.bgp(source=SITE["ipv4"], kind="open")[0]
        first_up = self.wire.bfd(source=SITE["ipv4"], state="up")[0]
        self.assertLess(first_up.at_ns, first_open.at_ns)

    def test_bfd_that_goes_keeps_bgp_down(self):
        self.begin("{interval: 100ms, multiplier: 5, strict: true}", THEIRS)
        since = self.daemon.control.last_event_id()
        self.net.drop("s", "input", "udp dport 3784")
        self.assert_ended_with_bfd(since, "nothing arrived")
        opens = len(self.wire.bgp(source=SITE["ipv4"], kind="open"))
        sent = len(self.wire.bfd(source=SITE["ipv4"]))
        self.await_that(lambda: len(self.wire.bfd(source=SITE["ipv4"])) >= sent + 4, "more packets")
        self.assertEqual(len(self.wire.bgp(source=SITE["ipv4"], kind="open")), opens)
        self.net.drop_no_more("s")
        self.await_all()

    def test_bgp_does_not_wait_otherwise(self):
        self.join_by_switches()
        self.start_router(None)
        self.start_site(OURS)
        self.await_that(self.has_route, "the prefix is at the router")
        self.assertTrue(self.daemon.control.session_is_up("router"))
        self.assertEqual(self.ours()["state"], "down")
        self.assertIsNone(self.router.bfd_session("site"))


class Places(WithBird):
    def test_further_away_than_allowed(self):
        self.join_by_router()
        self.start_router(THEIRS, local=FAR_ROUTER["ipv4"], multihop=2)
        self.start_site("{multihop: 192}\n    multihop: 2", remote=FAR_ROUTER["ipv4"])  # 193 would do, see above
        self.await_that(self.has_route, "the prefix is at the router")
        self.await_that(lambda: self.too_far() >= 2, "packets are dropped for their TTL")
        self.assertEqual(self.ours()["state"], "down")

    def too_far(self) -> int:
        everything = self.daemon.control.get("/v1/bfd")
        return sum(counts["discarded"]["ttl_too_low"] for counts in [everything, *everything["bfd"]])

    def test_two_daemons_on_one_host(self):
        self.join_by_switches()
        self.net.ip("s", "address", "add", f"{SECOND_SITE}/24", "dev", "to-x")
        peerings = [
            Peering(name, ROUTER["ipv4"], remote, SITE_ASN, bfd=THEIRS)
            for name, remote in (("site", SITE["ipv4"]), ("second", SECOND_SITE))
        ]
        self.router = Bird(self.world, self.net, "r", ROUTER_ASN, "192.0.2.2", peerings)
        self.router.start()
        self.start_site(OURS)
        other = self.yaml(OURS, "ipv4", "second", router_id=SECOND_SITE, local=SECOND_SITE, prefix="198.18.0.0/24")
        second = self.world.daemon("second", other, self.net["s"])
        second.start()
        self.await_all()
        self.await_that(lambda: self.second_is_up(), "both are up")
        self.net.drop("s", "output", f"ip saddr {SECOND_SITE} meta l4proto tcp")
        downs = self.ours()["downs"]
        second.process.signal(signal.SIGKILL)
        self.await_that(lambda: not self.router.route("198.18.0.0/24", "second"), "its route is gone by BFD")
        self.assertTrue(self.has_route())
        self.assertEqual((self.ours()["state"], self.ours()["downs"]), ("up", downs))

    def second_is_up(self) -> bool:
        session = self.router.bfd_session("second")
        return bool(session and session.state == "up" and self.router.route("198.18.0.0/24", "second"))


if __name__ == "__main__":
    main(__name__, "bird")
