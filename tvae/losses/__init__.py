"""Loss terms as pure functions, one family a file; weights live in the task, sums in the step."""
