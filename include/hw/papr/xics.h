/* XICS: the interrupt controller of POWER5 to POWER8 as hypercalls and RTAS show it. */
#ifndef HW_PAPR_XICS_H
#define HW_PAPR_XICS_H

#include "core/device.h"
#include "core/line.h"

/* The external interrupt input of each processor; borrowed. */
void xics_connect(Device *dev, unsigned server, Line *line);
/* It gets the sources from now on; what is high is presented. */
void xics_use(Device *dev);
/* The other controller takes over: nothing is presented any more. */
void xics_leave(Device *dev);

#endif
