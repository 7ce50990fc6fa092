"""From the tokenizer in a GGUF's key-values to the files that the Hub keeps one in. Import from the modules."""
