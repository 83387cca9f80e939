// SPDX-License-Identifier: GPL-2.0-only
#define LEVEL 3
#define PINNED
#include "patch.h"
