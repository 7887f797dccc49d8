"""The world: the real implementations of the ports. Foreign errors stop here and become faults."""
