"""GGUF, the checkpoint format of llama.cpp, for zoo. Found through the entry point; import from the modules."""
