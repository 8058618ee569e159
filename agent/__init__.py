"""Loa: agent."""
