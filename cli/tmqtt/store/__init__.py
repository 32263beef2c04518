"""`tmqtt store`: what a broker keeps, looked into, and moved to and from JSON lines.

`options` is what is loaded first, `command` what runs; `lines` has the form of a line. The file
itself is the business of `trio_mqtt.durability`.
"""
