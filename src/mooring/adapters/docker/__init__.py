"""Docker's API as a client."""
