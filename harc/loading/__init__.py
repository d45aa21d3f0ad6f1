"""Everything that reads weights, tokenizers and tensors from disk; nothing else in the project does.

What the libraries raise while they load becomes one line that names the file; what they would let pass (missing or
unexpected weights, values that are not finite, a tokenizer that splits otherwise than its file says) is an error.
"""
