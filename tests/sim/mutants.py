#!/usr/bin/env python3
"""Proves the oracle of the simulation: plants one fault at a time and sees that it is found.

A mutant is one replacement of text in one shipping source. That source is compiled with the flags of the build and
linked in front of the libraries, and the result has to violate an invariant within 1,000 worlds. A replacement whose
text is gone from the source, a mutant that does not compile and one that survives are faults of this test.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Mutant(NamedTuple):
    name: str  # what is wrong then
    source: str
    text: str  # once in the source
    becomes: str


MUTANTS = [
    Mutant("fall is one too many", "health/tracker.cpp",
           "} else if (failures_ >= policy_.fall) {", "} else if (failures_ > policy_.fall) {"),
    Mutant("rise is one too few", "health/tracker.cpp",
           "if (passes_ >= rise && window_failed", "if (passes_ + 1 >= rise && window_failed"),
    Mutant("the window is never reached", "health/tracker.cpp",
           "} else if (window_failures() >= policy_.window_failures) {",
           "} else if (window_failures() > policy_.window_of) {"),
    Mutant("each silent attempt prolongs what stale evidence is worth", "health/tracker.cpp",
           "if (state_ == CheckState::unknown || lost_since_) return;",
           "if (state_ == CheckState::unknown) return;"),
    Mutant("a probe loop that stands still is taken for a failing service", "health/tracker.cpp",
           "conclude(now, {ProbeResult::unknown, reason, began_, now}, out);",
           "conclude(now, {ProbeResult::fail, reason, began_, now}, out);"),
    Mutant("not unknown is pass", "health/expression.cpp",
           "            break;\n    }\n    return CheckState::unknown;",
           "            break;\n    }\n    return CheckState::pass;"),
    Mutant("announced before the first verdict", "failover/decide.cpp",
           "if (inputs.verdict == Verdict::unknown || inputs.verdict == Verdict::down) {",
           "if (inputs.verdict == Verdict::down) {"),
    Mutant("announce outranks drain", "failover/decide.cpp",
           "if (inputs.drain != nullptr) {", "if (inputs.drain != nullptr && !has(OverrideKind::announce)) {"),
    Mutant("the hold after crashes is skipped", "failover/site.cpp",
           "    hold_until = restored.hold_until;\n", ""),
    Mutant("a deadline that was served stays", "failover/site.cpp",
           "        hold_until.reset();\n", ""),
    Mutant("words are lost at a restart", "failover/restore.cpp",
           "    out.overrides = overrides_in_force(*found.state, boot);\n",
           "    if (boot.boot_id.empty()) out.overrides = overrides_in_force(*found.state, boot);\n"),
    Mutant("--for is lost at a restart", "failover/restore.cpp",
           "            expires = boot.now + left;\n", ""),
    Mutant("--for is counted by the wall clock", "failover/restore.cpp",
           "return deadline.boot - boot.now;", "return deadline.wall - boot.wall;"),
    Mutant("a lost state does not drain the site", "failover/restore.cpp",
           "if (!found.damage.empty()) {", "if (found.last_alive && !found.damage.empty()) {"),
    Mutant("--for is lost at a reload", "failover/site_reconfigure.cpp",
           "        if (word.value.expires) expires(prefix, nullptr, &word.value);\n", ""),
    Mutant("a standing verdict is renewed at each reload", "failover/site_reconfigure.cpp",
           "std::min(now + patience(id), fresh.stands_until.value_or(TimePoint::max()))", "now + patience(id)"),
    Mutant("a drain takes away at once what it should let leave", "failover/site_stages.cpp",
           "service.leaving_until = now + notice;", "service.leaving_until = now;"),
    Mutant("a verdict that falls ends the stage for what an operator announced", "failover/decide.cpp",
           "inputs.leaving != Leaving::nothing &&", "inputs.leaving == Leaving::everything &&"),
    Mutant("damping is ignored when a route comes back", "failover/site_stages.cpp",
           "service.damping.wait_to_announce(now)", "std::optional<Damping::Wait>{}"),
    Mutant("better attributes never wait", "failover/site_stages.cpp",
           "service.damping.wait_to_change(now)", "std::optional<Damping::Wait>{}"),
    Mutant("a withdraw waits for damping, too", "failover/site.cpp",
           "    hold_back(now, id);\n",
           "    if (service.damped && service.damped->until > now && !service.drain && !stopping) return wake(id);\n"
           "    hold_back(now, id);\n"),
    Mutant("the first stage of a drain does not end", "failover/site_stages.cpp",
           "service.leaving_degraded_until = now + its.drain_degraded_for;",
           "service.leaving_degraded_until = now + notice;"),
    Mutant("the stage of a return does not end", "failover/site_stages.cpp",
           "service.returning_until = now + stage;", "service.returning_until = now + 1000 * stage;"),
    Mutant("a gate withdraws", "failover/judge.cpp",
           "stay.push_back(effect == Effect::withdraw);",
           "stay.push_back(effect == Effect::withdraw || effect == Effect::gate);"),
    Mutant("what a check depends on is ignored", "failover/site_checks.cpp",
           "if (!parent || states[*parent] == CheckState::pass) {", "if (!parent || *parent < states.size()) {"),
    Mutant("degraded is shown in full", "failover/decide.cpp",
           "if (inputs.verdict == Verdict::degraded) return degrade(Cause::verdict);",
           "if (inputs.verdict == Verdict::degraded) return announce(Cause::verdict);"),
    Mutant("a start is not counted before the first save", "daemon/state/resume.cpp",
           "state.crashes = restored.crashes;", "state.crashes = restored.crashes > 0 ? restored.crashes - 1 : 0;"),
    Mutant("a word on a prefix that is not owned counts", "failover/site_overrides.cpp",
           "return block.contains(prefix);", "return block.family() == prefix.family();"),
    Mutant("a reload withdraws nothing", "bgp/adj_rib_out.cpp",
           "segment.desired = here ? here->route : nullptr;", "if (here) segment.desired = here->route;"),
    Mutant("a hand-over loses a withdraw that was not sent yet", "bgp/adj_rib_out.cpp",
           "here->desired, here->sent, here->resend",
           "here->desired, here->desired ? here->sent : RouteRef{}, here->resend"),
    Mutant("withdrawals wait behind announcements", "bgp/adj_rib_out.cpp",
           "    bool within_budget = parts.produce_withdrawals(budget);\n"
           "    for (const Family family : all_families) {\n"
           "        within_budget = within_budget && parts.produce_announcements(family, budget);\n"
           "    }\n",
           "    bool within_budget = true;\n"
           "    for (const Family family : all_families) {\n"
           "        within_budget = within_budget && parts.produce_announcements(family, budget);\n"
           "    }\n"
           "    if (within_budget) (void)parts.produce_withdrawals(budget);\n"),
    Mutant("changed attributes are not sent", "bgp/adj_rib_out.cpp",
           "if (segment.desired != segment.sent || segment.resend) out.to_announce",
           "if (!segment.sent || segment.resend) out.to_announce"),
    Mutant("a neighbor that was lost is not dialled again", "bgp/peer.cpp",
           "        halted = false;\n        start(turn);\n", "        halted = false;\n"),
    Mutant("a reload enables neighbors", "daemon/speaker/reload.cpp",
           "            disabled.push_back(neighbor.name);\n", ""),
    Mutant("failover records wait for neighbors that are gone", "daemon/speaker/sessions.cpp",
           "    recorder.session_lost(turn.at.now, id);\n", ""),
    Mutant("BFD waits for as many packets as it has promised itself", "bfd/session.cpp",
           "return packet.detect_multiplier * std::max(counted_rx_,", "return timing_.multiplier * std::max(counted_rx_,"),
    Mutant("BFD notices a silence late", "bfd/session.cpp",
           "deadlines_.set(Timer::detect, now + *detection);", "deadlines_.set(Timer::detect, now + 2 * *detection);"),
    Mutant("what BFD hears puts off what it says", "bfd/session.cpp",
           "if (transmit_interval() != before) arm_transmit(last_sent_);", "if (before) arm_transmit(now);"),
    Mutant("BFD answers no poll", "bfd/session.cpp",
           "if (packet.poll && now >= urgent_.earliest()) {", "if (packet.poll && now < urgent_.earliest()) {"),
    Mutant("old packets of BFD count again", "bfd/session.cpp",
           "if (neighbor_sequence_ && now <= sequence_counts_until_) {", "if (neighbor_sequence_ && now < last_sent_) {"),
    Mutant("BFD packets from far away count", "bfd/table.cpp",
           "if (!datagram.multihop) return datagram.ttl != ttl_sent;", "if (!datagram.multihop) return datagram.ttl < 128;"),
    Mutant("more hops of BFD than are configured", "bfd/table.cpp",
           "return datagram.ttl <= ttl_sent - static_cast<int>(hops);",
           "return datagram.ttl < ttl_sent - static_cast<int>(hops);"),
    Mutant("a neighbor that has switched BFD off has failed", "daemon/speaker/bfd.cpp",
           "    return cause == bfd::Cause::detection_time_expired ||\n",
           "    return cause == bfd::Cause::neighbor_admin_down || cause == bfd::Cause::detection_time_expired ||\n"),
    Mutant("a failure of BFD ends no session", "daemon/speaker/bfd.cpp",
           "if (lost && is_failure(report.cause)) {", "if (lost && !is_failure(report.cause)) {"),
    Mutant("a neighbor that says that BFD is down is not believed", "daemon/speaker/bfd.cpp",
           "           cause == bfd::Cause::neighbor_signaled_down;", "           cause == bfd::Cause::path_down;"),
    Mutant("strict does not wait for BFD", "daemon/speaker/bfd.cpp",
           "return !bfd || (bfd->state != bfd::State::up && !bfd->neighbor_admin_down);",
           "return bfd && bfd->state == bfd::State::init;"),
    Mutant("a reload leaves BFD as it was", "daemon/speaker/reload.cpp",
           "    settle_bfd(turn);\n", ""),
]


class Build:
    """How an existing build directory compiles and links sim_test."""

    def __init__(self, directory):
        self.directory = directory
        commands = json.loads((directory / "compile_commands.json").read_text())
        self.compile = {str(pathlib.Path(each["file"]).relative_to(ROOT)): shlex.split(each["command"])
                        for each in commands if pathlib.Path(each["file"]).is_relative_to(ROOT)}
        lines = subprocess.run(["ninja", "-C", str(directory), "-t", "commands", "sim_test"], check=True, text=True,
                               capture_output=True).stdout.splitlines()
        # ": && c++ … -o tests/sim/sim_test libraries… && :"
        self.link = shlex.split(lines[-1].removeprefix(": && ").removesuffix(" && :"))

    def make(self, source, text, into):
        """A sim_test in which `source` says `text`."""
        copy = into / pathlib.Path(source).name
        copy.write_text(text)
        command = list(self.compile[source])
        command[command.index("-c") + 1] = str(copy)
        for option in ("-o", "-MF", "-MT"):
            if option in command:
                command[command.index(option) + 1] = str(into / ("mutant.d" if option == "-MF" else "mutant.o"))
        self.run(command)
        program = into / "sim_test"
        command = list(self.link)
        at = command.index("-o")
        command[at:at + 2] = ["-o", str(program), str(into / "mutant.o")]
        self.run(command)
        return program

    def run(self, command):
        done = subprocess.run(command, cwd=self.directory, text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)


def try_out(build, mutant, seeds):
    """Returns whether the mutant was killed, how, and in how many seconds."""
    begun = time.monotonic()
    original = (ROOT / mutant.source).read_text()
    count = original.count(mutant.text)
    if count != 1:
        return False, f"its text occurs {count} times in {mutant.source}", 0
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        try:
            program = build.make(mutant.source, original.replace(mutant.text, mutant.becomes), pathlib.Path(directory))
        except RuntimeError as fault:
            return False, f"it does not compile:\n{fault}", 0
        lived = subprocess.run([program, "--seeds", f"1..{seeds}"], text=True, capture_output=True)
    seconds = time.monotonic() - begun
    if lived.returncode == 0:
        return False, f"it survives {seeds} worlds", seconds
    found = re.search(r"^seed (\d+): (.*)$", lived.stderr, re.MULTILINE)
    if not found:
        return False, f"nobody says what is wrong with it:\n{lived.stderr[-2000:]}", seconds
    return True, f"seed {found[1]}: {found[2]}", seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="a build directory with sim_test (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=1000, help="worlds for each (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default %(default)s)")
    parser.add_argument("only", nargs="*", help="mutants whose name contains one of these words")
    options = parser.parse_args()
    build = Build(ROOT / options.build)
    chosen = [each for each in MUTANTS if not options.only or any(word in each.name for word in options.only)]
    if not chosen:
        parser.error("no mutant has such a name")
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        survivors = 0
        results = pool.map(lambda mutant: try_out(build, mutant, options.seeds), chosen)
        for mutant, (killed, how, seconds) in zip(chosen, results):
            survivors += not killed
            print(f"{'killed' if killed else 'FAILED'} {seconds:6.1f} s  {mutant.name}\n                 {how}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed in {time.monotonic() - begun:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
