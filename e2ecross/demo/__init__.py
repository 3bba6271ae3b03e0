# SPDX-License-Identifier: Apache-2.0
"""The demo: three apps, their devices and a back end that attacks; `python -m e2ecross demo`."""
