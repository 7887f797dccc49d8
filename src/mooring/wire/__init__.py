"""How others speak: bytes and JSON to values and back. No I/O."""
