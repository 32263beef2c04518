"""Bytes in and out: TCP, TLS, WebSocket, Unix sockets. Nothing here knows what MQTT's packets are.

`listeners` are the broker's end, on Trio; `connectors` the client's, on AnyIO; `urls` are the
addresses that both are given. The two ends share nothing else: a broker's streams are read by
thousands of tasks and save every call, a client's run under asyncio too.
"""
