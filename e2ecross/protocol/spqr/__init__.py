# SPDX-License-Identifier: Apache-2.0
"""What stands in each package is said in docs/architecture.md."""
