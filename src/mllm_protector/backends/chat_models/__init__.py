"""Chat models, one file per technology; reached by name, through the registry."""
