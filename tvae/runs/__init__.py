"""A run on disk: its folder, configuration, log, checkpoints and parameters."""
