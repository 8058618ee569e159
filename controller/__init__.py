"""Loa: controller."""
