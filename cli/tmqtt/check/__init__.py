"""`tmqtt check`: what a broker can do.

`options` is what is loaded first, `command` goes through the checks and shows what they find:
`tls` looks at the handshake, `probes` speak MQTT. `alive` only asks whether anything answers. A
broker in use is not harmed by them. Nothing here is used by another command.
"""
