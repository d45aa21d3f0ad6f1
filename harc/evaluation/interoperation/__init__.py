"""Runs and suites in the forms of other tools: JailbreakBench, HarmBench, data sets, lm-evaluation-harness, inspect.

No step of the workflow imports this package. The other tools are imported where they are used, if at all.
"""
