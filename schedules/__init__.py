"""Loa: schedules."""
