"""The Cluster port over etcd, by a small client of its own (docs/adr/0048-own-etcd-client.md)."""
