"""The laws of the lake as property tests over generated histories."""
