/* QMP sessions: JSON commands in, answers and events out. */
#include "monitor/internal.h"

#include "config.h"
#include "util/error.h"

#include <stdio.h>
#include <string.h>

const QmpCommand qmp_commands[] = {
#define QMP(name, fn) { name, fn },
#include "monitor/qmp.def"
#undef QMP
    { NULL },
};

typedef struct QmpSession {
    CharBackend *chr;
    JsonStream *stream;
    bool pretty;
    bool negotiated; /* qmp_capabilities was given: commands and events go */
} QmpSession;

static GPtrArray *sessions;

static void send(QmpSession *session, const Json *message)
{
    g_autofree char *text = json_write(message, session->pretty);
    g_autofree char *line = g_strconcat(text, "\r\n", NULL);

    char_write(session->chr, (const uint8_t *)line, strlen(line));
}

static Json *error_answer(const char *class, const char *text)
{
    Json *answer = json_object(), *error = json_object();

    json_set_string(error, "class", class);
    json_set_string(error, "desc", text);
    json_set(answer, "error", error);
    return answer;
}

static const QmpCommand *find_command(const char *name)
{
    for (const QmpCommand *command = qmp_commands; command->name; command++) {
        if (g_str_equal(command->name, name)) {
            return command;
        }
    }
    return NULL;
}

static Json *wrong(const char *format, ...) G_GNUC_PRINTF(1, 2);

static Json *wrong(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return error_answer("GenericError", text);
}

/* The class that the QMP specification gives this error. */
static const char *error_class(const GError *error)
{
    if (g_error_matches(error, VM_ERROR, VM_ERROR_NOT_FOUND)) {
        return "DeviceNotFound";
    }
    return g_error_matches(error, VM_ERROR, VM_ERROR_INACTIVE) ? "DeviceNotActive" : "GenericError";
}

static Json *run_command(QmpSession *session, const char *name, const Json *arguments)
{
    const QmpCommand *command = find_command(name);
    bool first = g_str_equal(name, "qmp_capabilities");
    GError *error = NULL;
    Json *value, *answer;

    if (!command || first == session->negotiated) {
        g_autofree char *text = g_strdup_printf(
            !command || first ? "The command %s has not been found"
                              : "Expecting capabilities negotiation with 'qmp_capabilities', not '%s'",
            name);

        return error_answer("CommandNotFound", text);
    }
    value = command->fn(arguments, &error);
    if (error) {
        answer = error_answer(error_class(error), error->message);
        g_error_free(error);
        json_free(value);
        return answer;
    }
    session->negotiated = session->negotiated || first;
    answer = json_object();
    json_set(answer, "return", value ? value : json_object());
    return answer;
}

/* The answer to one input value, without its id. */
static Json *answer_to(QmpSession *session, const Json *input)
{
    const char *name;
    const Json *arguments = json_get(input, "arguments");

    if (json_kind(input) != JSON_OBJECT) {
        return wrong("QMP input must be a JSON object");
    }
    for (unsigned i = 0; i < json_count(input); i++) {
        const char *member = json_name_at(input, i);

        if (strcmp(member, "execute") && strcmp(member, "exec-oob") && strcmp(member, "arguments") &&
            strcmp(member, "id")) {
            return wrong("QMP input member '%s' is unexpected", member);
        }
    }
    name = json_member_string(input, "execute");
    if (!name) {
        name = json_member_string(input, "exec-oob");
    }
    if (!name) {
        return wrong("QMP input lacks member 'execute'");
    }
    if (arguments && json_kind(arguments) != JSON_OBJECT) {
        return wrong("QMP input member 'arguments' must be an object");
    }
    return run_command(session, name, arguments);
}

static void take_input(void *opaque, Json *input, const GError *error)
{
    QmpSession *session = opaque;
    g_autoptr(Json) answer = input ? answer_to(session, input)
                                   : wrong("JSON parse error, %s", error->message);
    const Json *id = input ? json_get(input, "id") : NULL;

    if (id) {
        json_set(answer, "id", json_copy(id));
    }
    send(session, answer);
    json_free(input);
}

static void greet(QmpSession *session)
{
    g_autoptr(Json) message = json_object();
    Json *greeting = json_object(), *capabilities = json_array();

    json_append(capabilities, json_string("oob"));
    json_set(greeting, "version", qmp_query_version(NULL, NULL));
    json_set(greeting, "capabilities", capabilities);
    json_set(message, "QMP", greeting);
    send(session, message);
}

