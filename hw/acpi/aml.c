/*
 * Writer of AML, the byte code of ACPI tables.
 *
 * ACPI specification 6.4, chapters 20 (AML) and 6.4 (resource descriptors).
 */
#include "hw/acpi/aml.h"

#include <string.h>

static void put(Aml *a, uint64_t value, int size)
{
    for (int n = 0; n < size; n++) {
        uint8_t byte = value >> 8 * n;

        g_byte_array_append(a->bytes, &byte, 1);
    }
}

void aml_init(Aml *a)
{
    memset(a, 0, sizeof(*a));
    a->bytes = g_byte_array_new();
}

GByteArray *aml_finish(Aml *a)
{
    g_assert(a->depth == 0);
    return a->bytes;
}

static void open_container(Aml *a, bool resources)
{
    g_assert(a->depth < (int)G_N_ELEMENTS(a->open));
    a->open[a->depth].at = a->bytes->len;
    a->open[a->depth++].resources = resources;
}

static void insert(Aml *a, guint at, const uint8_t *data, guint size)
{
    guint tail = a->bytes->len - at;

    g_byte_array_append(a->bytes, data, size);
    memmove(a->bytes->data + at + size, a->bytes->data + at, tail);
    memcpy(a->bytes->data + at, data, size);
}

/* PkgLength counts itself: one byte up to 63, else two bits of count and four of length first. */
static guint encode_length(uint8_t out[4], guint length)
{
    guint extra = 0, rest;

    if (length + 1 < 64) {
        out[0] = length + 1;
        return 1;
    }
    do {
        extra++;
    } while (length + 1 + extra >= 1u << (4 + 8 * extra));
    length += 1 + extra;
    out[0] = extra << 6 | (length & 15);
    rest = length >> 4;
    for (guint n = 1; n <= extra; n++, rest >>= 8) {
        out[n] = rest;
    }
    return 1 + extra;
}

void aml_end(Aml *a)
{
    guint at = a->open[--a->depth].at;
    uint8_t length[4];

    g_assert(a->depth >= 0);
    if (a->open[a->depth].resources) {
        uint8_t size[3] = { 0x0b };

        put(a, 0x0079, 2); /* end tag, without a checksum */
        size[1] = a->bytes->len - at;
        size[2] = (a->bytes->len - at) >> 8;
        insert(a, at, size, 3);
    }
    insert(a, at, length, encode_length(length, a->bytes->len - at));
}

static void put_segment(Aml *a, const char *segment, size_t size)
{
    char padded[4] = { '_', '_', '_', '_' };

    g_assert(size >= 1 && size <= 4);
    memcpy(padded, segment, size);
    g_byte_array_append(a->bytes, (const guint8 *)padded, 4);
}

void aml_path(Aml *a, const char *path)
{
    g_auto(GStrv) segments = NULL;
    guint count;

    for (; *path == '\\' || *path == '^'; path++) {
        put(a, *path, 1);
    }
    segments = g_strsplit(path, ".", -1);
    count = g_strv_length(segments);
    if (count == 0) {
        put(a, 0, 1);
    } else if (count == 2) {
        put(a, 0x2e, 1);
    } else if (count > 2) {
        put(a, 0x2f | count << 8, 2);
    }
    for (guint n = 0; n < count; n++) {
        put_segment(a, segments[n], strlen(segments[n]));
    }
}

void aml_scope(Aml *a, const char *path)
{
    put(a, 0x10, 1);
    open_container(a, false);
    aml_path(a, path);
}

void aml_device(Aml *a, const char *name)
{
    put(a, 0x825b, 2);
    open_container(a, false);
    aml_path(a, name);
}

void aml_processor(Aml *a, const char *name, uint8_t id)
{
    put(a, 0x835b, 2);
    open_container(a, false);
    aml_path(a, name);
    put(a, id, 1);
    put(a, 0, 5); /* no register block for throttling */
}

void aml_method(Aml *a, const char *name, int arguments, bool serialized)
{
    put(a, 0x14, 1);
    open_container(a, false);
    aml_path(a, name);
    put(a, arguments | serialized << 3, 1);
}

void aml_package(Aml *a, uint8_t elements)
{
    put(a, 0x12, 1);
    open_container(a, false);
    put(a, elements, 1);
}

void aml_resources(Aml *a)
{
    put(a, 0x11, 1);
    open_container(a, true);
}

void aml_if(Aml *a)
{
    put(a, 0xa0, 1);
    open_container(a, false);
}

void aml_else(Aml *a)
{
    put(a, 0xa1, 1);
    open_container(a, false);
}

void aml_name(Aml *a, const char *name)
{
    put(a, 0x08, 1);
    aml_path(a, name);
}

void aml_int(Aml *a, uint64_t value)
{
    if (value <= 1) {
        put(a, value, 1);
    } else if (value <= 0xff) {
        put(a, 0x0a, 1);
        put(a, value, 1);
    } else if (value <= 0xffff) {
        put(a, 0x0b, 1);
        put(a, value, 2);
    } else if (value <= 0xffffffff) {
        put(a, 0x0c, 1);
        put(a, value, 4);
    } else {
        put(a, 0x0e, 1);
        put(a, value, 8);
    }
}

