"""Every way in which Leafloop says no, on one screen.

    LeafloopError
    ├── PhotoError                  the photo itself (nothing is stored)
    │   ├── EmptyUpload             empty
    │   ├── NotAnImage              not_an_image
    │   ├── UnsupportedType         unsupported_type
    │   ├── Undecodable             undecodable
    │   ├── TooManyPixels           too_many_pixels
    │   ├── TooManyBytes            too_many_bytes
    │   ├── TooSmall                too_small
    │   └── BadShape                bad_shape
    ├── BundleRejected              bundle_rejected
    ├── DatasetRejected             dataset_rejected
    ├── SnapshotRejected            snapshot_rejected
    ├── TrainingFailed              training_failed
    ├── TaxonomyInvalid             taxonomy_invalid
    ├── ConfigurationInvalid        configuration_invalid
    ├── AccessError
    │   ├── KeyMissing              key_missing
    │   ├── KeyInvalid              key_invalid
    │   ├── RoleTooLow              role_too_low
    │   ├── CrossSiteRequest        cross_site_request
    │   └── OtherLogin              other_login
    ├── RequestError                what was asked
    │   ├── RequestInvalid          request_invalid
    │   ├── IdempotencyConflict     idempotency_conflict
    │   ├── NotFound                not_found
    │   ├── NotEditable             not_editable
    │   ├── PromotionConflict       promotion_conflict
    │   ├── ReviewConflict          review_conflict
    │   ├── LabelConflict           label_conflict
    │   ├── UploadConflict          upload_conflict
    │   ├── TusVersionUnknown       tus_version_unknown
    │   ├── StillInUse              still_in_use
    │   ├── RequestTimeout          request_timeout
    │   └── RateLimited             rate_limited
    └── Unavailable                 something that we need is away; try again
        ├── Overloaded              overloaded
        ├── ConnectionsTaken        connections_taken
        ├── Stopping                stopping
        ├── DatabaseUnavailable     database_unavailable
        ├── DatabaseBusy            database_busy
        ├── SchemaUnknown           schema_unknown
        ├── StorageError            storage_error
        ├── StorageFull             storage_full
        ├── ReadOnly                read_only
        ├── BlobMissing             blob_missing
        ├── BlobCorrupt             blob_corrupt
        └── ModelUnavailable        model_unavailable

The last column is the stable `code` that clients may rely on. A class's docstring is its message: what, why, and what to
do. HTTP statuses are not known here; the table stands in `api/problems.py`.
"""

from __future__ import annotations

from typing import ClassVar


class LeafloopError(Exception):
    """Leafloop could not do this."""

    code: ClassVar[str] = "error"
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, detail: str | None = None, **fields: object) -> None:
        self.detail = detail or " ".join((self.__doc__ or "").split())
        self.fields = fields
        super().__init__(self.detail)


class PhotoError(LeafloopError):
    """This photo cannot be judged."""

    code = "photo_rejected"


class EmptyUpload(PhotoError):
    """The upload holds no bytes. The transfer may have broken off: send the photo again."""

    code = "empty"


class NotAnImage(PhotoError):
    """The file is not a picture. Send a photo as JPEG, PNG, WebP or HEIC."""

    code = "not_an_image"


class UnsupportedType(PhotoError):
    """This picture format is not taken. Send a photo as JPEG, PNG, WebP or HEIC."""

    code = "unsupported_type"


class Undecodable(PhotoError):
    """The picture is damaged and cannot be read to its end. Send the photo again, or take a new one."""

    code = "undecodable"


class TooManyPixels(PhotoError):
    """The picture has more pixels than are taken here. Send it smaller."""

    code = "too_many_pixels"


class TooManyBytes(PhotoError):
    """The file is larger than is taken here. Send it smaller, or at a lower JPEG quality."""

    code = "too_many_bytes"


class TooSmall(PhotoError):
    """The picture is too small to judge a leaf on. Send the photo in its original size."""

    code = "too_small"


class BadShape(PhotoError):
    """The picture is a narrow strip: no leaf fits into it. Send the whole photo."""

    code = "bad_shape"


class BundleRejected(LeafloopError):
    """This model bundle is not safe or not complete, so it is not loaded. Get it again, or make a new one."""

    code = "bundle_rejected"


class DatasetRejected(LeafloopError):
    """This dataset cannot be brought in as it is, and nothing of it was kept. Mend what is listed, or name an option for it."""

    code = "dataset_rejected"


class SnapshotRejected(LeafloopError):
    """No snapshot was made: its photos do not meet what a training needs. The reasons are listed."""

    code = "snapshot_rejected"


class TrainingFailed(LeafloopError):
    """The trainer did not come to its end. Its log says why; the same command goes on from the last whole epoch."""

    code = "training_failed"


class TaxonomyInvalid(LeafloopError):
    """The taxonomy file cannot be used. Mend what is said of it, or unset LEAFLOOP_TAXONOMY for the one that the package brings."""

    code = "taxonomy_invalid"