static size_t can_receive(void *opaque)
{
    return 4096;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    QmpSession *session = opaque;

    json_stream_feed(session->stream, (const char *)data, size);
}

static void event(void *opaque, CharEvent what)
{
    QmpSession *session = opaque;

    if (what == CHAR_BREAK) {
        return;
    }
    session->negotiated = false;
    if (what == CHAR_OPENED) {
        if (session->stream) {
            json_stream_free(session->stream);
        }
        session->stream = json_stream_new(take_input, session);
        greet(session);
    }
}

static const CharFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
};

bool qmp_session_new(CharBackend *chr, bool pretty, GError **error)
{
    QmpSession *session = g_new0(QmpSession, 1);

    session->chr = chr;
    session->pretty = pretty;
    if (!char_attach(chr, &frontend, session, error)) {
        g_free(session);
        return false;
    }
    if (!sessions) {
        sessions = g_ptr_array_new();
    }
    g_ptr_array_add(sessions, session);
    return true;
}

void monitor_event(const char *name, Json *data)
{
    g_autoptr(Json) message = json_object();
    Json *time = json_object();
    int64_t now = g_get_real_time();

    json_set_int(time, "seconds", now / G_USEC_PER_SEC);
    json_set_int(time, "microseconds", now % G_USEC_PER_SEC);
    json_set(message, "timestamp", time);
    json_set_string(message, "event", name);
    if (data) {
        json_set(message, "data", data);
    }
    for (guint i = 0; sessions && i < sessions->len; i++) {
        QmpSession *session = sessions->pdata[i];

        if (session->negotiated) {
            send(session, message);
        }
    }
}

/* ---- arguments ---- */

const char *qmp_string(const Json *arguments, const char *name, GError **error)
{
    const char *text = json_member_string(arguments, name);

    if (!text) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    json_get(arguments, name) ? "Invalid parameter type for '%s', expected: string"
                                              : "Parameter '%s' is missing", name);
    }
    return text;
}

bool qmp_int(const Json *arguments, const char *name, int64_t *value, GError **error)
{
    const Json *member = json_get(arguments, name);

    if (!member || json_kind(member) != JSON_INT) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    member ? "Invalid parameter type for '%s', expected: integer"
                           : "Parameter '%s' is missing", name);
        return false;
    }
    *value = (int64_t)json_get_uint(member, 0);
    if (json_get_int(member, 0) < 0) {
        *value = json_get_int(member, 0);
    }
    return true;
}

/* ---- the protocol's own commands ---- */

Json *qmp_capabilities(const Json *arguments, GError **error)
{
    const Json *enable = json_get(arguments, "enable");

    for (unsigned i = 0; i < json_count(enable); i++) {
        const char *name = json_get_string(json_at(enable, i));

        if (g_strcmp0(name, "oob")) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "Capability '%s' is not offered",
                        name ? name : "?");
            return NULL;
        }
    }
    return NULL;
}

static Json *named(const char *name)
{
    Json *object = json_object();

    json_set_string(object, "name", name);
    return object;
}

Json *qmp_query_commands(const Json *arguments, GError **error)
{
    Json *list = json_array();

    for (const QmpCommand *command = qmp_commands; command->name; command++) {
        json_append(list, named(command->name));
    }
    return list;
}

Json *qmp_query_events(const Json *arguments, GError **error)
{
    Json *list = json_array();

    for (const char *const *name = qmp_events; *name; name++) {
        json_append(list, named(*name));
    }
    return list;
}

Json *qmp_query_version(const Json *arguments, GError **error)
{
    Json *version = json_object(), *numbers = json_object();
    int major = 0, minor = 0, micro = 0;

    sscanf(MYNA_VERSION, "%d.%d.%d", &major, &minor, &micro);
    json_set_int(numbers, "micro", micro);
    json_set_int(numbers, "minor", minor);
    json_set_int(numbers, "major", major);
    json_set(version, "qemu", numbers); /* the member's name is part of the protocol */
    json_set_string(version, "package", "Myna " MYNA_VERSION);
    return version;
}

Json *qmp_query_schema(const Json *arguments, GError **error)
{
    return json_array();
}

Json *qmp_query_nothing(const Json *arguments, GError **error)
{
    return json_array();
}

Json *qmp_query_empty(const Json *arguments, GError **error)
{
    return json_object();
}