void aml_string(Aml *a, const char *text)
{
    put(a, 0x0d, 1);
    g_byte_array_append(a->bytes, (const guint8 *)text, strlen(text) + 1);
}

/* Three letters of five bits and four hexadecimal digits, the first byte in the low bits. */
void aml_eisa_id(Aml *a, const char *id)
{
    uint32_t value = 0;

    for (int n = 0; n < 3; n++) {
        value = value << 5 | (id[n] - '@');
    }
    for (int n = 3; n < 7; n++) {
        value = value << 4 | g_ascii_xdigit_value(id[n]);
    }
    put(a, 0x0c, 1);
    put(a, GUINT32_SWAP_LE_BE(value), 4);
}

void aml_buffer(Aml *a, const uint8_t *bytes, uint8_t size)
{
    put(a, 0x11, 1);
    open_container(a, false);
    aml_int(a, size);
    g_byte_array_append(a->bytes, bytes, size);
    aml_end(a);
}

void aml_op(Aml *a, uint8_t opcode)
{
    put(a, opcode, 1);
}

void aml_region(Aml *a, const char *name, uint8_t space, uint32_t offset, uint32_t length)
{
    put(a, 0x805b, 2);
    aml_path(a, name);
    put(a, space, 1);
    aml_int(a, offset);
    aml_int(a, length);
}

/* access: 1 byte, 3 doubleword; no lock, other bits preserved. */
static void put_fields(Aml *a, const char *region, const char *const *names, uint8_t access, uint8_t bits)
{
    put(a, 0x815b, 2);
    open_container(a, false);
    aml_path(a, region);
    put(a, access, 1);
    for (; *names; names++) {
        put_segment(a, *names, strlen(*names));
        put(a, bits, 1);
    }
    aml_end(a);
}

void aml_byte_fields(Aml *a, const char *region, const char *const *names)
{
    put_fields(a, region, names, 1, 8);
}

void aml_dword_fields(Aml *a, const char *region, const char *const *names)
{
    put_fields(a, region, names, 3, 32);
}

void aml_name_int(Aml *a, const char *name, uint64_t value)
{
    aml_name(a, name);
    aml_int(a, value);
}

void aml_name_id(Aml *a, const char *name, const char *eisa_id)
{
    aml_name(a, name);
    aml_eisa_id(a, eisa_id);
}

void aml_io(Aml *a, uint16_t port, uint8_t length)
{
    put(a, 0x0147, 2); /* decodes 16 bits */
    put(a, port, 2);
    put(a, port, 2);
    put(a, 1 | length << 8, 2);
}

void aml_irq(Aml *a, uint16_t mask)
{
    put(a, 0x22, 1);
    put(a, mask, 2);
}

void aml_interrupts(Aml *a, const uint32_t *irqs, uint8_t count)
{
    put(a, 0x89, 1);
    put(a, 2 + 4 * count, 2);
    put(a, 0x09, 1); /* consumer, level, active high, shared */
    put(a, count, 1);
    for (int n = 0; n < count; n++) {
        put(a, irqs[n], 4);
    }
}

void aml_dma(Aml *a, uint8_t channel)
{
    put(a, 0x2a, 1);
    put(a, 1 << channel, 1);
    put(a, 0, 1); /* compatibility speed, 8 bits */
}

void aml_memory_fixed(Aml *a, uint32_t base, uint32_t length, bool writable)
{
    put(a, 0x86, 1);
    put(a, 9, 2);
    put(a, writable, 1);
    put(a, base, 4);
    put(a, length, 4);
}

/* Address space descriptors of a bridge: minimum and maximum are fixed, it produces them. */
static void put_window(Aml *a, uint8_t tag, uint8_t kind, uint8_t flags, uint64_t first,
                       uint64_t last, int size)
{
    put(a, tag, 1);
    put(a, 3 + 5 * size, 2);
    put(a, kind, 1);
    put(a, 0x0c, 1);
    put(a, flags, 1);
    put(a, 0, size);
    put(a, first, size);
    put(a, last, size);
    put(a, 0, size);
    put(a, last - first + 1, size);
}

void aml_bus_numbers(Aml *a, uint16_t first, uint16_t last)
{
    put_window(a, 0x88, 2, 0, first, last, 2);
}

void aml_port_window(Aml *a, uint16_t first, uint16_t last)
{
    put_window(a, 0x88, 1, 3, first, last, 2);
}

void aml_memory_window(Aml *a, uint32_t first, uint32_t last, bool cacheable)
{
    put_window(a, 0x87, 0, cacheable ? 0x03 : 0x01, first, last, 4);
}

void aml_high_memory_window(Aml *a, uint64_t first, uint64_t last)
{
    put_window(a, 0x8a, 0, 0x03, first, last, 8);
}
