# SPDX-License-Identifier: Apache-2.0
"""The demo of a fleet: `python -m e2ecross demo --fleet`."""
