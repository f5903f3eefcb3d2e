"""Rungs of quantization, climbed until what was asked for is reached."""
