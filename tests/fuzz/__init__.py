"""A fuzzer on the broker's real ports: `python -m tests.fuzz --seconds 60 --seed N`.

`grammar.py` has packets as trees of their fields, `mutations.py` harms them, `generator.py` makes
whole cases of them: what some clients send, and when. `executor.py` plays a case against a broker,
`oracle.py` judges what came back, `campaign.py` does that for a while beside a pair of clients that
must not notice, and writes what fails as a file that `--replay FILE` plays again. `defects.py` has
what the fuzzer must find.
"""
