"""Loss terms as pure functions, one family a file.

Terms of single rows return ``(n,)``, one value a row; statistics of a set of rows or pairs return a
scalar. Levels are integers of a :class:`tvae.geometry.tree.Tree`, 0 outermost. Weights belong to
the task, sums to the step. Where the reference system differs: ``docs/parity.md``.
"""
