"""Nets of the kinds that phone developers ship, each in a few lines, at small sizes."""

NETS = ()
