"""The kernel and namespaces on Linux."""
