// SPDX-License-Identifier: GPL-2.0-only
#define LEVEL 1
#include "patch.h"
