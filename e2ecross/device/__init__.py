# SPDX-License-Identifier: Apache-2.0
"""Operations of a device without a network: one call, one transaction."""
