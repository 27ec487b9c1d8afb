"""The tree obeys its own rules (docs/architecture.md), and each rule is shown to be able to fail."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import rules

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (".cpp", ".hpp")


def tree():
    """Paths of the tree relative to its root: what git tracks or would track."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                             capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        names = [name for name in listing.stdout.split("\0") if name]
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if "build" not in path.relative_to(ROOT).parts]
    return sorted(name for name in set(names) if (ROOT / name).is_file())


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def is_code(name):
    path = Path(name)
    return path.suffix in SOURCES + (".py", ".sh") or (path.suffix == "" and text_of(name).startswith("#!"))


class Tree(unittest.TestCase):
    maxDiff = None

    def assert_none(self, faults):
        self.assertFalse(faults, "\n" + "\n".join(faults))

    def test_rooms_include_only_what_they_may_use(self):
        names = [name for name in tree() if name.endswith(SOURCES)]
        self.assertGreater(len(names), 30)
        self.assert_none([fault for name in names for fault in rules.include_faults(name, text_of(name))])

    def test_pure_rooms_read_no_clock_and_write_no_log(self):
        names = [name for name in tree() if name.endswith(SOURCES)]
        self.assert_none([fault for name in names for fault in rules.purity_faults(name, text_of(name))])

    def test_every_room_is_there(self):
        rooms = {rules.room_of(name) for name in tree() if name.endswith(SOURCES)}
        self.assertEqual(set(rules.USES), rooms - {None})

    def test_no_unfinished_work_is_marked(self):
        names = [name for name in tree() if is_code(name) or name.endswith((".md", ".yaml", ".txt", ".cmake", ".scd"))]
        self.assert_none([fault for name in names for fault in rules.marker_faults(name, text_of(name))])

    def test_files_are_short(self):
        names = [name for name in tree() if is_code(name)]
        self.assert_none([fault for name in names for fault in rules.length_faults(name, text_of(name))])

    def test_presets_parse(self):
        presets = json.loads(text_of("CMakePresets.json"))
        self.assert_none(rules.preset_faults(presets))
        for kind in ("configure", "build", "test"):
            listed = subprocess.run(["cmake", f"--list-presets={kind}"], cwd=ROOT, capture_output=True, text=True, check=False)
            self.assertEqual(0, listed.returncode, listed.stderr)
            for preset in presets[f"{kind}Presets"]:
                if not preset.get("hidden"):
                    self.assertIn(f'"{preset["name"]}"', listed.stdout)

    def test_commands_in_the_documents_exist(self):
        helped = subprocess.run([os.environ["SWERVECTL"], "--help"], capture_output=True, text=True, check=True).stdout
        known = {line.split()[0] for line in helped.split("Commands:")[1].splitlines() if line.strip()}

        def executable(path):
            return os.access(ROOT / path, os.X_OK) or path.startswith("build/")

        pages = ["README.md", "CONTRIBUTING.md", "docs/operations.md", "docs/api.md"]
        commands = [command for page in pages for command in rules.shell_commands(text_of(page))]
        self.assertIn("./tools/demo", commands)
        self.assertIn("./tools/check", commands)
        self.assert_none(rules.command_faults(commands, executable, known))

    def test_the_configuration_in_the_readme_is_valid(self):
        blocks = rules.blocks(text_of("README.md"), "yaml")
        self.assertEqual(1, len(blocks))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            file.write(blocks[0])
            file.flush()
            checked = subprocess.run([os.environ["SWERVECTL"], "config", "check", file.name], capture_output=True, text=True,
                                     check=False)
        self.assertEqual(0, checked.returncode, checked.stdout)

    def test_links_between_documents_lead_somewhere(self):
        pages = [name for name in tree() if name.endswith(".md")]
        self.assertIn("docs/architecture.md", pages)
        self.assert_none([f"{page}: {target} does not exist" for page in pages for target in rules.links(text_of(page))
                          if not (ROOT / page).parent.joinpath(target).exists()])


