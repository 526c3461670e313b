"""The guard inside other harnesses, and our results in their formats; a harness is imported when used."""
