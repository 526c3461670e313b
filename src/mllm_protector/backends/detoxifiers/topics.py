"""Finds a short, harmless noun phrase that tells what a request is about, to name it in an answer."""

from __future__ import annotations

import re

__all__ = ["topic_of"]

_PHRASE = re.compile(
    r"\b(?:about|regarding|concerning)\s+(the\s+|a\s+|an\s+|my\s+|our\s+)?((?:[a-z]{3,14}\s)?[a-z]{4,16})\b"
    r"(?=\s*(?:[?.!,;]|$))"
)
_HEADS = re.compile(
    r"\b(?:of|for|with|in|at|from|on|into)\s+(the\s+|a\s+|an\s+|my\s+"
    r"|our\s+)((?:[a-z]{3,14}\s)?[a-z]{4,16})\b"
    r"(?=[\s]*(?:[?.!,;]|$|(?:and|or|to|for|with|without|in|on|that|who|which|so|by|from|of|at|is|are)\b))"
)
_STOP = frozenset(
    """
    that this these those with without from into image picture photo list items item following
    content what which when where there their them they have being been will would could should
    someone somebody anyone people person thing things something anything world internet order case
    purpose middle name form type kind lot number part way ways step steps tutorial guide article
    story essay speech letter post time long best worst most more less other another one ones last
    next same like just only very real does make makes making made using used use doing done get
    gets getting take takes taking your mine yours his hers its ours theirs how why who whom and but
    not all any can may might must shall own such than then too also person's end sake
    """.split()  # noqa: SIM905
)
_UNSAFE = re.compile(
    r"kill|murder|bomb|weapon|gun|drug|meth|cocain|heroin|poison|steal|rob|theft|hack|crack|fake|forg"
    r"|counterfeit|scam"
    r"|fraud|launder|terror|attack|hate|race|racis|nazi|slur|rape|sex|porn|nud|naked|erotic|child|kid"
    r"|minor|teen|girl|boy"
    r"|abus|tortur|suicid|harm|hurt|cut|die|dead|death|blood|shoot|stab|stalk|spy|malwar|virus|trojan"
    r"|ransom|phish|exploit"
    r"|illegal|crim|victim|traffick|slave|black|white|asian|jew|muslim|islam|christ|gay|trans(?:gender|sex|phob|$)|women|woman"
    r"|female|retard"
    r"|disab|immigra|explosi|grenade|missil|nuclear|toxic|bleach|blackmail|extort|threat|bull|harass"
    r"|insult|offens|caught"
    r"|detect|police|damn|fuck|shit|bitch|stupid|idiot|dumb|ass\b|body|bodies|strang|evad|smuggl|pirat"
    r"|cheat|plagiar"
)


_ARTICLE = {"": "", "my": "your ", "our": "your "}
_LONGEST = 300


def topic_of(request: str) -> str | None:
    """Return what ``request`` is about, such as ``"your project"``; None if nothing safe is found.

    The phrase is made of plain lower-case words of the request and holds none of a list of harmful stems.
    """
    lowered = " ".join(request.lower().split())
    if len(lowered) > _LONGEST:
        return None  # a scenario names many things that the question is not about
    for pattern in (_PHRASE, _HEADS):
        for match in pattern.finditer(lowered):
            words = match[2].split()
            unsafe = any(_UNSAFE.match(word) for word in words) or _UNSAFE.search(words[-1])
            if not unsafe and not _STOP.intersection(words) and not words[-1].endswith(("ly", "ing", "ed")):
                return _ARTICLE.get((match[1] or "").strip(), "the ") + " ".join(words)
    return None
