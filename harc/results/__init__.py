"""From scores and directions to figures, tables, numbers, claims, paper inputs and the report."""
