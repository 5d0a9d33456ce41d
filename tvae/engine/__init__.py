"""The engine: task, step, optimizer, schedules and loop; it knows no model and no file format."""
