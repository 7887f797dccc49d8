"""Networks, endpoints and published ports, and keeping the kernel as the records say."""
