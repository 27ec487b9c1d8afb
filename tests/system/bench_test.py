"""The benches run to their ends and their records are complete. Their figures are for people; none is asserted here."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "bench"), str(ROOT / "tools" / "lab"), str(ROOT / "tests" / "support")]

import probe_kinds  # noqa: E402
from swervelab import netns  # noqa: E402


def setUpModule():
    """The demo, which comes first, builds what people run; the receiver and the stand-in are the benches' own."""
    if "SWERVE_BIN_DIR" not in os.environ:
        subprocess.run(
            ["cmake", "--build", str(ROOT / "build" / "release"), "--target", "bench_receiver", "systemd_stand_in"],
            stdout=sys.stderr,
            check=True,
        )


def record_of(name: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> dict:
    """A bench whose target this machine may miss may end with 1 as well: it has a record then, and without one this fails."""
    done = subprocess.run(
        [str(ROOT / "tools" / "bench" / name), *arguments, "--json"], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode not in codes:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class FailoverBench(unittest.TestCase):
    def test_one_run_of_everything(self):
        record = record_of("failover", "--runs", "1", "--decisions", "20")
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


class MassBench(unittest.TestCase):
    """The bench itself sees to it that all parties announce and withdraw the same prefixes."""

    def test_one_run_of_everything(self):
        record = record_of("mass", "--prefixes", "2000", "--runs", "2")
        self.assertEqual(record["prefixes"], 2000)
        self.assertEqual([row["party"] for row in record["rows"]], ["floor", "swerve", "bird"])
        for row in record["rows"]:
            for kind in ("announce_ms", "withdraw_ms"):
                self.assertGreater(row[kind]["min"], 0.0, row)
                self.assertGreaterEqual(row[kind]["median"], row[kind]["min"], row)
            self.assertEqual(row["peak_rss_mib"] is None, row["party"] == "floor")


class HostileBench(unittest.TestCase):
    """The bench itself sees to it that every attack lasts, and the session with the other neighbor, too."""

    def test_one_run_of_everything(self):
        small = ["--runs", "2", "--rounds", "1", "--keepalives", "1"]
        small += ["--prefixes", "6000", "--table", "100000", "--connections", "100"]
        record = record_of("hostile", *small)
        self.assertEqual(
            [row["attack"] for row in record["rows"]], ["nobody", "stuck", "flood", "claims", "malformed", "dials"]
        )
        for row in record["rows"]:
            self.assertEqual(row["runs"], 2)
            self.assertGreaterEqual(row["max_ms"], row["median_ms"], row)
            for what in ("median_ms", "largest_gap_s", "peak_rss_mib"):
                self.assertGreater(row[what], 0.0, row)
            did = row["attacker"]
            self.assertEqual(did is None, row["attack"] == "nobody")
            if row["attack"] in ("flood", "claims", "malformed"):
                self.assertGreater(did["octets_s"], 0.0, row)
            if row["attack"] == "dials":
                self.assertGreater(did["connections_s"], 0.0, row)


class EventsBench(unittest.TestCase):
    def test_one_run_of_everything(self):
        record = record_of("events", "--rounds", "3")
        self.assertEqual(record["schema"], "swerve.bench.events/1")
        events = [row["event"] for row in record["rows"]]
        for event in ("process killed", "held connection closed", "flag file removed", "server stopped, poll of 1 s"):
            self.assertIn(event, events)
        for row in record["rows"]:
            self.assertGreater(row["median_ms"], 0.0, row)
            self.assertIsNone(row["p99_ms"], row)  # of so few it would say nothing
            self.assertGreaterEqual(row["max_ms"], row["median_ms"], row)


class ChecksBench(unittest.TestCase):
    """The bench itself sees to it that every check is decided as its port is."""

    def test_one_run_of_everything(self):
        record = record_of("checks", "--checks", "200", "--prefixes", "2000", "--runs", "2", "--seconds", "3")
        self.assertEqual((record["checks"], record["prefixes"]), (200, 2000))
        self.assertEqual([row["while"] for row in record["rows"]], ["checks alone", "a table comes and goes"])
        for row in record["rows"]:
            self.assertGreater(row["attempts_s"], 100.0, row)
            self.assertGreater(row["largest_gap_s"], 0.0, row)
            self.assertGreaterEqual(row["late_all_ms"], row["late_p99_ms"], row)


@unittest.skipIf(netns.unavailable(), netns.unavailable())
class SiteLossBench(unittest.TestCase):
    """The bench itself sees to it that no carrier changes."""

    def test_one_run_of_everything(self):
        record = record_of("site_loss", "--rounds", "1", codes=(0, 1))
        self.assertEqual(record["schema"], "swerve.bench.site_loss/1")
        cases = {row["case"]: row for row in record["rows"]}
        self.assertEqual(
            sorted(cases),
            ["bird-bfd-300ms", "bird-bfd-50ms", "swerve-bfd-300ms", "swerve-bfd-50ms", "swerve-hold-3s", "swerve-hold-9s"],
        )
        for name, row in cases.items():
            self.assertEqual(row["runs"], 1, row)
            self.assertGreater(row["route_gone"]["median_ms"], 0.0, row)
            self.assertEqual(row["own_end"] is None, name.startswith("bird"), row)
            self.assertEqual(row["times_bird"] is None, not name.startswith("swerve-bfd"), row)


@unittest.skipIf(netns.unavailable(), netns.unavailable())
class BfdBench(unittest.TestCase):
    """Exit code 1 would be a session that went down; 300 ms are for a machine that has other things to do."""

    def test_a_short_load(self):
        small = ["--sessions", "10", "--interval", "300ms", "--minutes", "0.05", "--prefixes", "2000", "--checks", "100"]
        for other, title in (("bird", "BIRD"), ("swerve", "swerved")):
            record = record_of("bfd", *small, "--with", other)
            self.assertEqual((record["schema"], record["other"]), ("swerve.bench.bfd/1", title))
            self.assertTrue(record["up_at_the_end"])
            for what in ("tables", "packets_received_s", "attempts_s", "site_cores", "bfd_thread_cores", "late_all_ms"):
                self.assertIsNotNone(record[what], what)
            self.assertGreater(record["tables"], 0)
            self.assertGreater(record["packets_received_s"], 0.0)

    def test_a_short_flood(self):
        small = ["--forged", "5000", "--sessions", "4", "--interval", "300ms", "--minutes", "0.05"]
        record = record_of("bfd", *small, codes=(0, 1))
        self.assertTrue(record["up_at_the_end"])
        self.assertFalse(any(record["downs"].values()), record["downs"])
        nobody, flood = record["rows"]
        self.assertIsNone(nobody["sent_s"])
        self.assertEqual(nobody["packets_discarded_s"], 0.0)
        for kind, rate in flood["sent_s"].items():
            self.assertGreater(rate, 0.0, kind)
        self.assertGreater(flood["packets_discarded_s"], 0.0)


class ProbesBench(unittest.TestCase):
    """The bench itself sees to it that every check passes; kinds whose server is missing here are named with the reason."""

    def test_one_run_of_everything(self):
        cheap = ("address", "clock", "disk", "exec", "file", "http", "link", "process", "tcp", "udp")
        only = [word for probe in cheap for word in ("--only", probe)]
        record = record_of("probes", "--seconds", "1", "--kills", "2", "--rate", "100", *only)
        self.assertEqual(record["schema"], "swerve.bench.probes/1")
        measured = {row["probe"] for row in record["costs"]}
        self.assertFalse(measured & set(record["missing"]))
        self.assertEqual(measured | set(record["missing"]), set(cheap))
        self.assertLessEqual(set(record["missing"]), {"http"})
        for row in record["costs"]:
            self.assertGreater(row["attempts"], 50, row)
            self.assertGreater(row["cost_us"], 0.0, row)
            if row["probe"] == "exec":
                self.assertIsNotNone(row["apart"], row)
        self.assertEqual([row["while"] for row in record["loop"]], ["nobody", "mixed probes"])
        self.assertGreater(record["loop"][1]["attempts_s"], 50.0)
        for row in record["loop"]:
            self.assertGreaterEqual(row["main_worst_ms"], row["main_worst_at_start_ms"], row)
            self.assertGreaterEqual(row["withdraw_max_ms"], row["withdraw_median_ms"], row)

    def test_every_probe_is_measured_or_said_to_be_left_out(self):
        page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")  # written from the registry
        probes = set(re.findall(r"^## `(\w+)`$", page, re.M))
        self.assertIn("tcp", probes)
        kinds = {kind.name for kind in probe_kinds.KINDS}
        self.assertEqual(kinds - {"https"} | set(probe_kinds.LEFT_OUT), probes)
        self.assertFalse(kinds & set(probe_kinds.LEFT_OUT))

    def test_the_time_of_threads_that_ended_counts(self):
        loader = importlib.machinery.SourceFileLoader("bench_probes", str(ROOT / "tools" / "bench" / "probes"))
        bench = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(bench)
        burn = "import threading, time\ndef burn():\n  while time.thread_time() < 0.2: pass\n"
        burn += "t = threading.Thread(target=burn); t.start(); t.join(); print(flush=True); input()"
        command = [sys.executable, "-c", burn]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            self.assertGreater(bench.cpu_ns(process.pid), 200_000_000)
            process.communicate(b"\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
