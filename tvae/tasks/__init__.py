"""Domains put together for the engine: each task is model + data + terms + groups + evaluation."""
