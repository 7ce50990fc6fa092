"""One module per task: its head, its output type, its pipeline. Import from the modules."""
