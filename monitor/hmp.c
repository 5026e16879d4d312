/* Lines of the human monitor: which command they mean, its words, help. */
#include "monitor/internal.h"

#include "util/error.h"

#include <string.h>

const HmpCommand hmp_commands[] = {
#define COMMAND(names, args, help, fn) { names, args, help, fn },
#define INFO(names, args, help, fn)
#include "monitor/commands.def"
#undef COMMAND
#undef INFO
    { NULL },
};

const HmpCommand hmp_infos[] = {
#define COMMAND(names, args, help, fn)
#define INFO(names, args, help, fn) { names, args, help, fn },
#include "monitor/commands.def"
#undef COMMAND
#undef INFO
    { NULL },
};

MonitorHooks monitor_hooks;

void monitor_set_hooks(const MonitorHooks *hooks)
{
    monitor_hooks = *hooks;
}

void hmp_printf(Hmp *hmp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(hmp->out, format, args);
    va_end(args);
}

void hmp_error(Hmp *hmp, GError *error)
{
    hmp_printf(hmp, "Error: %s\n", error->message);
    g_error_free(error);
}

Cpu *hmp_cpu(Hmp *hmp)
{
    Cpu *cpu = cpu_get(hmp->cpu);

    if (!cpu) {
        hmp_printf(hmp, "Error: there is no CPU\n");
    }
    return cpu;
}

bool hmp_number(Hmp *hmp, const HmpArgs *args, int index, uint64_t *value)
{
    GError *error = NULL;

    if (!expr_eval(args->argv[index], cpu_get(hmp->cpu), value, &error)) {
        hmp_error(hmp, error);
        return false;
    }
    return true;
}

bool hmp_flag(const HmpArgs *args, const char *flag)
{
    for (int i = 0; i < args->argc; i++) {
        if (g_str_equal(args->argv[i], flag)) {
            return true;
        }
    }
    return false;
}

static bool has_name(const HmpCommand *command, const char *name, size_t n)
{
    for (const char *at = command->names;; at++) {
        size_t length = strcspn(at, "|");

        if (length == n && !strncmp(at, name, n)) {
            return true;
        }
        at += length;
        if (!*at) {
            return false;
        }
    }
}

const HmpCommand *hmp_find(const HmpCommand *list, const char *name)
{
    for (; list->names; list++) {
        if (has_name(list, name, strlen(name))) {
            return list;
        }
    }
    return NULL;
}

