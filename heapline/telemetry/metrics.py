"""The catalogue of metrics: every name, label and meaning, declared once.

Labels are few on purpose: workspaces are many, so only what an operator acts on carries one.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry(auto_describe=True)

RECORDS_READ: Final = Counter(
    "heapline_records_read", "Records read, by source.", ["source"], registry=REGISTRY
)
RECORDS_SETTLED: Final = Counter(
    "heapline_records_settled",
    "Records settled and checkpointed, by source, outcome and reason.",
    ["source", "outcome", "reason"],
    registry=REGISTRY,
)
RECORDS_HELD: Final = Gauge(
    "heapline_records_held", "Records in memory, not yet settled.", registry=REGISTRY
)
RECORDS_HELD_BYTES: Final = Gauge(
    "heapline_records_held_bytes", "Memory reckoned for records held.", registry=REGISTRY
)
PARTITIONS_PAUSED: Final = Gauge(
    "heapline_partitions_paused", "Partitions not read, for want of memory.", registry=REGISTRY
)
LOST_TO_RETENTION: Final = Counter(
    "heapline_lost_to_retention",
    "Offsets that the log no longer held when they were to be read.",
    ["topic"],
    registry=REGISTRY,
)
MISPLACED: Final = Counter(
    "heapline_records_misplaced",
    "Records of a workspace outside the partition its key belongs to.",
    registry=REGISTRY,
)
HEAP_REQUESTS: Final = Counter(
    "heapline_heap_requests", "Requests to Heap, by verdict.", ["verdict"], registry=REGISTRY
)
HEAP_REQUEST_EVENTS: Final = Histogram(
    "heapline_heap_request_events",
    "Events in one request.",
    buckets=(1, 10, 50, 100, 250, 500, 750, 1000),
    registry=REGISTRY,
)
HEAP_REQUEST_SECONDS: Final = Histogram(
    "heapline_heap_request_seconds",
    "Time from sending a request to its answer.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
HEAP_RATE_LIMITED: Final = Counter(
    "heapline_heap_rate_limited",
    "429 answers; those within a minute of a takeover are expected now and then.",
    ["after_takeover"],
    registry=REGISTRY,
)
LANES: Final = Gauge("heapline_lanes", "Lanes, by state.", ["state"], registry=REGISTRY)
LANE_PAUSED: Final = Gauge(
    "heapline_lane_paused",
    "1 for each workspace whose lane is paused, with the reason.",
    ["workspace", "reason"],
    registry=REGISTRY,
)
WORKSPACE_WAITING: Final = Gauge(
    "heapline_workspace_waiting_events",
    "Events read and waiting for their turn or deferred; the 200 workspaces with most.",
    ["workspace"],
    registry=REGISTRY,
)
WORKSPACE_DRAIN: Final = Gauge(
    "heapline_workspace_drain_seconds",
    "How long those events take under Heap's limits; absent while the workspace is paused.",
    ["workspace"],
    registry=REGISTRY,
)
WORKSPACE_BUDGET: Final = Gauge(
    "heapline_workspace_budget_used_share",
    "Of Heap's limit for the workspace's app, what the last minute has used.",
    ["workspace"],
    registry=REGISTRY,
)
EVENTS_RETRIED: Final = Counter(
    "heapline_events_retried", "Events of requests that must be sent again.", registry=REGISTRY
)
CHECKPOINT_BLOCKED: Final = Gauge(
    "heapline_checkpoint_blocked_seconds",
    "How long the first unsettled record of a partition has been held; absent where none is. "
    "`heapline status` tells which record, and why.",
    ["topic", "partition"],
    registry=REGISTRY,
)
EXPIRING: Final = Counter(
    "heapline_records_expiring",
    "Deferred records read that are past the warning age.",
    registry=REGISTRY,
)
CHECKPOINTS: Final = Counter(
    "heapline_checkpoints", "Checkpoints, by result.", ["result"], registry=REGISTRY
)
CHECKPOINT_SECONDS: Final = Histogram(
    "heapline_checkpoint_seconds",
    "Time of one checkpoint.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)
EVENTS_PUBLISHED: Final = Counter(
    "heapline_events_published",
    "Events offered for publishing, by result.",
    ["result"],
    registry=REGISTRY,
)
SEGMENT_PAGES_RECEIVED: Final = Counter(
    "heapline_segment_pages_received",
    "Calls of Heap's webhook, by result: accepted, unavailable, not_ready, or why refused.",
    ["result"],
    registry=REGISTRY,
)
SEGMENT_PAGES_APPLIED: Final = Counter(
    "heapline_segment_pages_applied",
    "Pages of segment syncs taken into account, by what became of them.",
    ["result"],
    registry=REGISTRY,
)
SEGMENT_CHANGES: Final = Counter(
    "heapline_segment_changes",
    "Membership records written, by kind: enter or leave.",
    ["kind"],
    registry=REGISTRY,
)
LOOKUPS: Final = Counter(
    "heapline_lookups",
    "Lookups over HTTP, by question and result: answered, unchanged, or why refused.",
    ["question", "result"],
    registry=REGISTRY,
)
MATERIALIZED_CHANGES: Final = Counter(
    "heapline_materialized_changes",
    "Enters and leaves made visible to lookups; records that change nothing are not counted.",
    registry=REGISTRY,
)
MATERIALIZED_RECORDS: Final = Counter(
    "heapline_materialized_records",
    "Records applied to the store and the index, by what they are.",
    ["what"],
    registry=REGISTRY,
)
MATERIALIZE_SECONDS: Final = Histogram(
    "heapline_materialize_seconds",
    "Time of one payload, by step: stage, store, publish.",
    ["step"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)
MATERIALIZER_BEHIND: Final = Gauge(
    "heapline_materializer_behind_offsets",
    "Offsets between what is visible and the ends seen at the last look.",
    registry=REGISTRY,
)
MATERIALIZER_READY: Final = Gauge(
    "heapline_materializer_ready",
    "1 once everything that stood in Kafka at the start is visible.",
    registry=REGISTRY,
)
MATERIALIZER_UNREADABLE: Final = Counter(
    "heapline_materializer_unreadable",
    "Records that could not be read and were passed over, by what they are.",
    ["what"],
    registry=REGISTRY,
)
STATE_FREE_BYTES: Final = Gauge(
    "heapline_state_free_bytes", "Free space on the disk of the state folder.", registry=REGISTRY
)
REPLICAS: Final = Counter(
    "heapline_replicas", "Copies made for analysts, by result.", ["result"], registry=REGISTRY
)
