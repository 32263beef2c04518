"""`tmqtt acl`: what an access file allows, and why.

`options` is what is loaded first, `command` what runs. The files and what decides are the business
of `trio_mqtt.access`.
"""
