"""Models: loading, chat format, activations, generation, models behind servers."""
