"""One module per figure, with `list_inputs` and `plot`; nothing here imports them: each rebuilds alone."""
