"""Counters for Prometheus. Labels are from closed sets: never text, keys or anything a client chose."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one gateway process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r, p = self.registry, "mllm_protector_"
        self.requests = Counter(
            p + "requests", "Requests by route and status.", ["route", "status"], registry=r
        )
        self.seconds = Histogram(
            p + "request_seconds", "Time to the end of the answer.", ["route"], buckets=_SECONDS, registry=r
        )
        self.actions = Counter(
            p + "actions", "Judged answers by what was done.", ["policy", "action"], registry=r
        )
        self.bypasses = Counter(p + "bypasses", "Answers let out unjudged (fail open).", registry=r)
        self.failures = Counter(p + "failures", "What failed, by part.", ["part"], registry=r)
        self.not_run = Counter(p + "not_run", "Parts that could not be read.", registry=r)
        self.planted = Counter(
            p + "third_party_instructions", "Requests whose media speak to the model.", registry=r
        )
        self.disconnects = Counter(p + "disconnects", "Clients that went away early.", registry=r)
        self.running = Gauge(p + "running", "Requests being served.", registry=r)
        self.waiting = Gauge(p + "waiting", "Judgements in the queue.", registry=r)
        self.batch = Histogram(
            p + "batch_size", "Judgements per batch.", buckets=(1, 2, 4, 8, 16, 32, 64), registry=r
        )
        self.judging = Histogram(p + "judging_seconds", "Time per batch.", buckets=_SECONDS, registry=r)
        self.judged_chars = Counter(p + "judged_characters", "Characters judged in streams.", registry=r)
        self.held_chars = Counter(p + "held_characters", "Streamed characters never let out.", registry=r)
        self.reloads = Counter(p + "policy_reloads", "Policies re-read, by result.", ["result"], registry=r)
        self.broken = Gauge(p + "policies_broken", "Policies whose file is broken now.", registry=r)
        self.lag = Gauge(p + "event_loop_lag_seconds", "How late the event loop last woke up.", registry=r)

    def observe_batch(self, size: int, seconds: float) -> None:
        """Count one batch."""
        self.batch.observe(size)
        self.judging.observe(seconds)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
