"""What is true: addresses, leases, networks and plumbing as values. No I/O, clock, log or randomness in here."""
