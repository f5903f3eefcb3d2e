"""Latency and instruction counts of a bundle on a device: how they are measured, judged, kept and compared."""
