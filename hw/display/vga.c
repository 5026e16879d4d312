/*
 * VGA registers: sequencer, CRT controller, graphics and attribute controllers, DAC.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem".
 */
#include "hw/display/vga.h"

#include "core/clock.h"
#include "util/log.h"

#include <string.h>

/* Offsets from 3B0h. The monochrome CRTC sits at 3B4, the colour one at 3D4. */
enum {
    P_AR = 0x10, P_AR_READ, P_MISC_WRITE, P_SEQ_INDEX = 0x14, P_SEQ_DATA, P_DAC_MASK, P_DAC_READ,
    P_DAC_WRITE, P_DAC_DATA, P_FEATURE_READ, P_MISC_READ = 0x1c, P_GR_INDEX = 0x1e, P_GR_DATA,
};

const StateField *vga_fields(size_t *count)
{
    typedef VgaRegs Owner;
    static const StateField rows[] = { VGA_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/*
 * Input status 1: display disabled and vertical retrace, from the guest's clock at the rate of the
 * common timings: 449 lines at 70 Hz, or 525 at 60 Hz when more than 400 lines are shown.
 */
static uint8_t input_status_1(const VgaRegs *s)
{
    unsigned shown = (s->crtc[0x12] | (s->crtc[7] & 0x02) << 7 | (s->crtc[7] & 0x40) << 3) + 1;
    unsigned lines = shown > 400 ? MAX(525, shown + 45) : 449;
    int64_t line_ns = 31778;
    int64_t now = clock_now(CLOCK_GUEST) % (line_ns * lines);
    unsigned line = now / line_ns;
    uint8_t status = 0;

    if (line >= shown || now % line_ns > line_ns * 4 / 5) {
        status |= 0x01;
    }
    if (line >= shown + 12 && line < shown + 14) {
        status |= 0x08;
    }
    return status;
}

static void palette_entry(Vga *vga, int i)
{
    const uint8_t *c = &vga->s.dac[i * 3];

    if (vga->s.vbe[VBE_ENABLE] & VBE_8BIT_DAC) {
        vga->palette[i] = c[0] << 16 | c[1] << 8 | c[2];
    } else {
        vga->palette[i] = 0;
        for (int n = 0; n < 3; n++) {
            uint8_t v = c[n] & 0x3f;

            vga->palette[i] = vga->palette[i] << 8 | (v << 2 | v >> 4);
        }
    }
    vga->palette_changed = true;
}

static uint8_t dac_data_read(VgaRegs *s)
{
    uint8_t value = s->dac[s->dac_read * 3 + s->dac_step];

    if (++s->dac_step == 3) {
        s->dac_step = 0;
        s->dac_read++;
    }
    return value;
}

static void dac_data_write(Vga *vga, uint8_t value)
{
    VgaRegs *s = &vga->s;

    s->dac_cache[s->dac_step] = value;
    if (++s->dac_step == 3) { /* all three colours arrive at once */
        s->dac_step = 0;
        memcpy(&s->dac[s->dac_write * 3], s->dac_cache, 3);
        palette_entry(vga, s->dac_write++);
    }
}

static bool port_answers(const VgaRegs *s, PhysAddr port)
{
    bool colour = s->misc & 1;

    if (port < 0x10) {
        return !colour;
    }
    return port < 0x20 || colour;
}

static uint8_t read_port(Vga *vga, PhysAddr port)
{
    VgaRegs *s = &vga->s;

    switch (port) {
    case P_AR:
        return s->ar_index;
    case P_AR_READ:
        return s->ar[s->ar_index & 0x1f];
    case P_MISC_WRITE: /* input status 0: the monitor sense switch */
        return 0x10;
    case P_SEQ_INDEX:
        return s->seq_index;
    case P_SEQ_DATA:
        return s->seq[s->seq_index & 7];
    case P_DAC_MASK:
        return s->dac_mask;
    case P_DAC_READ:
        return s->dac_reading ? 3 : 0;
    case P_DAC_WRITE:
        return s->dac_write;
    case P_DAC_DATA:
        return dac_data_read(s);
    case P_FEATURE_READ:
        return s->feature;
    case P_MISC_READ:
        return s->misc;
    case P_GR_INDEX:
        return s->gr_index;
    case P_GR_DATA:
        return s->gr[s->gr_index & 15];
    case 0x04:
    case 0x24:
        return s->crtc_index;
    case 0x05:
    case 0x25:
        return s->crtc_index < 0x19 ? s->crtc[s->crtc_index] : 0xff;
    case 0x0a:
    case 0x2a:
        s->ar_data = false;
        return input_status_1(s);
    default:
        return 0xff;
    }
}

uint64_t vga_port_read(void *opaque, PhysAddr port, unsigned size)
{
    Vga *vga = opaque;

    return port_answers(&vga->s, port) ? read_port(vga, port) : 0xff;
}

static void write_attribute(Vga *vga, uint8_t value)
{
    VgaRegs *s = &vga->s;

    if (!s->ar_data) {
        s->ar_index = value & 0x3f;
    } else {
        static const uint8_t masks[] = { [AR_MODE] = 0xef, 0xff, 0x3f, 0x0f, 0x0f };
        int index = s->ar_index & 0x1f;

        if (index < 0x10) {
            s->ar[index] = value & 0x3f;
        } else if (index <= AR_COLOR) {
            s->ar[index] = value & masks[index];
        }
    }
    s->ar_data = !s->ar_data;
    vga->redraw = true;
}

static void write_crtc(Vga *vga, uint8_t value)
{
    VgaRegs *s = &vga->s;
    unsigned index = s->crtc_index;

    if (index >= 0x19) {
        return;
    }
    if ((s->crtc[0x11] & 0x80) && index <= 7) { /* write-protected, but for line compare bit 8 */
        if (index == 7) {
            s->crtc[7] = (s->crtc[7] & ~0x10) | (value & 0x10);
            vga->redraw = true;
        }
        return;
    }
    if (s->crtc[index] != value) {
        s->crtc[index] = value;
        if (index < 0x0a || index == 0x0c || index == 0x0d || index > 0x0f) {
            vga->redraw = true;
        }
    }
}

static void write_port(Vga *vga, PhysAddr port, uint8_t value)
{
    static const uint8_t seq_masks[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0xff };
    static const uint8_t gr_masks[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
    VgaRegs *s = &vga->s;

    switch (port) {
    case P_AR:
        write_attribute(vga, value);
        break;
    case P_MISC_WRITE:
        s->misc = value & ~0x10;
        vga->redraw = true;
        break;
    case P_SEQ_INDEX:
        s->seq_index = value & 7;
        break;
    case P_SEQ_DATA:
        s->seq[s->seq_index] = value & seq_masks[s->seq_index];
        vga->redraw |= s->seq_index == 1 || s->seq_index == 3;
        break;
    case P_DAC_MASK:
        s->dac_mask = value;
        vga->palette_changed = true;
        break;
    case P_DAC_READ:
        s->dac_read = value;
        s->dac_step = 0;
        s->dac_reading = true;
        break;
    case P_DAC_WRITE:
        s->dac_write = value;
        s->dac_step = 0;
        s->dac_reading = false;
        break;
    case P_DAC_DATA:
        dac_data_write(vga, value);
        break;
    case P_GR_INDEX:
        s->gr_index = value & 15;
        break;
    case P_GR_DATA:
        s->gr[s->gr_index] = value & gr_masks[s->gr_index];
        vga->redraw |= s->gr_index == 5 || s->gr_index == 6;
        break;
    case 0x04:
    case 0x24:
        s->crtc_index = value & 0x1f;
        break;
    case 0x05:
    case 0x25:
        write_crtc(vga, value);
        break;
    case 0x0a:
    case 0x2a:
        s->feature = value & 0x10;
        break;
    default:
        break;
    }
}

void vga_port_write(void *opaque, PhysAddr port, uint64_t value, unsigned size)
{
    Vga *vga = opaque;

    if (port_answers(&vga->s, port)) {
        write_port(vga, port, value);
    }
}

static const RegionOps port_ops = { vga_port_read, vga_port_write, 1, 1, ENDIAN_LITTLE };
static const RegionOps window_ops = { vga_window_read, vga_window_write, 1, 1, ENDIAN_LITTLE };

/* Ports 1CE (index) and 1CF or 1D0 (data), 16 bits wide. */
static uint64_t vbe_port_read(void *opaque, PhysAddr offset, unsigned size)
{
    Vga *vga = opaque;

    return offset == 0 ? vga->s.vbe_index : vbe_read(vga, vga->s.vbe_index);
}

static void vbe_port_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Vga *vga = opaque;

    if (offset == 0) {
        vga->s.vbe_index = value;
    } else {
        vbe_write(vga, vga->s.vbe_index, value);
    }
}

/* Up to 4: the word at 1CF is not aligned, and must arrive whole. */
static const RegionOps vbe_port_ops = { vbe_port_read, vbe_port_write, 1, 4, ENDIAN_LITTLE };

void vga_reset(Vga *vga)
{
    for (int i = 0; i < 256; i++) {
        palette_entry(vga, i);
    }
    vga->s.vbe[VBE_ID] = 0xb0c5;
    vga->redraw = true;
}

bool vga_init(Vga *vga, const char *id, uint32_t vram_mb, Region *memory, Region *ports, GError **error)
{
    vga->id = id;
    vga->vram_size = vram_mb << 20;
    vga->vram = region_new_ram("vga.vram", vga->vram_size, error);
    if (!vga->vram) {
        return false;
    }
    vga->mem = region_host(vga->vram);
    vga->plane_mask = 0xffff;
    region_log_start(vga->vram, PAGE_CLEAN_DISPLAY);
    vga->window = region_new_io("vga-window", &window_ops, vga, 0x20000);
    region_add_overlap(memory, 0xa0000, vga->window, 1);
    vga->ports = region_new_io("vga", &port_ops, vga, 0x30);
    region_add(ports, 0x3b0, vga->ports);
    vga->vbe_ports = region_new_io("vbe", &vbe_port_ops, vga, 4);
    region_add(ports, 0x1ce, vga->vbe_ports);
    vga->con = console_new("VGA", &vga_console_ops, vga);
    console_resize(vga->con, 640, 480);
    return true;
}
