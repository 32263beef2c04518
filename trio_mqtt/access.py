"""Who may connect to a broker, and what they may do: what programs implement, and what there is.

A program decides itself by `AccessControl` (derive from `AccessHooks`), `AccessRules`,
`PasswordCheck` and `Authenticator`. `PasswordFile`, `AccessFile`, `DynamicSecurity`,
`TokenVerifier` and `ScramAuthenticator` are there to be used; `trio_mqtt.Security` brings all of
them into force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.broker.access.dynamic.security import DynamicSecurity as DynamicSecurity
    from trio_mqtt.broker.access.files.access_file import AccessFile as AccessFile
    from trio_mqtt.broker.access.files.access_rules import ACTIONS as ACTIONS
    from trio_mqtt.broker.access.files.access_rules import Action as Action
    from trio_mqtt.broker.access.files.access_rules import Section as Section
    from trio_mqtt.broker.access.files.access_rules import WrittenRules as WrittenRules
    from trio_mqtt.broker.access.files.hashes import HashKind as HashKind
    from trio_mqtt.broker.access.files.hashes import PasswordHash as PasswordHash
    from trio_mqtt.broker.access.files.password_changes import remove_user as remove_user
    from trio_mqtt.broker.access.files.password_changes import set_password as set_password
    from trio_mqtt.broker.access.files.passwords import PasswordFile as PasswordFile
    from trio_mqtt.broker.access.files.passwords import username_problem as username_problem
    from trio_mqtt.broker.access.files.reading import read_file as read_file
    from trio_mqtt.broker.access.files.rule_tree import Decision as Decision
    from trio_mqtt.broker.access.files.rule_tree import Rule as Rule
    from trio_mqtt.broker.access.files.tokens import TokenClaims as TokenClaims
    from trio_mqtt.broker.access.files.tokens import TokenVerifier as TokenVerifier
    from trio_mqtt.broker.access.protocols import AccessControl as AccessControl
    from trio_mqtt.broker.access.protocols import AccessHooks as AccessHooks
    from trio_mqtt.broker.access.protocols import AccessRefused as AccessRefused
    from trio_mqtt.broker.access.protocols import AccessRules as AccessRules
    from trio_mqtt.broker.access.protocols import Authenticated as Authenticated
    from trio_mqtt.broker.access.protocols import AuthenticationExchange as AuthenticationExchange
    from trio_mqtt.broker.access.protocols import AuthenticationRefused as AuthenticationRefused
    from trio_mqtt.broker.access.protocols import Authenticator as Authenticator
    from trio_mqtt.broker.access.protocols import ClientInfo as ClientInfo
    from trio_mqtt.broker.access.protocols import ConnectionInfo as ConnectionInfo
    from trio_mqtt.broker.access.protocols import ConnectRequest as ConnectRequest
    from trio_mqtt.broker.access.protocols import KeepsUsers as KeepsUsers
    from trio_mqtt.broker.access.protocols import PasswordCheck as PasswordCheck
    from trio_mqtt.broker.access.protocols import Publication as Publication
    from trio_mqtt.broker.access.protocols import Refusal as Refusal
    from trio_mqtt.broker.access.protocols import SubscriptionRequest as SubscriptionRequest
    from trio_mqtt.broker.access.scram import ScramAuthenticator as ScramAuthenticator
    from trio_mqtt.broker.access.scram import ScramCredentials as ScramCredentials
    from trio_mqtt.broker.access.security import WaysIn as WaysIn
    from trio_mqtt.transport.listeners.upgrade import Upgrade as Upgrade
