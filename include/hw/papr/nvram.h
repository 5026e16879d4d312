/* The nonvolatile memory of a logical partition. */
#ifndef HW_PAPR_NVRAM_H
#define HW_PAPR_NVRAM_H

#include "core/device.h"

/*
 * Changes settings of Open Firmware ("auto-boot?=false"), in a partition that is made if there is none. False with a message
 * if they do not fit. Once, before the machine runs.
 */
bool spapr_nvram_prepare(Device *dev, GPtrArray *wanted, GError **error);

#endif