class ConfigurationInvalid(LeafloopError):
    """A setting cannot be used. Change the variable that is named; docs/ENVIRONMENT.md says what each one takes."""

    code = "configuration_invalid"


class AccessError(LeafloopError):
    """This is not allowed."""

    code = "access_denied"


class KeyMissing(AccessError):
    """A key is needed. Send it as 'Authorization: Bearer KEY'; an operator makes one with 'leafloop keys create'."""

    code = "key_missing"


class KeyInvalid(AccessError):
    """This key is not known, or it was revoked. Ask an operator for a new one."""

    code = "key_invalid"


class RoleTooLow(AccessError):
    """The key's role does not allow this. Ask an operator for a key with a higher role."""

    code = "role_too_low"


class CrossSiteRequest(AccessError):
    """The request came from another web site. Open Leafloop's own page and send it from there."""

    code = "cross_site_request"


class OtherLogin(AccessError):
    """Somebody else has logged in here since this page was opened. Log in again with the key that it was opened with."""

    code = "other_login"


class RequestError(LeafloopError):
    """The request cannot be carried out as it was sent."""

    code = "request_rejected"


class RequestInvalid(RequestError):
    """A part of the request is missing or has a wrong form. '/docs' says what each call takes."""

    code = "request_invalid"


class IdempotencyConflict(RequestError):
    """This Idempotency-Key was used for another request. Use a new key for each new request."""

    code = "idempotency_conflict"


class NotFound(RequestError):
    """There is nothing by this name here."""

    code = "not_found"


class NotEditable(RequestError):
    """This cannot be changed: it is what a model wrote or a run used. Submit feedback to correct it."""

    code = "not_editable"


class PromotionConflict(RequestError):
    """Another operator moved the pointer first. Look at what answers now, then decide again."""

    code = "promotion_conflict"


class ReviewConflict(RequestError):
    """Somebody else has this photo in hand, or has decided on it meanwhile. Take the next one."""

    code = "review_conflict"


class LabelConflict(RequestError):
    """Somebody has changed this label since the revision that you name. Read it again, and correct what it says now."""

    code = "label_conflict"


class UploadConflict(RequestError):
    """This piece does not follow the last one that is safe. Ask for the offset, and go on from there."""

    code = "upload_conflict"


class TusVersionUnknown(RequestError):
    """This version of the tus protocol is not spoken here. Send the header 'Tus-Resumable: 1.0.0'."""

    code = "tus_version_unknown"


class StillInUse(RequestError):
    """A snapshot holds this photo, so it stays. An operator may erase it for good with 'leafloop data erase'."""

    code = "still_in_use"


class RequestTimeout(RequestError):
    """The request came too slowly, so it was given up. Send it again where the network is better, or the photo smaller."""

    code = "request_timeout"


class RateLimited(RequestError):
    """Too many requests with this key. Wait a little and send again."""

    code = "rate_limited"
    retry_after_s = 10


class Unavailable(LeafloopError):
    """Something that Leafloop needs is away. Nothing was lost: send the request again in a moment."""

    code = "unavailable"
    retry_after_s: ClassVar[int | None] = 5


class Overloaded(Unavailable):
    """All places are taken by photos under way. Send this one again in a moment."""

    code = "overloaded"
    retry_after_s = 2


class ConnectionsTaken(Unavailable):
    """All connections of this service are taken. Send the request again in a moment."""

    code = "connections_taken"
    retry_after_s = 2


class Stopping(Unavailable):
    """The service is stopping and takes no new photo. Send it again in a moment: another one, or the same, will answer."""

    code = "stopping"


class DatabaseUnavailable(Unavailable):
    """The database does not answer. Nothing was acknowledged: send the request again in a moment."""

    code = "database_unavailable"


class DatabaseBusy(Unavailable):
    """The database is locked by another process. Send the request again in a moment."""

    code = "database_busy"


class SchemaUnknown(Unavailable):
    """The database has a schema that this version does not know. Run 'leafloop db upgrade', or install the version that made it."""

    code = "schema_unknown"


class StorageError(Unavailable):
    """A disk or the object store could not write or read. Nothing was acknowledged: send the request again in a moment."""

    code = "storage_error"


class StorageFull(Unavailable):
    """A disk of this service is full, or a file has come to its limit: nothing new is taken. An operator has to make room."""

    code = "storage_full"
    retry_after_s = 60


class ReadOnly(Unavailable):
    """The data cannot be written. An operator has to look at its disk or server, and at its permissions."""

    code = "read_only"
    retry_after_s = 60


class BlobMissing(Unavailable):
    """An object that the ledger names is not in the store. 'leafloop doctor --audit' lists what is missing."""

    code = "blob_missing"
    retry_after_s = None


class BlobCorrupt(Unavailable):
    """An object's bytes no longer match their hash. Restore it from a backup; 'leafloop doctor --audit' lists all such objects."""

    code = "blob_corrupt"
    retry_after_s = None


class ModelUnavailable(Unavailable):
    """No model is loaded that could answer. '/ready' says why."""

    code = "model_unavailable"
