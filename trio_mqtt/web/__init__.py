"""The operations of a broker over HTTP: JSON under /api/v1, for people with roles and for programs.

`server.py` listens and ends, `api.py` has an endpoint for each row of the table of operations,
`people.py` says who asks. Starlette and hypercorn, which the extra `web` brings, are loaded once
somebody wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.web.options import WebOptions as WebOptions
    from trio_mqtt.web.options import WebToken as WebToken
    from trio_mqtt.web.server import serving_web as serving_web
