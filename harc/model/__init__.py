"""The model: how it is named, loaded, asked and read."""
