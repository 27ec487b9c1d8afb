"""What we encode is decoded by others: tshark reads a capture of our messages and bgpdump an MRT file of them, and both
find what was meant. The messages come from bgp_test (tests/bgp/capture_test.cpp). Exit code 77 means skipped."""

import ipaddress
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = ("tshark", "bgpdump")
WELL_KNOWN = {"no-export": "65535:65281", "no-advertise": "65535:65282", "local-AS": "65535:65283"}
ORIGINS = ["IGP", "EGP", "INCOMPLETE"]
TWO_OCTET_STAND_IN = 23456
EMPTY = {"as_path": [], "as4_path": [], "communities": [], "extended_communities": [], "large_communities": []}


def run(*command, **env):
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **env}).stdout


def leaves(tree):
    """All names with their values, in the order in which tshark shows them; it repeats names."""
    for name, value in tree:
        pairs = isinstance(value, list) and value and isinstance(value[0], tuple)
        yield from leaves(value) if pairs else [(name, value)]


def extended_community(fields):
    kind = {0x02: "rt", 0x03: "ro"}[int(next(value for name, value in fields.items() if ".stype_" in name), 0)]
    administrator = next(fields[name] for name in ("value_as2", "value_as4", "value_IP4") if name in fields)
    assigned = fields.get("value_an4", fields.get("value_an2"))
    return f"{kind}:{administrator}:{assigned}"


def attributes(message):
    """The attributes of one UPDATE as tshark sees them, in the words of meanings.json."""
    out = {name: list(value) for name, value in EMPTY.items()}
    out.update(dict.fromkeys(("next_hop", "link_local", "origin", "med", "local_pref", "otc")))
    code, extended, pending = None, {}, {}
    for name, value in leaves(message):
        short = name.rpartition(".")[2]
        if code == 35 and name.endswith("unknown_raw"):
            out["otc"] = int(value[0], 16)  # tshark 4.0 does not know RFC 9234: these are its octets
        elif not isinstance(value, str):
            continue  # octets of what is read by name
        elif name.endswith("path_attribute.type_code"):
            code = int(value)
        elif short in ("as2", "as4") and "as_path_segment" in name:
            out["as4_path" if code == 17 else "as_path"].append(int(value))
        elif name.endswith(("path_attribute.next_hop", "next_hop.ipv6", "next_hop.ipv4")):
            out["next_hop"] = value
        elif short == "link_local":
            out["link_local"] = value
        elif short in ("origin", "multi_exit_disc", "local_pref"):
            out["med" if short == "multi_exit_disc" else short] = int(value)
        elif short == "community_wellknown":
            number = int(value, 0)
            out["communities"].append(f"{number >> 16}:{number & 0xffff}")
        elif short in ("community_as", "ga", "ldp1"):
            pending[short] = value
        elif short == "community_value":
            out["communities"].append(f"{pending['community_as']}:{value}")
        elif short == "ldp2":
            out["large_communities"].append(f"{pending['ga']}:{pending['ldp1']}:{value}")
        elif name.startswith("bgp.ext_com."):
            extended[name if "stype" in name else short] = value
            if short in ("value_an2", "value_an4"):
                out["extended_communities"].append(extended_community(extended))
                extended = {}
    return out


def prefixes(message, *kinds):
    """The prefixes in these fields, as "address/length"."""
    out, length = [], None
    for name, value in leaves(message):
        if name == "bgp.prefix_length":
            length = value
        elif name in kinds:
            out.append(f"{value}/{length}")
    return out


def meant_attributes(meaning):
    """What attributes() has to find for this meaning."""
    out = {name: value for name, value in meaning.items() if name not in ("name", "prefixes", "two_octets")}
    out["as4_path"] = []
    if meaning["two_octets"]:  # RFC 6793 §4.2.2
        out["as4_path"] = meaning["as_path"]
        out["as_path"] = [number if number < 1 << 16 else TWO_OCTET_STAND_IN for number in meaning["as_path"]]
    return out


class DecodedByOthers(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.directory = Path(directory.name)
        run(os.environ["BGP_TEST"], "--test-case=capture:*", SWERVE_CAPTURE_DIR=directory.name)
        cls.meanings = json.loads((cls.directory / "meanings.json").read_text(encoding="utf-8"))

    def test_tshark_finds_what_was_meant(self):
        read = run("tshark", "-n", "-r", str(self.directory / "messages.pcap"), "-Y", "bgp", "-T", "json", "-x", HOME=str(self.directory))
        packets = json.loads(read, object_pairs_hook=list)
        packets = [dict(dict(dict(packet)["_source"])["layers"])["bgp"] for packet in packets]
        self.assertEqual(2 * len(self.meanings), len(packets))
        for meaning, announced, withdrawn in zip(self.meanings, packets[::2], packets[1::2]):
            if meaning["name"] == "extended message":
                continue  # tshark 4.0 takes no message of more than 4,096 octets
            with self.subTest(meaning["name"]):
                self.assertEqual([], [value for name, value in leaves(announced + withdrawn) if "_ws." in name])
                self.assertEqual(meant_attributes(meaning), attributes(announced))
                kinds = ("bgp.nlri_prefix", "bgp.mp_reach_nlri_ipv4_prefix", "bgp.mp_reach_nlri_ipv6_prefix")
                self.assertEqual(meaning["prefixes"], prefixes(announced, *kinds))
                kinds = ("bgp.withdrawn_prefix", "bgp.mp_unreach_nlri_ipv4_prefix", "bgp.mp_unreach_nlri_ipv6_prefix")
                self.assertEqual(meaning["prefixes"], prefixes(withdrawn, *kinds))

    def test_bgpdump_finds_what_was_meant(self):
        lines = [line.split("|") for line in run("bgpdump", "-m", str(self.directory / "messages.mrt")).splitlines()]
        for meaning in self.meanings:
            count = len(meaning["prefixes"])
            announced, withdrawn, lines = lines[:count], lines[count:2 * count], lines[2 * count:]
            with self.subTest(meaning["name"]):
                self.assertEqual(["A"] * count + ["W"] * count, [line[2] for line in announced + withdrawn])
                self.assertEqual(meaning["prefixes"] * 2, [line[5] for line in announced + withdrawn])
                for line in announced:
                    self.check_line(meaning, line)

    def check_line(self, meaning, line):
        path, origin, next_hop, local_pref, med, communities = line[6:12]
        self.assertEqual(meaning["as_path"], [int(number) for number in path.split()])
        self.assertEqual(ORIGINS[meaning["origin"]], origin)
        self.assertEqual(ipaddress.ip_address(meaning["next_hop"]), ipaddress.ip_address(next_hop))
        # bgpdump writes 0 for what is absent, and large numbers of IPv6 routes with a sign.
        self.assertEqual((meaning["local_pref"] or 0, meaning["med"] or 0), (int(local_pref), int(med) % (1 << 32)))
        self.assertEqual(meaning["communities"], [WELL_KNOWN.get(each, each) for each in communities.split()])


if __name__ == "__main__":
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {' and '.join(missing)} not installed", file=sys.stderr)
        sys.exit(77)
    unittest.main()
