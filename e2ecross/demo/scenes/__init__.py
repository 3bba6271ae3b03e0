# SPDX-License-Identifier: Apache-2.0
"""The scenes of the demo: of each what happens, what is found out, and how it is told."""
