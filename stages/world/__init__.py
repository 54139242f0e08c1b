"""Render procedural faces: identities, styles, two domains, and their camera."""
