"""Reports to read: Markdown, and one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from mllm_protector.evaluation.rendering.html import to_html
from mllm_protector.evaluation.rendering.markdown import to_markdown

__all__ = ["to_html", "to_markdown"]
