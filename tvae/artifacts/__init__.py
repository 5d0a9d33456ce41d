"""The life of a trained model: raw, validated, production; nothing lost, nothing changed.

``python -m tvae artifacts`` is its door; :mod:`tvae.artifacts.repository` says where artifacts lie
and how one comes to be there.
"""
