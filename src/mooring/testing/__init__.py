"""Doubles of the ports, public, held by tests/contracts to what the real adapters do."""
