"""One module per kind of macro: LaTeX names and values from the rows of tables."""
