"""Loa agent: link."""
