/* Global utilities and GPIO of Freescale's e500 chips: reset and power-off. */
#ifndef HW_MISC_FSL_GUTS_H
#define HW_MISC_FSL_GUTS_H

#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"

extern const DeviceType fsl_guts_type, mpc8xxx_gpio_type;

Region *fsl_guts_region(Device *dev);     /* 4 KiB */
Region *mpc8xxx_gpio_region(Device *dev); /* 4 KiB */
/* Pins count from the left. out: told of an output pin's level; NULL: nobody. */
void mpc8xxx_gpio_connect(Device *dev, Line *irq, int pin, Line *out);
Line *mpc8xxx_gpio_input(Device *dev, int pin);

#endif
