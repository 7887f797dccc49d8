"""What the hosts of a cluster agree on."""
