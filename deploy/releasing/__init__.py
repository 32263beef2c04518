"""How a release is made, as `nox -s release` runs it.

Nothing of it is installed with the package. docs/how-to/releasing.md tells when and why.
"""
