"""One module per table; each builds rows from results and is written as CSV and as LaTeX."""
