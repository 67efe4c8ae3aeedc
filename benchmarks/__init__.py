"""Measurements of the real commands against a peer, each in a process of its own."""
