"""Conditional activation steering (CAST): vectors fitted on contrastive pairs, added where a condition fires."""
