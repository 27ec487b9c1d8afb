"""Builds small worlds around real swerved processes: for the demo, the lab, the benches and the interop tests."""
