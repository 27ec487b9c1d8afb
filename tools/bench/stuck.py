"""A neighbor that stops reading for less than its send hold time, beside one that reads."""

import statistics

from receiver import Receiver
from swervelab.clock import wait_until
from tables import PATIENCE_S, RECEIVER, STUCK_RECEIVER, Swerve, Table
from swervelab.world import World

_RECEIVE_BUFFER = 65536
# What swerved lets its kernel hold unsent (DESIGN.md §4.8), what the neighbor's kernel may hold (Linux doubles what is asked
# for), and one message that was begun.
_BOUND = 262144 + 2 * _RECEIVE_BUFFER + 4096


class TwoNeighbors(Swerve):
    """swerved with a neighbor that reads, whose times count, and one that can stop to."""

    def start(self):
        self.stuck = Receiver(self.world, "stuck", STUCK_RECEIVER, receive_buffer=_RECEIVE_BUFFER)
        self.receivers.append(self.stuck)
        self.launch({RECEIVER: self.receiver, STUCK_RECEIVER: self.stuck})
        for receiver in (self.receiver, self.stuck):
            receiver.wait("established", PATIENCE_S)

    def totals(self) -> dict:
        return self.stuck.ask("totals", answer="totals")

    def neighbor(self) -> dict:
        return self.daemon.control.get("/v1/neighbors/stuck")["neighbors"][0]


def measure_stuck(world: World, table: Table, flaps: int) -> dict:
    party = TwoNeighbors(world, table)
    try:
        party.start()
        both_read = _flap(party, flaps)
        wait_until(lambda: _has_nothing_left(party), PATIENCE_S, "the second neighbor has read all")
        before = party.rss_mib()

        party.stuck.ask("count", "announced", 0, answer="counting")
        party.stuck.ask("read", "off", answer="read")
        one_stuck = _flap(party, flaps)
        after = party.rss_mib()
        held = party.neighbor()
        if held["state"] != "established":
            raise RuntimeError("the session did not last: " + str(held["last_error"]))

        begin_ns = party.stuck.ask("read", "on", answer="read")["at_ns"]
        wait_until(lambda: _has_nothing_left(party), PATIENCE_S, "the stuck neighbor has read all")
        totals = party.totals()
        return {
            "prefixes": table.count,
            "flaps": flaps,
            "stale_octets": totals["announcing_octets"],
            "stale_prefixes": totals["announced"],
            "bound_octets": _BOUND,
            "left_at_the_neighbor": totals["announced"] - totals["withdrawn"],
            "read_on_to_last_withdraw_ms": (totals["at_ns"] - begin_ns) / 1e6,
            "other": {
                kind: {"both_read": both_read[kind], "one_stuck": one_stuck[kind]} for kind in ("announce_ms", "withdraw_ms")
            },
            "rss_mib": {"before": before, "after": after, "peak": party.peak_mib()},
        }
    finally:
        party.close()


def _flap(party: TwoNeighbors, flaps: int) -> dict:
    """Medians at the neighbor that reads."""
    samples = [(party.announce(), party.withdraw()) for _ in range(flaps)]
    announce, withdraw = zip(*samples)
    return {"announce_ms": statistics.median(announce), "withdraw_ms": statistics.median(withdraw)}


def _has_nothing_left(party: TwoNeighbors) -> bool:
    view = party.neighbor()
    if view["pending_withdrawals"] or view["pending_announcements"] or view["unsent_octets"]:
        return False
    totals = party.totals()
    return totals["announced"] == totals["withdrawn"] and int(totals["digest"], 16) == 0
