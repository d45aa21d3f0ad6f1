"""What every other part stands on: it knows nothing of models, methods or studies."""
