"""Every metric's name and help, in one place (conventions: prometheus.io/docs/practices/naming); knows nobody.

No user id, key id or file name is ever a label.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Seconds. A photo takes 0.05 s (one tile) to about 10 s (the deadline of accepted work); health checks take milliseconds.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)

HTTP_SECONDS = Histogram(
    "leafloop_http_request_duration_seconds",
    "Time from request to answer",
    ["route", "method", "code"],
    buckets=_SECONDS,
)
REFUSED = Counter(
    "leafloop_connections_refused_total", "Connections refused before any route, by the code said", ["code"]
)
IN_PROGRESS = Gauge("leafloop_requests_in_progress", "Requests under way")
PREDICTIONS = Counter("leafloop_predictions_total", "Photos answered", ["model_version", "role", "verdict"])
FEEDBACK = Counter("leafloop_feedback_total", "What people said of answers, by kind of word", ["kind"])
REJECTED = Counter("leafloop_photos_rejected_total", "Photos refused, by the error's code", ["code"])
STAGE_SECONDS = Histogram(
    "leafloop_predict_stage_seconds",
    "Time of one stage of an answer (decode, tile, infer, merge, store)",
    ["stage"],
    buckets=_SECONDS,
)
QUEUE_SECONDS = Histogram("leafloop_queue_seconds", "Time that a photo waited for its turn", buckets=_SECONDS)
BATCH_TILES = Histogram("leafloop_batch_size", "Tiles in a batch of the model", buckets=(1, 2, 3, 4, 8, 16))
DECODERS_LOST = Counter("leafloop_decoders_lost_total", "Decoder processes that crashed, hung or were killed")
MODEL_INFO = Gauge("leafloop_model_info", "The model that answers now (1), by version and bundle", ["version", "sha"])
DEPENDENCY_UP = Gauge("leafloop_dependency_up", "Whether a part that answers need is well (1) or not (0)", ["part"])
PROBLEMS = Counter("leafloop_problems_total", "Requests answered with a problem, by its code", ["code"])
ROTTEN = Counter("leafloop_objects_rotten_total", "Objects found that no longer match their hash, and set aside")
SWEPT = Counter("leafloop_swept_total", "Leftovers that housekeeping removed, by kind", ["kind"])
REVIEW_ITEMS = Gauge("leafloop_review_queue_items", "Photos that wait for a reviewer, by state", ["state"])
REVIEWS = Counter("leafloop_reviews_total", "What reviewers decided", ["decision"])
DATABASE_CONNECTIONS = Gauge("leafloop_database_connections_in_use", "Database connections held now")
