"""Helpfulness of published models: MMLU, GSM8K, HumanEval and IFEval through lm-evaluation-harness, and MT-Bench."""
