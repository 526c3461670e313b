"""Names of back-ends -> where their code is. Nothing is imported before it is asked for.

The built-in ones load by the same path as third-party ones. A package adds its own by an entry point:

    [project.entry-points."mllm_protector.detectors"]
    my-detector = "my_package.detector:MyDetector"
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from mllm_protector.errors import ConfigError, MissingExtraError, ProtectorError
from mllm_protector.suggest import nearest

__all__ = ["BUILT_IN", "available", "fingerprint", "make", "resolve"]

BUILT_IN: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "detectors": {
            "beaver-dam": "mllm_protector.backends.detectors.released:beaver_dam",
            "cascade": "mllm_protector.backends.detectors.cascade:CascadeDetector",
            "checkpoint": "mllm_protector.backends.detectors.checkpoint:CheckpointDetector",
            "embedded": "mllm_protector.backends.detectors.embedded:EmbeddedDetector",
            "ensemble": "mllm_protector.backends.detectors.ensemble:EnsembleDetector",
            "granite-guardian": "mllm_protector.backends.detectors.guards.granite_guardian:granite_guardian",
            "joint": "mllm_protector.backends.detectors.joint:JointDetector",
            "llama-guard": "mllm_protector.backends.detectors.guards.llama_guard:llama_guard",
            "md-judge": "mllm_protector.backends.detectors.guards.md_judge:md_judge",
            "paper": "mllm_protector.backends.detectors.released:paper_detector",
            "qwen3guard": "mllm_protector.backends.detectors.guards.qwen3guard:qwen3guard",
            "sequence-classifier": "mllm_protector.backends.detectors.sequence_classifier:SequenceClassifier",
            "shieldgemma": "mllm_protector.backends.detectors.guards.shieldgemma:shieldgemma",
            "wildguard": "mllm_protector.backends.detectors.guards.wildguard:wildguard",
        },
        "detoxifiers": {
            "chain": "mllm_protector.backends.detoxifiers.chain:ChainDetoxifier",
            "embedded": "mllm_protector.backends.detoxifiers.embedded:EmbeddedDetoxifier",
            "joint": "mllm_protector.backends.detoxifiers.joint:JointDetoxifier",
            "openai": "mllm_protector.backends.detoxifiers.prompted:openai_detoxifier",
            "self": "mllm_protector.backends.detoxifiers.self_ask:SelfDetoxifier",
            "transformers": "mllm_protector.backends.detoxifiers.prompted:transformers_detoxifier",
        },
        "judges": {
            "detector": "mllm_protector.backends.judges.detector:DetectorJudge",
            "exact-match": "mllm_protector.backends.judges.exact_match:ExactMatchJudge",
            "keyword": "mllm_protector.backends.judges.keyword:KeywordJudge",
            "llm": "mllm_protector.backends.judges.llm:LlmJudge",
            "refusal": "mllm_protector.backends.judges.refusal:RefusalJudge",
        },
        "chat_models": {
            "openai": "mllm_protector.backends.chat_models.openai:OpenAIChatModel",
            "transformers": "mllm_protector.backends.chat_models.transformers:TransformersChatModel",
        },
        "image_readers": {
            "rapidocr": "mllm_protector.backends.image_readers.rapidocr:RapidOcrReader",
        },
        "transcribers": {
            "faster-whisper": "mllm_protector.backends.transcribers.faster_whisper:FasterWhisperTranscriber",
        },
        "relevance_meters": {
            "embedded": "mllm_protector.backends.detoxifiers.relevance:EmbeddedRelevance",
        },
    }
)
"""kind -> name -> "module:Class"."""

# Module that is missing -> extra that brings it.
_EXTRAS = {
    "httpx": "endpoints",
    "torch": "transformers",
    "peft": "transformers",
    "safetensors": "transformers",
    "PIL": "images",
    "transformers": "transformers",
    "rapidocr": "ocr",
    "av": "audio",
    "faster_whisper": "audio",
    "ray": "ray",
    "starlette": "gateway",
}

_MOVES_NO_SCORE = frozenset(
    ("api_key_env", "batch_size", "concurrency", "device", "endpoint", "retries", "threads", "timeout")
)


def available(kind: str) -> list[str]:
    """Return the names of a kind (``detectors``, ``detoxifiers``, ``image_readers``), sorted."""
    return sorted({**_targets(kind)})


def resolve(kind: str, name: str) -> Any:
    """Import and return the class or factory called ``name``.

    A name of the form ``module:Class`` is taken as it is.

    Raises:
        ConfigError: the name is unknown, or its module does not hold what it promises.
        MissingExtraError: the module needs a package that is not installed.
    """
    target = name if ":" in name else _find(kind, name)
    module_name, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise _missing(kind, name, error) from error
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{_singular(kind)} {name!r}: cannot load {target}: {error}") from error
    return found


def make(kind: str, name: str, options: Mapping[str, Any], offered: Mapping[str, Any] | None = None) -> Any:
    """Construct a back-end: its own options, and of what we offer what its signature asks for.

    Raises:
        ConfigError, MissingExtraError: it is unknown, or cannot be built from these options.
    """
    factory = resolve(kind, name)
    parameters = inspect.signature(factory).parameters
    given = {key: value for key, value in (offered or {}).items() if key in parameters and value is not None}
    try:
        return factory(**(given | dict(options)))
    except ProtectorError:
        raise
    except TypeError as error:
        takes = ", ".join(parameters) or "none"
        raise ConfigError(f"{name}: {error}; options it takes: {takes}") from error
    except Exception as error:
        raise ConfigError(f"{name} cannot be built: {type(error).__name__}: {error}") from error


def fingerprint(name: str, options: Mapping[str, Any], made: object) -> str:
    """Return what identifies a detector's scores: what it says itself, else its name and options.

    Options that say where and how fast it runs count for nothing.
    """
    own: str | None = getattr(made, "fingerprint", None)
    if own is not None:
        return own
    told = sorted((key, value) for key, value in options.items() if key not in _MOVES_NO_SCORE)
    return f"{name}-{hashlib.sha256(repr(told).encode()).hexdigest()[:12]}"


def _find(kind: str, name: str) -> str:
    """Return "module:Class" of a name; installed packages are only searched for names not built in."""
    if name in BUILT_IN.get(kind, {}):
        return BUILT_IN[kind][name]
    targets = _targets(kind)
    if name not in targets:
        raise ConfigError(f"unknown {_singular(kind)} {name!r}{nearest(name, targets)}")
    return targets[name]


def _targets(kind: str) -> dict[str, str]:
    if kind not in BUILT_IN:
        raise ConfigError(f"unknown kind of back-end {kind!r}{nearest(kind, BUILT_IN)}")
    targets = {point.name: point.value for point in entry_points(group=f"mllm_protector.{kind}")}
    # A package cannot take a built-in's name: a guard must not change by what happens to be installed.
    return targets | dict(BUILT_IN[kind])


def _missing(kind: str, name: str, error: ModuleNotFoundError) -> Exception:
    package = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    cure = (
        f"pip install 'mllm-protector[{extra}]'"
        if extra
        else f"install the package that provides {error.name!r}"
    )
    return MissingExtraError(
        f"{_singular(kind)} {name!r} needs {package or 'a module'}, which is missing; {cure}"
    )


def _singular(kind: str) -> str:
    return kind.removesuffix("s").replace("_", " ")
