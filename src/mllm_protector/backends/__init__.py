"""Back-ends: one file per technology, reached by name through the registry."""
