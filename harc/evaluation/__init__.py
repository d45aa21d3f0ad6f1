"""Evaluation of one model under one method: suites, judges, attacks, statistics, scores."""
