"""Coverage-guided fuzzing of the parsers that read strangers' files: `make fuzz`."""
