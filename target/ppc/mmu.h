/* What the files of the MMUs share. */
#ifndef TARGET_PPC_MMU_H
#define TARGET_PPC_MMU_H

#include "target/ppc/internal.h"

#endif
