"""Domains: each folder holds all of one, and is one value `Domain`."""
