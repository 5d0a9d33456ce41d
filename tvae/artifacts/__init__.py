"""Artifacts of trained models in three stages, raw, validated and production: none ever changes."""