class Rules(unittest.TestCase):
    """A rule that cannot fail is no rule: each meets a bad sample, and the good one next to it."""

    def test_a_file_belongs_to_its_room(self):
        expected = {"include/swerve/net/prefix.hpp": "net", "include/swerve/base/clock.hpp": "base", "bgp/open.cpp": "bgp",
                    "health/tracker.cpp": "health", "health/probes/tcp.cpp": "probes",
                    "include/swerve/health/probe.hpp": "probes", "include/swerve/health/tracker.hpp": "health",
                    "daemon/operations/api.cpp": "daemon", "tools/swervectl/main.cpp": "tools",
                    "tests/bgp/open_test.cpp": None, "vector": None, "boost/asio.hpp": None}
        self.assertEqual(expected, {path: rules.room_of(path) for path in expected})

    def includes(self, path, target):
        return rules.include_faults(path, f'#pragma once\n#include {target}\n')

    def test_dependencies_point_inwards(self):
        self.assertFalse(self.includes("failover/site.cpp", '"swerve/bgp/peer.hpp"'))
        self.assertEqual(["bgp/peer.cpp:2: bgp must not include health (swerve/health/tracker.hpp)"],
                         self.includes("bgp/peer.cpp", '"swerve/health/tracker.hpp"'))
        for path, target in [("health/tracker.cpp", '"swerve/bgp/peer.hpp"'), ("bgp/peer.cpp", '"swerve/failover/site.hpp"'),
                             ("include/swerve/net/asn.hpp", '"swerve/bgp/open.hpp"'), ("conf/load.cpp", '"daemon/events.hpp"'),
                             ("include/swerve/base/time.hpp", '"swerve/net/asn.hpp"'),
                             ("daemon/run.cpp", '"tools/swervectl/client.hpp"'),
                             ("health/tracker.cpp", '"swerve/health/probe.hpp"'), ("failover/site.cpp", '"swerve/conf/config.hpp"')]:
            self.assertTrue(self.includes(path, target), (path, target))

    def test_private_headers_stay_private(self):
        self.assertFalse(self.includes("bgp/peer.cpp", '"bgp/connection.hpp"'))
        self.assertTrue(self.includes("daemon/bgp/driver.cpp", '"bgp/connection.hpp"'))
        self.assertFalse(self.includes("tools/swerved/main.cpp", '"daemon/run.hpp"'))

    def test_pure_rooms_include_no_adapter(self):
        for target in ["<boost/asio.hpp>", "<yaml-cpp/yaml.h>", "<prometheus/registry.h>", "<spdlog/spdlog.h>",
                       '"swerve/base/clock.hpp"', "<random>", "<thread>", "<mutex>", "<iostream>", "<fstream>", "<sys/socket.h>"]:
            for path in ["bgp/peer.cpp", "health/tracker.cpp", "failover/site.cpp", "include/swerve/net/prefix.hpp",
                         "include/swerve/base/time.hpp", "include/swerve/health/tracker.hpp"]:
                self.assertTrue(self.includes(path, target), (path, target))
        for target in ["<array>", "<arpa/inet.h>", '"swerve/base/random.hpp"', "<fmt/format.h>"]:
            self.assertFalse(self.includes("bgp/peer.cpp", target), target)
        self.assertFalse(self.includes("health/probes/tcp.cpp", "<boost/asio.hpp>"))
        self.assertFalse(self.includes("include/swerve/base/clock.hpp", "<ctime>"))

    def test_only_conf_knows_yaml(self):
        self.assertFalse(self.includes("conf/load.cpp", "<yaml-cpp/yaml.h>"))
        self.assertTrue(self.includes("daemon/reload.cpp", "<yaml-cpp/yaml.h>"))
        self.assertTrue(self.includes("tools/swervectl/config.cpp", "<yaml-cpp/yaml.h>"))

    def test_pure_rooms_use_no_clock(self):
        for line in ["auto t = BootClock::now();", "auto t = std::chrono::steady_clock::now ();", 'std::cout << "x";',
                     'spdlog::info("x");', "std::random_device seed;"]:
            self.assertTrue(rules.purity_faults("bgp/peer.cpp", line), line)
            self.assertFalse(rules.purity_faults("daemon/loop.cpp", line), line)
        self.assertFalse(rules.purity_faults("bgp/peer.cpp", "int x;  // never calls BootClock::now()"))

    def test_markers_are_found(self):
        self.assertTrue(rules.marker_faults("a.cpp", "// TO" + "DO: later"))
        self.assertFalse(rules.marker_faults("a.cpp", "// todos in prose, mastodons"))

    def test_length_flips_above_500(self):
        self.assertFalse(rules.length_faults("a.cpp", "\n" * 500))
        self.assertTrue(rules.length_faults("a.cpp", "\n" * 501))

    def test_presets_must_name_presets(self):
        good = {"configurePresets": [{"name": "a"}, {"name": "b", "inherits": "a"}],
                "buildPresets": [{"name": "b", "configurePreset": "b"}]}
        self.assertFalse(rules.preset_faults(good))
        good["configurePresets"][1]["inherits"] = "gone"
        good["buildPresets"][0]["configurePreset"] = "gone"
        self.assertEqual(2, len(rules.preset_faults(good)))

    def test_commands_must_exist(self):
        page = "text\n```sh\n./tools/demo   # two sites\nsudo swervectl --socket /x status\n```\n```yaml\nsite: x\n```\n"
        commands = rules.shell_commands(page)
        self.assertEqual(["./tools/demo", "sudo swervectl --socket /x status"], commands)
        self.assertFalse(rules.command_faults(commands, lambda path: path == "tools/demo", {"status"}))
        self.assertEqual(2, len(rules.command_faults(commands, lambda path: False, {"show"})))

    def test_links_leave_out_other_sites_and_anchors(self):
        self.assertEqual(["a.md", "b"], rules.links("[x](a.md#part) [y](https://x.example) [z](#here) [w](b)"))


if __name__ == "__main__":
    unittest.main()
