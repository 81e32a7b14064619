"""``python -m sksbi``: versions, and a check of some seconds."""

import sys

from sksbi._about import check_installation, show_versions

show_versions()
sys.exit(0 if check_installation() else 1)
