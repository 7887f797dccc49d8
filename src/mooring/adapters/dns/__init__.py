"""The embedded resolver."""
