"""What a broker keeps of topics, to look back: the file of it, questions, and answers.

`Broker.history` answers a `HistoryQuery` with a `HistoryPage`; `read_history` does so from the file
of a broker that does not run. `HistorySettings` say what is kept.

It shares with the storage its thread and its way of opening files: `chunks` has messages as bytes,
`file` what is in the file, `removing` what goes from there, `reading` and `points` what is found,
`store` all of it from Trio. It knows nothing of brokers: they give it what came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.history.answers import decode_page as decode_page
    from trio_mqtt.history.answers import message_as_json as message_as_json
    from trio_mqtt.history.answers import question_for as question_for
    from trio_mqtt.history.file import history_path as history_path
    from trio_mqtt.history.history import History as History
    from trio_mqtt.history.moments import parse_moment as parse_moment
    from trio_mqtt.history.numbers import NumberPath as NumberPath
    from trio_mqtt.history.numbers import number_in as number_in
    from trio_mqtt.history.numbers import parse_path as parse_path
    from trio_mqtt.history.queries import HistoryFigures as HistoryFigures
    from trio_mqtt.history.queries import HistoryPage as HistoryPage
    from trio_mqtt.history.queries import HistoryQuery as HistoryQuery
    from trio_mqtt.history.queries import KeptMessage as KeptMessage
    from trio_mqtt.history.queries import Point as Point
    from trio_mqtt.history.queries import Removal as Removal
    from trio_mqtt.history.settings import HistorySettings as HistorySettings
    from trio_mqtt.history.store import read_history as read_history
