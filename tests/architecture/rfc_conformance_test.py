"""tools/rfc-conformance on a small tree of its own: what it finds, and what it refuses."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "rfc-conformance"
CODE = "// RFC 9000 §1.2: why.\n// As (RFC\n/// 9001 §3) says.\n"
TESTS = '''namespace {
TEST_CASE("open: RFC 9000 §1: one") {
    // malformed 2
}

// RFC 9000 §4 b: a helper of the next test.
void help() {}

TEST_CASE("open: malformed 4 to 6: two") {}
}
'''


class RfcConformance(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="swerve-conformance-")
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.write("bgp/open.cpp", CODE)
        self.write("tests/bgp/open_test.cpp", TESTS)
        (self.root / "docs").mkdir()

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run_script(self, *rows, options=()):
        self.write("docs/rfc-conformance.in", "## Rows\n" + "\n".join(rows) + "\n")
        ran = subprocess.run([sys.executable, SCRIPT, "--root", self.root, *options], capture_output=True, text=True,
                             timeout=30, check=False)
        return ran.returncode, ran.stderr

    def page_row(self, *rows):
        self.assertEqual((0, ""), self.run_script(*rows))
        return (self.root / "docs/rfc-conformance.md").read_text(encoding="utf-8").splitlines()[-3]

    def test_a_section_is_cited_by_its_parts_and_by_no_other(self):
        row = self.page_row("must | RFC 9000 §1 | said")
        self.assertIn("bgp/open.cpp", row)
        self.assertIn("open: RFC 9000 §1: one", row)
        self.assertNotIn("two", row)
        self.assertNotIn("bgp/open.cpp", self.page_row("may | RFC 9000 §12 | said"))

    def test_a_citation_may_break_across_lines(self):
        self.assertIn("bgp/open.cpp", self.page_row("may | RFC 9001 §3 | said"))

    def test_a_citation_belongs_to_the_test_around_it_or_to_the_next(self):
        self.assertIn("one", self.page_row("must | malformed 2 | said"))
        self.assertIn("two", self.page_row("must | RFC 9000 §4 b | said"))
        self.assertIn("two", self.page_row("must | malformed 5 | said"))

    def test_a_row_that_must_hold_needs_a_test_or_an_excuse(self):
        self.assertIn("no test cites", self.run_script("must | RFC 9001 | said")[1])
        self.assertIn("no test cites", self.run_script("must | malformed 7 | said")[1])
        self.assertEqual(0, self.run_script("must | RFC 9001 | said | open: BFD")[0])

    def test_a_named_test_must_exist(self):
        self.assertEqual(0, self.run_script("must | test: open: RFC 9000 §1: o | said")[0])
        code, said = self.run_script("should | test: open: three | said")
        self.assertEqual((1, True), (code, "there is no test: open: three" in said))

    def test_check_fails_when_the_page_is_another(self):
        rows = ["must | malformed 2 | said"]
        self.assertEqual(1, self.run_script(*rows, options=["--check"])[0])
        self.assertEqual(0, self.run_script(*rows)[0])
        self.assertEqual(0, self.run_script(*rows, options=["--check"])[0])

    def test_a_row_of_another_form_is_named_by_its_line(self):
        self.assertIn("rfc-conformance.in:2:", self.run_script("perhaps | RFC 9000 | said")[1])


if __name__ == "__main__":
    unittest.main()
