"""Everything the SDK raises on purpose: one small tree.

    Exception
    └── ClientError
        ├── VenueError       the venue said no, with a code: `code`, `http`, `message`, `details`, `retry_after_s`
        ├── OrderRejected    the venue declined an order: `order`, `reason`, and the repair as numbers in `details`
        ├── Disconnected     the venue cannot be reached, and what was asked for did not happen
        ├── Uncertain        the venue cannot be reached, and what was asked for may have happened: `resolve()`
        ├── BadAnswer        an answer that the contract does not allow, such as a float where money belongs
        ├── NoOpenMarket     `open_market` found none in the time it had
        └── Stale            a local mirror is behind the venue and was asked for a current value

Wrong arguments raise ValueError or TypeError before anything is sent. This module must not know how requests are made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raeth.client.models import Order, Repair


class ClientError(Exception):
    """The root of everything the SDK raises on purpose."""


class VenueError(ClientError):
    """The venue refused a request. Every code, its cause and its repair: `meta_errors()`.

    `http` is 0 when the error came over a socket. `details` is what the venue sent under that name: an object, for
    validation failures a list of `{"field", "message", "type"}`. `retry_after_s` is real seconds, where it applies.
    """

    def __init__(
        self,
        code: str,
        http: int,
        message: str,
        request_id: str | None = None,
        details: Any = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(code, http, message, request_id, details, retry_after_s)
        self.code = code
        self.http = http
        self.message = message
        self.request_id = request_id
        self.details = details
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        fields = ""
        if isinstance(self.details, list):
            told = (f"{d.get('field')}: {d.get('message')}" for d in self.details if isinstance(d, dict))
            fields = f" [{'; '.join(told)}]"
        return f"{self.code} (HTTP {self.http}): {self.message}{fields}"


class OrderRejected(ClientError):
    """The venue declined an order or an amend. Nothing of it was done; `details` says in numbers what would do.

    `order` is the body of the answer, status REJECTED. A declined amend has the untouched order under `order.order`.
    """

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self.order = order

    @property
    def reason(self) -> str:
        """The decline code, for example `FAT_FINGER`."""
        return self.order.reject_reason or ""

    @property
    def code(self) -> str:
        """The same as `reason`."""
        return self.reason

    @property
    def message(self) -> str:
        return self.order.reject_message or ""

    @property
    def details(self) -> Repair:
        """The repair as numbers; what does not apply is None."""
        return self.order.repair

    def __str__(self) -> str:
        numbers = ", ".join(f"{name}={value}" for name, value in self.details.given().items())
        return f"{self.reason}: {self.message} ({numbers})"


class Disconnected(ClientError):
    """The venue could not be reached within the client's patience. What was asked for did not happen, with one
    exception, which the message names: an order under a `client_order_id` of the caller's may still arrive, so send it
    again under the same one."""


class Uncertain(ClientError):
    """The venue stopped answering after a request may have reached it, and nobody could be asked what became of it.

    `client_order_id` names the order, or the first one of a batch; None for what is not an order. `await resolve()`
    asks again and returns what the interrupted call would have returned, raises what it would have raised, or raises
    Uncertain anew while the venue stays away. (The blocking client's `resolve()` blocks.)
    """

    def __init__(
        self,
        message: str,
        client_order_id: str | None = None,
        resolve: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.client_order_id = client_order_id
        self._resolve = resolve

    def resolve(self) -> Any:
        """Find out what happened. Raises LookupError when there is nothing that could be asked."""
        if self._resolve is None:
            raise LookupError("what this call did cannot be asked for; read the account's state instead")
        return self._resolve()

    def resolved_by(self, runner: Callable[[Awaitable[Any]], Any]) -> Uncertain:
        """The same, with a `resolve()` that runs in another way."""
        inner = self._resolve
        if inner is None:
            return self
        return Uncertain(str(self), self.client_order_id, lambda: runner(inner()))


class BadAnswer(ClientError):
    """An answer that the contract does not allow: not JSON, or a value of the wrong type."""


class NoOpenMarket(ClientError):
    """No market was open for trading, or none in time."""


class Stale(ClientError):
    """A local mirror is behind the venue and was asked for a value that must be current."""
