"""Comparing what a model computes before and after each step, and with the truth."""
