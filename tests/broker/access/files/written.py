"""Access rules as the tests write them, and what they allow."""

from __future__ import annotations

from trio_mqtt.broker.access.files.access_formats import read_mosquitto, read_toml
from trio_mqtt.broker.access.files.access_rules import Action, WrittenRules

EXAMPLE = """\
# For clients without a user name.
topic read news/#
topic read $SYS/broker/uptime

user alice
topic home/#
topic deny home/safe/+
topic write a topic with spaces
user bob smith
topic read home/+/temperature

pattern write sensors/%c/#
pattern read mail/%u
pattern deny mail/%u/secret
"""
TOML = """\
[anonymous]
read = ["news/#", "$SYS/broker/uptime"]

[user.alice]
readwrite = ["home/#"]
deny = [
    "home/safe/+",   # never "home/safe"
]
write = ['a topic with spaces']

[user."bob smith"]
read = ["home/+/temperature"]

[everyone]
write = ["sensors/%c/#"]
read = ["mail/%u"]
deny = ["mail/%u/secret"]
"""


def rules(text: str, *, toml: bool = False) -> WrittenRules:
    found = (read_toml if toml else read_mosquitto)(text, "access")
    return WrittenRules(users=found.users, anonymous=found.anonymous, everyone=found.everyone)


def may(
    file: WrittenRules,
    action: Action,
    topic: str,
    username: str | None = None,
    client_id: str = "c1",
) -> bool:
    return file.decide(action, client_id=client_id, username=username, topic=topic).allowed
