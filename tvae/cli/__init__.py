"""Commands, and all that controls the process: flags, signals, memory, caches."""
