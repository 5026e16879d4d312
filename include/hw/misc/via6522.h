/* The 6522 versatile interface adapter, as CUDA and PMU use it: ports, timers and a shift register. */
#ifndef HW_MISC_VIA6522_H
#define HW_MISC_VIA6522_H

#include "core/clock.h"
#include "core/line.h"
#include "core/memory.h"
#include "core/state.h"

enum { VIA_WINDOW = 0x2000 }; /* sixteen registers, 200h apart */
enum { VIA_IFR_CB1 = 0x10, VIA_IFR_SR = 0x04, VIA_ACR_SR_OUT = 0x10 };

#define VIA_STATE(FIELD, ARRAY)                                       \
    FIELD(uint8_t, b, 0)                                              \
    FIELD(uint8_t, a, 0)                                              \
    FIELD(uint8_t, ddrb, 0)                                           \
    FIELD(uint8_t, ddra, 0)                                           \
    FIELD(uint8_t, b_in, 0xff) /* levels from outside */              \
    FIELD(uint8_t, sr, 0)                                             \
    FIELD(uint8_t, acr, 0)                                            \
    FIELD(uint8_t, pcr, 0)                                            \
    FIELD(uint8_t, ifr, 0)                                            \
    FIELD(uint8_t, ier, 0)                                            \
    ARRAY(uint16_t, latch, 2, 0xffff)                                 \
    ARRAY(uint32_t, count, 2, 0x10000) /* at `start` */               \
    ARRAY(int64_t, start, 2, 0)                                       \
    ARRAY(bool, armed, 2, false) /* will set its flag */

DEFINE_STATE(ViaState, VIA_STATE);

typedef struct Via {
    ViaState s;
    /* The software wrote port B, or wrote or read the shift register. May be NULL. */
    void (*port_b_written)(void *opaque, uint8_t old);
    void *opaque;
    const char *id; /* of the device that it is in */
    Line *irq;      /* set by the device */
    Timer *timer;
    Region *region;
} Via;

/* id and opaque: of the device that it is in, which sets irq. port_b_written: may be NULL. */
void via_init(Via *via, const char *id, void (*port_b_written)(void *opaque, uint8_t old), void *opaque);
void via_reset(Via *via);
uint8_t via_port_b(const Via *via); /* as its pins are */
void via_set_flag(Via *via, uint8_t ifr);
void via_update(Via *via);
void via_save(Via *via, GKeyFile *out);
bool via_load(Via *via, GKeyFile *in, GError **error);

#endif
