"""Who looks at a page: a login's cookie or the open service, never an `Authorization` header. Each route states what it needs."""

from __future__ import annotations

from starlette.requests import Request

from leafloop import access
from leafloop.access import Caller
from leafloop.crossing import address, in_thread
from leafloop.errors import AccessError, NotFound, OtherLogin
from leafloop.storage.tables import Prediction
from leafloop.web.contexts import Visitor

# Whose page a script sends from: what one person said or took never goes up as somebody else's who logged in on the same phone.
OWNER = "Leafloop-Owner"


class Access:
    """A dependency of a page. `access` says who may see it: a role, `public`, or one of `access.OPEN_TOO`."""

    def __init__(self, needs: str, *, counts_as: str = "request") -> None:
        self.access = needs
        self.counts_as = counts_as

    async def __call__(self, request: Request) -> Caller:
        """The caller. Raises every `AccessError`, `RateLimited` and `DatabaseUnavailable`."""
        caller = await who(request)
        request.state.key_id = caller.key_id
        request.app.state.rates.count(self.counts_as, caller.key_id or address(request))
        access.refuse_cross_site(caller, request.method, request.headers)
        access.require(caller, self.access)
        if request.headers.get(OWNER, owner(caller)) != owner(caller):
            raise OtherLogin
        return caller


class _Public(Access):
    """Anybody. A form that logs in is refused from another site all the same: it would choose whose account a phone uses."""

    def __init__(self) -> None:
        super().__init__("public")

    async def __call__(self, request: Request) -> Caller:
        anybody = Caller(None, "field", open=True)
        if request.method != "GET":
            request.app.state.rates.count("request", address(request))
            access.refuse_cross_site(anybody, request.method, request.headers)
        return anybody


PUBLIC = _Public()
FIELD = Access("field")
PHOTO = Access("field", counts_as="photo")
REVIEW = Access("review")
FEEDBACK = Access("field", counts_as="feedback")


async def who(request: Request) -> Caller:
    """The caller behind a request's cookie, or of the open service. Raises `KeyMissing`, `KeyInvalid`, `DatabaseUnavailable`."""
    parts = request.app.state.parts
    cookie = request.cookies.get(access.cookie_name(parts.settings))
    try:
        return await in_thread(request, access.authenticate, parts, cookie=cookie)
    except AccessError:
        request.app.state.rates.count("request", address(request))  # guessing cookies is counted too
        raise


def owner(caller: Caller) -> str:
    """Whose the photos are that wait on a phone: the key's public id, or `open` where no key is needed."""
    return caller.key_id or "open"


def own(prediction: Prediction | None, caller: Caller) -> Prediction:
    """The answer, if it is this caller's or the caller may review; a stranger's is as absent as one that never was."""
    if prediction is None or (prediction.key_id != caller.key_id and not caller.allows("reviewer")):
        raise NotFound("There is no such answer here, or it belongs to somebody else.")
    return prediction


def seen_as(caller: Caller | None) -> Visitor:
    """What the page's frame shows of a caller."""
    if caller is None:
        return Visitor()
    return Visitor(
        open_mode=caller.open,
        signed_in=caller.session is not None,
        may_review=caller.may_review,
        owner=owner(caller),
    )
