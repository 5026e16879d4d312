/*
 * Frames of gdb's remote protocol: $data#sum, acknowledged by + or - (GDB manual, appendix E).
 */
#include "system/gdbstub.h"

#include <string.h>

void gdb_link_reset(GdbLink *link)
{
    if (!link->packet) {
        link->packet = g_string_new(NULL);
        link->last = g_string_new(NULL);
    }
    g_string_truncate(link->packet, 0);
    g_string_truncate(link->last, 0);
    link->state = GDB_IDLE;
    link->escaped = false;
    link->no_ack = false;
}

static void write_text(GdbLink *link, const char *text, size_t size)
{
    char_write(link->chr, (const uint8_t *)text, size);
}

void gdb_send_bytes(GdbLink *link, const char *packet, size_t size)
{
    uint8_t sum = 0;

    g_string_assign(link->last, "$");
    for (size_t i = 0; i < size; i++) {
        if (strchr("#$}*", packet[i]) && packet[i]) {
            g_string_append_c(link->last, '}');
            g_string_append_c(link->last, packet[i] ^ 0x20);
        } else {
            g_string_append_c(link->last, packet[i]);
        }
    }
    for (gsize i = 1; i < link->last->len; i++) {
        sum += (uint8_t)link->last->str[i];
    }
    g_string_append_printf(link->last, "#%02x", sum);
    write_text(link, link->last->str, link->last->len);
}

void gdb_send(GdbLink *link, const char *packet)
{
    gdb_send_bytes(link, packet, strlen(packet));
}

static void end_packet(GdbLink *link)
{
    if (!link->no_ack) {
        bool good = link->sum == link->claimed;

        write_text(link, good ? "+" : "-", 1);
        if (!good) {
            return;
        }
    }
    link->handle(link->packet->str, link->packet->len);
}

static void idle_byte(GdbLink *link, uint8_t byte)
{
    switch (byte) {
    case '$':
        g_string_truncate(link->packet, 0);
        link->sum = 0;
        link->escaped = false;
        link->state = GDB_DATA;
        break;
    case 3:
        link->interrupt();
        break;
    case '-':
        if (!link->no_ack && link->last->len) {
            write_text(link, link->last->str, link->last->len);
        }
        break;
    default:
        break;
    }
}

static void data_byte(GdbLink *link, uint8_t byte)
{
    if (byte == '#') {
        link->state = GDB_SUM1;
        return;
    }
    if (byte == '$') { /* the end of the last one was lost */
        idle_byte(link, byte);
        return;
    }
    link->sum += byte;
    if (link->escaped) {
        byte ^= 0x20;
        link->escaped = false;
    } else if (byte == '}') {
        link->escaped = true;
        return;
    }
    if (link->packet->len < GDB_PACKET_SIZE) {
        g_string_append_c(link->packet, byte);
    }
}

void gdb_link_receive(GdbLink *link, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        switch (link->state) {
        case GDB_IDLE:
            idle_byte(link, data[i]);
            break;
        case GDB_DATA:
            data_byte(link, data[i]);
            break;
        case GDB_SUM1:
            link->claimed = g_ascii_xdigit_value(data[i]) << 4;
            link->state = GDB_SUM2;
            break;
        case GDB_SUM2:
            link->claimed |= g_ascii_xdigit_value(data[i]) & 15;
            link->state = GDB_IDLE;
            end_packet(link);
            break;
        }
    }
}

void gdb_put_hex(GString *out, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        g_string_append_printf(out, "%02x", ((const uint8_t *)data)[i]);
    }
}

size_t gdb_get_hex(const char *text, uint8_t *data, size_t size)
{
    size_t n = 0;

    while (n < size && g_ascii_isxdigit(text[0]) && g_ascii_isxdigit(text[1])) {
        data[n++] = g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]);
        text += 2;
    }
    return n;
}

bool gdb_get_number(const char **text, uint64_t *value)
{
    const char *at = *text;

    *value = 0;
    while (g_ascii_isxdigit(*at)) {
        *value = *value << 4 | g_ascii_xdigit_value(*at++);
    }
    if (at == *text) {
        return false;
    }
    *text = at;
    return true;
}

bool gdb_get_after(const char **text, char separator, uint64_t *value)
{
    if (**text != separator) {
        return false;
    }
    ++*text;
    return gdb_get_number(text, value);
}
