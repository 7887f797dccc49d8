"""Mooring: addresses that stay put, for Docker."""

__version__ = "0.1.0"
