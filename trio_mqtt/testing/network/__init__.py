"""The network between a client and a broker of a test, which the test steers.

`network.Network` is what the test has; `links` carry the packets of one connection each, by what
`conditions` say; `frames` tells packets from each other, `proxy` brings connections of real
sockets. It knows nothing of brokers: whoever has it connects it to one.
"""
