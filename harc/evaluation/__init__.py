"""Asking a model under a method: records, outcomes and scores; tuning and fine-tuning, which ask too; own prompts."""
