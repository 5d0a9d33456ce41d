"""What leaves the library: tables, projector files, weights and compiled programs."""
