"""What is on record, in memory: every record, and indexes of them. Nothing here decides."""
