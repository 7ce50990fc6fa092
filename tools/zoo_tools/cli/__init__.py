"""The commands of the checkpoint tools, one module each, imported when it is invoked."""
