"""nftables, and the chains of Docker in it."""
