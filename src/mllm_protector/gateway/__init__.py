"""The gateway: an OpenAI-compatible address in front of any (multimodal) LLM. Extra: ``gateway``."""
