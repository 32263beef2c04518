"""`tmqtt passwd`: set, remove and check passwords in a password file.

`options` is what is loaded first, `command` what runs. The files are the business of
`trio_mqtt.access`.
"""
