# SPDX-License-Identifier: Apache-2.0
"""What a device keeps: rows of the store as typed values, and their bounds."""
