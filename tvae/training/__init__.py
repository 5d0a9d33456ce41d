"""The engine: schedules, optimizer groups, step, loop, checkpoints and writers. Knows no model."""
