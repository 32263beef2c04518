"""The options that mosquitto.conf(5) has, each with a value that is not what holds without it.

Those of 2.0 and 2.1, by their sections there; and those that Mosquitto reads, but the page does not
tell of any more.
"""

from __future__ import annotations

GENERAL = """
acl_file /acl
allow_anonymous true
allow_duplicate_messages true
allow_zero_length_clientid false
auth_opt_host db
auth_plugin /plugin.so
auth_plugin_deny_special_chars false
auto_id_prefix mine-
autosave_interval 60
autosave_on_changes true
check_retain_source false
clientid_prefixes secure-
connection_messages false
enable_control_api true
global_max_clients 10
global_max_connections 10
global_plugin /plugin.so
include_dir {folder}
log_dest file /log
log_facility 5
log_timestamp false
log_timestamp_format %H:%M
log_type error
max_inflight_bytes 1000
max_inflight_messages 5
max_keepalive 60
max_packet_size 1000
max_queued_bytes 1000
max_queued_messages 10
memory_limit 100000000
message_size_limit 1000
password_file /users
per_listener_settings true
persistence true
persistence_file other.db
persistence_location /data/
persistent_client_expiration 1h
pid_file /run/pid
plugin /plugin.so
plugin_load name /plugin.so
plugin_opt_file /options
plugin_use name
psk_file /keys
queue_qos0_messages true
retain_available false
retain_expiry_interval 5
retained_persistence true
retry_interval 20
set_tcp_nodelay true
store_clean_interval 10
sys_interval 60
upgrade_outgoing_qos true
user nobody
"""

LISTENERS = """
accept_protocol_versions 5
bind_address 10.0.0.1
bind_interface eth0
enable_proxy_protocol 2
http_dir /www
listener 1884 h
listener_allow_anonymous true
listener_auto_id_prefix mine-
max_connections 10
max_qos 1
max_topic_alias 5
max_topic_alias_broker 5
maximum_qos 1
mount_point site/
mptcp true
packet_buffer_size 8192
port 1885
protocol websockets
proxy_protocol_v2_require_tls true
socket_domain ipv6
use_username_as_clientid true
websockets_headers_size 2048
websockets_log_level 255
websockets_origin https://example.org
psk_hint hint
"""

TLS = """
cafile /other.pem
capath /authorities
certfile /other.pem
ciphers HIGH
ciphers_tls1.3 TLS_AES_256_GCM_SHA384
crlfile /crl.pem
dhparamfile /dh.pem
disable_client_cert_date_checks true
keyfile /other.key
require_certificate true
tls_engine pkcs11
tls_engine_kpass_sha1 00
tls_keyform engine
tls_version tlsv1.3
use_identity_as_username true
use_subject_as_username true
"""

BRIDGES = """
address h
addresses h
bridge_alpn mqtt
bridge_attempt_unsubscribe false
bridge_bind_address 10.0.0.1
bridge_cafile /ca.pem
bridge_capath /authorities
bridge_certfile /c.pem
bridge_ciphers HIGH
bridge_ciphers_tls1.3 TLS_AES_256_GCM_SHA384
bridge_identity me
bridge_insecure true
bridge_keyfile /k.pem
bridge_max_packet_size 1000
bridge_max_topic_alias 5
bridge_mptcp true
bridge_outgoing_retain false
bridge_protocol_version mqttv50
bridge_psk 00
bridge_receive_maximum 5
bridge_reload_type immediate
bridge_require_ocsp true
bridge_session_expiry_interval 60
bridge_tcp_keepalive 10 10 3
bridge_tcp_user_timeout 60
bridge_tls_use_os_certs true
bridge_tls_version tlsv1.3
cleansession true
clientid me
connection other
idle_timeout 5
keepalive_interval 30
local_cleansession true
local_clientid me
local_password secret
local_username me
notification_topic state
notifications false
notifications_local_only true
password secret
remote_clientid me
remote_password secret
remote_username me
restart_timeout 5 30
round_robin true
start_type lazy
threshold 5
topic # both 1
try_private false
username me
"""

NAMES = [
    line.split()[0]
    for section in (GENERAL, LISTENERS, TLS, BRIDGES)
    for line in section.split("\n")
    if line
]
