"""What access is read from: password files, access files, and the keys that tokens are verified by.

Each reads and decides by itself, without Trio: what is here can be used while no broker runs, as
`tmqtt passwd` and `tmqtt acl` do. `passwords`, `access_file` and `tokens` are for the outside,
`password_changes` for whoever writes such files; `file_rules` turns rules into those of the
broker. It knows the protocols of access, and nothing else of the broker.
"""
