"""Packages from outside: their own tests run where they are installed, in an environment of theirs."""

collect_ignore_glob = ["zoo-*"]
