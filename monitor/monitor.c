/* Human monitors on character backends. */
#include "monitor/internal.h"
#include "monitor/readline.h"

#include "config.h"

#include <string.h>

typedef struct HmpSession {
    CharBackend *chr;
    Readline *readline;
    int cpu;
    bool greeted, quiet; /* quiet: attached to a mux, nobody has switched here yet */
} HmpSession;

static void write_raw(void *opaque, const char *text, size_t size)
{
    HmpSession *session = opaque;

    char_write(session->chr, (const uint8_t *)text, size);
}

/* Terminals want a carriage return before each line feed. */
static void write_text(HmpSession *session, const char *text)
{
    GString *out = g_string_new(NULL);

    for (; *text; text++) {
        if (*text == '\n') {
            g_string_append_c(out, '\r');
        }
        g_string_append_c(out, *text);
    }
    write_raw(session, out->str, out->len);
    g_string_free(out, TRUE);
}

static void run_line(void *opaque, const char *line)
{
    HmpSession *session = opaque;
    Hmp hmp = {
        .out = g_string_new(NULL),
        .cpu = session->cpu,
        .history = readline_history(session->readline),
    };

    hmp_execute(&hmp, line);
    session->cpu = hmp.cpu;
    write_text(session, hmp.out->str);
    g_string_free(hmp.out, TRUE);
    readline_show_prompt(session->readline);
}

static const ReadlineOps readline_ops = {
    .write = write_raw,
    .line = run_line,
    .complete = hmp_complete,
};

static size_t can_receive(void *opaque)
{
    return 4096;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    HmpSession *session = opaque;

    readline_feed(session->readline, data, size);
}

static void event(void *opaque, CharEvent what)
{
    HmpSession *session = opaque;

    if (what == CHAR_CLOSED) {
        session->greeted = false;
    }
    if (what != CHAR_OPENED || session->quiet) {
        return;
    }
    if (!session->greeted) {
        write_text(session, "Myna " MYNA_VERSION " monitor - type 'help' for more information\n");
        session->greeted = true;
    }
    readline_show_prompt(session->readline);
}

static const CharFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
};

static bool hmp_session_new(CharBackend *chr, bool shared, GError **error)
{
    HmpSession *session = g_new0(HmpSession, 1);

    session->chr = chr;
    session->readline = readline_new(&readline_ops, session, "(qemu) ");
    session->quiet = shared; /* while attaching only */
    if (!char_attach(chr, &frontend, session, error)) {
        readline_free(session->readline);
        g_free(session);
        return false;
    }
    session->quiet = false;
    return true;
}

bool monitor_new(CharBackend *chr, MonitorMode mode, bool pretty, bool shared, GError **error)
{
    qmp_events_init();
    return mode == MONITOR_QMP ? qmp_session_new(chr, pretty, error)
                               : hmp_session_new(chr, shared, error);
}
