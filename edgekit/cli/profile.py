"""`edgekit profile`."""
