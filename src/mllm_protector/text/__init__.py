"""Text as the detector sees it: sentences, normal form, and what is hidden in encodings."""
