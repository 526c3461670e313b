"""Training data written by a chat model and confirmed by judges."""
