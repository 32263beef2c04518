"""What outlives a broker: what programs implement to keep it elsewhere, and tools for its file.

`trio_mqtt.SqliteStorage` and `trio_mqtt.MemoryStorage` are there to be used. A program that has
another place implements `trio_mqtt.Storage`: it loads `Kept`, and appends `Changes`, both in rows.
`summarize_store`, `verify_store`, `read_store` and `write_store` work on the file of a broker that
does not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.storage.rows import Changes as Changes
    from trio_mqtt.storage.rows import DeliveryRow as DeliveryRow
    from trio_mqtt.storage.rows import IdentifierRow as IdentifierRow
    from trio_mqtt.storage.rows import Kept as Kept
    from trio_mqtt.storage.rows import MessageRow as MessageRow
    from trio_mqtt.storage.rows import Progress as Progress
    from trio_mqtt.storage.rows import RetainedRow as RetainedRow
    from trio_mqtt.storage.rows import Row as Row
    from trio_mqtt.storage.rows import SessionRow as SessionRow
    from trio_mqtt.storage.rows import SubscriptionRow as SubscriptionRow
    from trio_mqtt.storage.sqlite_tools import StoreSummary as StoreSummary
    from trio_mqtt.storage.sqlite_tools import read_store as read_store
    from trio_mqtt.storage.sqlite_tools import store_path as store_path
    from trio_mqtt.storage.sqlite_tools import summarize_store as summarize_store
    from trio_mqtt.storage.sqlite_tools import verify_store as verify_store
    from trio_mqtt.storage.sqlite_tools import write_store as write_store
