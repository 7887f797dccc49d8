"""Addresses: pools, subnets, leases, and what is kept for a network that comes back."""
