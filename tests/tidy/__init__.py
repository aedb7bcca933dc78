"""Tests that read the source itself. Every check is a pure function of (path, source), so a test can plant a fault."""
