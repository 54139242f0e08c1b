"""Verification protocols: who is on which image, and which pairs of images are compared."""
