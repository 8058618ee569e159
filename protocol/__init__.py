"""Loa: protocol."""
