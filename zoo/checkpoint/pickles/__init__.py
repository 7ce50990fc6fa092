"""Python pickles and the containers that torch puts them in, read without running, importing or calling anything."""
