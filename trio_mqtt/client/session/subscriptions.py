"""Which subscription gets which message: the client's filters and their users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trio_mqtt.client.arguments import check_filters, check_subscription
from trio_mqtt.client.messages import Messages
from trio_mqtt.protocol.packets import Publish, Subscription
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.topics import parse_shared, topic_matches_filter

Targets = tuple[Messages, ...]

# Bytes of a request that are neither topic filters nor user properties, at most.
_BESIDES = 16
# Topics whose subscriptions are remembered; past so many the memory starts anew.
MAX_REMEMBERED = 10_000


@dataclass(slots=True)
class Options:
    """The subscription options of MQTT 5.0 §3.8.3.1 that one user of a filter asks for."""

    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    # The subscription identifier that the program wants to see in the messages.
    identifier: int | None = None
    # What else SUBSCRIBE is to carry: user properties.
    properties: Properties = field(default_factory=lambda: NO_PROPERTIES)


def checked_options(
    filters: tuple[str | Subscription, ...],
    qos: int,
    no_local: bool,
    retain_as_published: bool,
    retain_handling: int,
    identifier: int | None,
    properties: Properties,
) -> dict[str, Options]:
    """The options of each filter; those given are for filters that do not bring their own.

    Raises TypeError or LocalProtocolError for what no subscription can have.
    """
    check_filters(
        tuple(one.topic_filter if isinstance(one, Subscription) else one for one in filters)
    )
    options: dict[str, Options] = {}
    for one in filters:
        if not isinstance(one, Subscription):
            one = Subscription(one, qos, no_local, retain_as_published, retain_handling)
        check_subscription(one.qos, one.retain_handling)
        options[one.topic_filter] = Options(
            one.qos,
            one.no_local,
            one.retain_as_published,
            one.retain_handling,
            identifier,
            properties,
        )
    return options


@dataclass(slots=True, eq=False)
class Filter:
    """A topic filter at the broker, and who uses it here. The broker holds one subscription."""

    topic_filter: str
    plain: str  # without $share/NAME/
    users: dict[Messages, Options] = field(default_factory=dict)
    identifier: int | None = None
    # The identifier is one that a program gave: it says nothing of who gets a message.
    given: bool = False
    granted: bool = False
    # Users whose SUBACK is still to come and whose messages will bear an identifier: what comes
    # without one was sent for the users before them.
    unconfirmed: set[Messages] = field(default_factory=set)

    def subscription(self, retain_handling: int) -> Subscription:
        """What to ask the broker for, so that each user gets no less than it asked for."""
        options = self.users.values()
        return Subscription(
            self.topic_filter,
            max(one.qos for one in options),
            all(one.no_local for one in options),
            any(one.retain_as_published for one in options),
            retain_handling,
        )

    @property
    def properties(self) -> Properties:
        """What its users want SUBSCRIBE to carry: what the last one does that wants something."""
        wanted = [one.properties for one in self.users.values() if one.properties]
        return wanted[-1] if wanted else NO_PROPERTIES


@dataclass(slots=True)
class Request:
    """The content of one SUBSCRIBE."""

    filters: list[Filter]
    subscriptions: list[Subscription]
    properties: Properties = field(default_factory=lambda: NO_PROPERTIES)


class Subscriptions:
    """All filters of a client.

    Messages are assigned by matching their topic. Only where filters overlap does that not tell
    which subscription a copy was sent for; there, the filters concerned get subscription
    identifiers (MQTT 5.0 §3.8.2.1.2) if the broker has them. Where they do not overlap there are
    none, which spares the broker and the client the work on every message.
    """

    def __init__(self) -> None:
        self.filters: dict[str, Filter] = {}
        # Who asked for an identifier: the messages retained before go to it alone.
        self._owners: dict[int, tuple[Filter, Messages | None]] = {}
        self._last_identifier = 0
        self._by_topic: dict[str, Targets] = {}
        self._by_identifiers: dict[tuple[str, tuple[int, ...], bool], Targets] = {}

    # Subscribing.

    def add(
        self, messages: Messages, topic_filter: str, options: Options, identifiers: bool
    ) -> list[Request]:
        """Let `messages` use a filter; what to send for it, in this order."""
        shared = parse_shared(topic_filter)
        plain = shared[1] if shared else topic_filter
        requests = []
        entry = self.filters.get(topic_filter)
        others = [
            other
            for other in self.filters.values()
            if other is not entry
            and overlap(other.plain, plain)
            and any(user is not messages for user in other.users)
        ]
        in_use = entry is not None and any(user is not messages for user in entry.users)
        if entry is None:
            entry = self.filters[topic_filter] = Filter(topic_filter, plain)
        entry.users[messages] = options
        if options.identifier is not None:
            entry.identifier, entry.given = options.identifier, True
            subscription = entry.subscription(options.retain_handling)
            properties = _identifying(options.identifier, options.properties)
            requests.append(Request([entry], [subscription], properties))
        elif identifiers and (others or in_use) and not entry.given:
            for other in others:
                if other.identifier is None:
                    requests.append(self._identified(other, None, other.subscription(2)))
            entry.unconfirmed.add(messages)
            requests.append(
                self._identified(entry, messages, entry.subscription(options.retain_handling))
            )
        else:
            subscription = entry.subscription(options.retain_handling)
            requests.append(Request([entry], [subscription], options.properties))
        self._forget_routes()
        return requests

    def _identified(
        self, entry: Filter, owner: Messages | None, subscription: Subscription
    ) -> Request:
        given = {other.identifier for other in self.filters.values() if other.given}
        self._last_identifier += 1
        while self._last_identifier in given:
            self._last_identifier += 1
        entry.identifier = self._last_identifier
        self._owners[entry.identifier] = (entry, owner)
        # An owner that nothing waits for is false.
        own = NO_PROPERTIES if owner is None else entry.users[owner].properties
        properties = _identifying(entry.identifier, own or entry.properties)
        return Request([entry], [subscription], properties)

    def confirm(self, entry: Filter, messages: Messages) -> None:
        """The broker has granted a filter to this user."""
        entry.granted = True
        if messages in entry.unconfirmed:
            entry.unconfirmed.discard(messages)
            self._forget_routes()

    def remove(self, messages: Messages) -> list[Filter]:
        """Forget a user; the filters that nobody uses any more, to unsubscribe from."""
        unused = []
        for topic_filter in dict.fromkeys(messages.filters):
            entry = self.filters.get(topic_filter)
            if entry is None or messages not in entry.users:
                continue
            del entry.users[messages]
            entry.unconfirmed.discard(messages)
            if not entry.users:
                del self.filters[topic_filter]
                unused.append(entry)
        if unused:
            gone = set(map(id, unused))
            self._owners = {
                number: owner for number, owner in self._owners.items() if id(owner[0]) not in gone
            }
        self._forget_routes()
        return unused

    def all_again(self, identifiers: bool) -> list[Request]:
        """What to send to a broker that has lost the session (or never had it)."""
        self._owners.clear()
        self._forget_routes()
        requests = []
        for entry in self.filters.values():
            if not entry.granted:
                continue  # its subscriber is at it
            properties = entry.properties
            if entry.given and entry.identifier is not None and identifiers:
                properties = _identifying(entry.identifier, properties)
            elif entry.identifier is not None and identifiers:
                requests.append(self._identified(entry, None, self._renewed(entry)))
                continue
            else:
                entry.identifier, entry.given = None, False
            requests.append(Request([entry], [self._renewed(entry)], properties))
        return requests

    @staticmethod
    def _renewed(entry: Filter) -> Subscription:
        return entry.subscription(min(one.retain_handling for one in entry.users.values()))

    # Receiving.

    def targets(self, publish: Publish) -> Targets:
        """The subscriptions that a message goes to."""
        identifiers = publish.properties.get("subscription_identifier")
        if not identifiers:
            return self.targets_of(publish.topic)
        key = (publish.topic, tuple(identifiers), publish.retain)
        found = self._by_identifiers.get(key)
        if found is None:
            found = self._identified_targets(*key)
            if len(self._by_identifiers) >= MAX_REMEMBERED:
                self._by_identifiers.clear()
            self._by_identifiers[key] = found
        return found

    def targets_of(self, topic: str) -> Targets:
        """The subscriptions whose filters match a topic."""
        found = self._by_topic.get(topic)
        if found is None:
            found = _users(
                entry for entry in self.filters.values() if topic_matches_filter(topic, entry.plain)
            )
            if len(self._by_topic) >= MAX_REMEMBERED:
                self._by_topic.clear()
            self._by_topic[topic] = found
        return found

    def _identified_targets(self, topic: str, identifiers: Sequence[int], retain: bool) -> Targets:
        found: dict[Messages, None] = {}
        known = False
        for identifier in identifiers:
            entry, owner = self._owners.get(identifier, (None, None))
            # A session from before this program may use the same numbers for other filters.
            if entry is None or not topic_matches_filter(topic, entry.plain):
                continue
            known = True
            kept_as_published = any(one.retain_as_published for one in entry.users.values())
            if retain and owner is not None and not kept_as_published:
                # Sent because `owner` subscribed (§3.3.1.3): the others have had it.
                if owner in entry.users:
                    found[owner] = None
            else:
                found.update(dict.fromkeys(entry.users))
        return tuple(found) if known else self.targets_of(topic)

    def _forget_routes(self) -> None:
        self._by_topic.clear()
        self._by_identifiers.clear()


def _users(entries: Iterable[Filter]) -> Targets:
    found: dict[Messages, None] = {}
    for entry in entries:
        found.update(dict.fromkeys(one for one in entry.users if one not in entry.unconfirmed))
    return tuple(found)


def _identifying(identifier: int, properties: Properties) -> Properties:
    return {**properties, "subscription_identifier": [identifier]}


def _size_of(properties: Properties) -> int:
    """How many bytes user properties take at most."""
    pairs = properties.get("user_property", ())
    return sum(5 + len(name.encode()) + len(value.encode()) for name, value in pairs)


def together(requests: Iterable[Request], most: int, size: int) -> list[Request]:
    """The same in as few SUBSCRIBEs as may be: of `most` filters, and within `size` bytes, each.

    Their order stays. In one are those that come one after the other with equal properties.
    """
    found: list[Request] = []
    left = 0  # bytes that the last one still takes
    for request in requests:
        [subscription] = request.subscriptions
        needed = len(subscription.topic_filter.encode()) + 3
        last = found[-1] if found else None
        if (
            last is None
            or len(last.filters) >= most
            or needed > left
            or last.properties != request.properties
        ):
            found.append(Request(request.filters[:], request.subscriptions[:], request.properties))
            left = size - _BESIDES - _size_of(request.properties) - needed
        else:
            last.filters += request.filters
            last.subscriptions += request.subscriptions
            left -= needed
    return found


def in_packets(
    filters: Iterable[str], properties: Properties, most: int, size: int
) -> list[list[str]]:
    """The topic filters of each UNSUBSCRIBE: `most` at once, and within `size` bytes."""
    found: list[list[str]] = []
    left = 0
    for topic_filter in filters:
        needed = len(topic_filter.encode()) + 2
        if not found or len(found[-1]) >= most or needed > left:
            found.append([])
            left = size - _BESIDES - _size_of(properties)
        found[-1].append(topic_filter)
        left -= needed
    return found


def overlap(first: str, second: str) -> bool:
    """Whether some topic matches both plain filters."""
    a, b = first.split("/"), second.split("/")
    for x, y in zip(a, b, strict=False):
        if x == "#" or y == "#":
            return True
        if x != y and x != "+" and y != "+":
            return False
    # "a/#" matches "a" as well.
    shorter, longer = (a, b) if len(a) <= len(b) else (b, a)
    rest = longer[len(shorter) :]
    return not rest or rest == ["#"]
