"""Sandboxes of programs: namespaces, their names and what is in them (mooring.cnm)."""
