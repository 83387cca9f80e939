// SPDX-License-Identifier: GPL-2.0-only
#define LEVEL 0
#include "patch.h"
