"""`tmqtt service`: the broker as a service of systemd, for the system or for one user.

`options` is what is loaded first, `command` what runs. `program` finds what the service starts, and
whether it may read it; `places` says where the files go; `units` makes them from the templates
beside it; `systemd` calls systemd's own programs. How to serve under systemd is `tmqtt.broker`'s.
"""
