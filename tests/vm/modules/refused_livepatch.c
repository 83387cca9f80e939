// SPDX-License-Identifier: GPL-2.0-only
#define LEVEL 4
#define REFUSE
#include "patch.h"
