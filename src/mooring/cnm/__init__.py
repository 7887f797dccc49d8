"""Networks for programs: the Container Network Model as a library."""
