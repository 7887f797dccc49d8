"""Network drivers: the bridge, those that make nothing, and plugins."""
