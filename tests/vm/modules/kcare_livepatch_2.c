// SPDX-License-Identifier: GPL-2.0-only
#define LEVEL 2
#include "patch.h"
