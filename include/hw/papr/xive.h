/* XIVE: the interrupt controller of POWER9 and later as a partition exploits it. */
#ifndef HW_PAPR_XIVE_H
#define HW_PAPR_XIVE_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

/* Pages where processors see their own interrupt context: user's and operating system's view. */
#define XIVE_PAGE      0x10000u
#define XIVE_OS_PAGE   UINT64_C(0x60302031a0000)
#define XIVE_USER_PAGE UINT64_C(0x60302031b0000)
/* Two pages for each source: one triggers, the other ends it. */
#define XIVE_SOURCES   UINT64_C(0x6010000000000)

/* The external interrupt input of each processor; borrowed. */
void xive_connect(Device *dev, unsigned server, Line *line);
/* It gets the sources from now on, all of them reset. */
void xive_use(Device *dev);
/* The other controller takes over. */
void xive_leave(Device *dev);

#endif
