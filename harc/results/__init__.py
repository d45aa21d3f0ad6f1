"""What a study says: tables, figures, the numbers of the text, the report and the inputs of the paper."""