/* Words, with "..." around those that have spaces and \ before a quote inside. */
static char **split_words(const char *text)
{
    GPtrArray *words = g_ptr_array_new();

    for (;;) {
        GString *word;
        bool quoted;

        while (g_ascii_isspace(*text)) {
            text++;
        }
        if (!*text) {
            break;
        }
        word = g_string_new(NULL);
        quoted = *text == '"';
        text += quoted;
        while (*text && (quoted ? *text != '"' : !g_ascii_isspace(*text))) {
            if (quoted && *text == '\\' && text[1]) {
                text++;
            }
            g_string_append_c(word, *text++);
        }
        text += quoted && *text;
        g_ptr_array_add(words, g_string_free(word, FALSE));
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

/* How many words the command's arguments allow, from their description. */
static bool right_count(const HmpCommand *command, int argc)
{
    g_auto(GStrv) words = g_strsplit(command->args, " ", -1);
    bool open = g_str_has_suffix(command->args, "...") || g_str_has_suffix(command->args, "...]");
    int least = 0, most = 0;

    for (char **word = words; *word; word++) {
        if (**word && **word != '/') {
            most++;
            least += **word != '[';
        }
    }
    return argc >= least && (open || argc <= most);
}

static void run(Hmp *hmp, const HmpCommand *command, const char *format, const char *rest)
{
    g_auto(GStrv) words = split_words(rest);
    HmpArgs args = { format, rest, g_strv_length(words), words };

    if (!right_count(command, args.argc)) {
        g_autofree char *name = g_strndup(command->names, strcspn(command->names, "|"));

        hmp_printf(hmp, "Error: wrong number of arguments; usage: %s %s\n", name, command->args);
        return;
    }
    command->fn(hmp, &args);
}

void hmp_execute(Hmp *hmp, const char *line)
{
    g_autofree char *text = g_strstrip(g_strdup(line));
    size_t n = strcspn(text, " \t");
    g_autofree char *name = g_strndup(text, n);
    char *format = strchr(name, '/'), *rest = g_strchug(text + n);
    const HmpCommand *command;

    if (!n) {
        return;
    }
    if (format) {
        *format++ = 0;
    }
    command = hmp_find(hmp_commands, name);
    if (!format && command && command->args[0] == '/' && *rest == '/') { /* as a word of its own */
        format = rest + 1;
        rest += strcspn(rest, " \t");
        if (*rest) {
            *rest++ = 0;
            rest = g_strchug(rest);
        }
    }
    if (!command) {
        hmp_printf(hmp, "unknown command: '%s'\n", name);
    } else if (format && command->args[0] != '/') {
        hmp_printf(hmp, "Error: '%s' takes no format\n", name);
    } else {
        run(hmp, command, format ? format : "", rest);
    }
}

char *monitor_run(const char *line, int cpu)
{
    Hmp hmp = { .out = g_string_new(NULL), .cpu = cpu };

    hmp_execute(&hmp, line);
    return g_string_free(hmp.out, FALSE);
}

/* ---- help and info ---- */

static void help_row(Hmp *hmp, const char *before, const HmpCommand *command)
{
    hmp_printf(hmp, "%s%s%s%s -- %s\n", before, command->names, *command->args ? " " : "",
               command->args, command->help);
}

static void list_infos(Hmp *hmp)
{
    for (const HmpCommand *info = hmp_infos; info->names; info++) {
        help_row(hmp, "info ", info);
    }
}

void hmp_help(Hmp *hmp, const HmpArgs *args)
{
    const HmpCommand *command;

    if (!args->argc) {
        for (command = hmp_commands; command->names; command++) {
            help_row(hmp, "", command);
        }
        return;
    }
    if (g_str_equal(args->argv[0], "info")) {
        if (args->argc == 1) {
            list_infos(hmp);
        } else if ((command = hmp_find(hmp_infos, args->argv[1]))) {
            help_row(hmp, "info ", command);
        } else {
            hmp_printf(hmp, "unknown command: 'info %s'\n", args->argv[1]);
        }
        return;
    }
    command = hmp_find(hmp_commands, args->argv[0]);
    if (command) {
        help_row(hmp, "", command);
    } else {
        hmp_printf(hmp, "unknown command: '%s'\n", args->argv[0]);
    }
}

void hmp_info(Hmp *hmp, const HmpArgs *args)
{
    const HmpCommand *info = args->argc ? hmp_find(hmp_infos, args->argv[0]) : NULL;

    if (!args->argc) {
        list_infos(hmp);
    } else if (!info) {
        hmp_printf(hmp, "unknown command: 'info %s'\n", args->argv[0]);
    } else {
        run(hmp, info, "", g_strchug((char *)args->rest + strcspn(args->rest, " \t")));
    }
}

/* ---- completion ---- */

static void add_matches(GPtrArray *found, const HmpCommand *list, const char *start)
{
    for (; list->names; list++) {
        g_auto(GStrv) names = g_strsplit(list->names, "|", -1);

        for (char **name = names; *name; name++) {
            if (g_str_has_prefix(*name, start)) {
                g_ptr_array_add(found, g_strdup(*name));
            }
        }
    }
}

char **hmp_complete(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
    GPtrArray *kept = g_ptr_array_new(), *found = g_ptr_array_new();
    guint count = g_strv_length(words);
    const char *last = count ? words[count - 1] : "";

    for (guint i = 0; i + 1 < count; i++) {
        if (*words[i]) {
            g_ptr_array_add(kept, words[i]);
        }
    }
    if (!kept->len) {
        add_matches(found, hmp_commands, last);
    } else if (kept->len == 1 && g_str_equal(kept->pdata[0], "info")) {
        add_matches(found, hmp_infos, last);
    } else if (g_str_equal(kept->pdata[0], "help")) {
        bool info = g_str_equal(kept->pdata[kept->len - 1], "info");

        add_matches(found, info ? hmp_infos : hmp_commands, last);
    }
    g_ptr_array_free(kept, TRUE);
    g_ptr_array_add(found, NULL);
    return (char **)g_ptr_array_free(found, FALSE);
}
