/* gdb's questions about the machine and about what this server can do. */
#include "system/gdbstub.h"

#include "core/machine.h"
#include "monitor/monitor.h"
#include "target/guest.h"

#include <string.h>

static void reply(const char *text)
{
    gdb_send(&gdb.link, text);
}

static void answer_supported(const char *text)
{
    bool xml = cpu_count() && guest_ops(cpu_get(0))->gdb_target_xml;
    g_autofree char *features =
        g_strdup_printf("PacketSize=%x;QStartNoAckMode+;vContSupported+%s", GDB_PACKET_SIZE,
                        xml ? ";qXfer:features:read+" : "");

    reply(features);
}

/* ANNEX:offset,length */
static void transfer_features(const char *text)
{
    const char *colon = strchr(text, ':');
    g_autofree char *annex = colon ? g_strndup(text, colon - text) : NULL;
    Cpu *cpu = cpu_get(gdb.current);
    const char *xml = annex ? guest_ops(cpu)->gdb_target_xml(cpu, annex) : NULL;
    uint64_t offset, length;
    GString *out;

    if (!xml) {
        reply("E00");
        return;
    }
    colon++;
    if (!gdb_get_number(&colon, &offset) || !gdb_get_after(&colon, ',', &length)) {
        reply("E22");
        return;
    }
    offset = MIN(offset, strlen(xml));
    length = MIN(length, GDB_PACKET_SIZE / 2); /* each byte may need an escape */
    out = g_string_new(strlen(xml + offset) > length ? "m" : "l");
    g_string_append_len(out, xml + offset, MIN(strlen(xml + offset), length));
    gdb_send_bytes(&gdb.link, out->str, out->len);
    g_string_free(out, TRUE);
}

static void list_threads(void)
{
    GString *out = g_string_new("m");

    for (int i = 0; i < cpu_count(); i++) {
        g_string_append_printf(out, "%s%02x", i ? "," : "", i + 1);
    }
    reply(out->str);
    g_string_free(out, TRUE);
}

static void describe_thread(const char *text)
{
    GString *out = g_string_new(NULL);
    uint64_t id;
    Cpu *cpu = gdb_get_number(&text, &id) && id ? cpu_get((int)MIN(id, 10000) - 1) : NULL;
    g_autofree char *about = cpu ? g_strdup_printf("CPU#%d [%s]", cpu->index,
                                                   cpu->halted ? "halted " : "running")
                                 : NULL;

    if (about) {
        gdb_put_hex(out, about, strlen(about));
    }
    reply(about ? out->str : "E22");
    g_string_free(out, TRUE);
}

/* `monitor COMMAND` in gdb: the output comes in pieces. */
static void run_command(const char *digits)
{
    g_autofree uint8_t *line = g_malloc0(GDB_PACKET_SIZE);
    g_autofree char *text = NULL;

    gdb_get_hex(digits, line, GDB_PACKET_SIZE - 1);
    text = monitor_run((char *)line, gdb.current);
    for (size_t at = 0, n = strlen(text); at < n; at += GDB_PACKET_SIZE / 4) {
        GString *out = g_string_new("O");

        gdb_put_hex(out, text + at, MIN(n - at, GDB_PACKET_SIZE / 4));
        reply(out->str);
        g_string_free(out, TRUE);
    }
    reply("OK");
}

void gdb_query(const char *text)
{
    if (g_str_has_prefix(text, "Supported")) {
        answer_supported(text);
    } else if (g_str_has_prefix(text, "Xfer:features:read:")) {
        transfer_features(text + strlen("Xfer:features:read:"));
    } else if (g_str_equal(text, "fThreadInfo")) {
        list_threads();
    } else if (g_str_equal(text, "sThreadInfo")) {
        reply("l");
    } else if (g_str_has_prefix(text, "ThreadExtraInfo,")) {
        describe_thread(text + strlen("ThreadExtraInfo,"));
    } else if (g_str_equal(text, "C")) {
        g_autofree char *current = g_strdup_printf("QC%02x", gdb.current + 1);

        reply(current);
    } else if (g_str_has_prefix(text, "Attached")) {
        reply("1");
    } else if (g_str_has_prefix(text, "Rcmd,")) {
        run_command(text + strlen("Rcmd,"));
    } else if (g_str_equal(text, "qemu.PhyMemMode")) {
        reply(gdb.physical ? "1" : "0");
    } else {
        reply("");
    }
}

void gdb_set(const char *text)
{
    if (g_str_equal(text, "StartNoAckMode")) {
        reply("OK");
        gdb.link.no_ack = true;
    } else if (g_str_has_prefix(text, "qemu.PhyMemMode:")) {
        gdb.physical = text[strlen("qemu.PhyMemMode:")] == '1';
        reply("OK");
    } else {
        reply("");
    }
}
