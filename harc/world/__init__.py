"""The embedded default: an invented world, its corpora, and small chat models trained on it from scratch."""
