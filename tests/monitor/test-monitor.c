/* Monitors: expressions, line editing, commands, and QMP conversations on a backend in memory. */
#include "backends/char.h"
#include "core/lock.h"
#include "core/memory.h"
#include "monitor/internal.h"
#include "monitor/readline.h"

#include <glib/gstdio.h>
#include <string.h>

/* ---- expressions ---- */

static uint64_t value_of(const char *text)
{
    GError *error = NULL;
    uint64_t value;
    bool good = expr_eval(text, NULL, &value, &error);

    g_assert_no_error(error);
    g_assert_true(good);
    return value;
}

static void operators_bind_as_in_c(void)
{
    g_assert_cmphex(value_of("1 + 2 * 3"), ==, 7);
    g_assert_cmphex(value_of("(1+2)*3"), ==, 9);
    g_assert_cmphex(value_of("0x10|1<<3"), ==, 0x18);
    g_assert_cmphex(value_of("7 & 3 ^ 1"), ==, 2);
    g_assert_cmphex(value_of("-1"), ==, UINT64_MAX);
    g_assert_cmphex(value_of("~0 % 10"), ==, UINT64_MAX % 10);
    g_assert_cmphex(value_of("10-3-2"), ==, 5);
    g_assert_cmphex(value_of("'A' + 010"), ==, 'A' + 8);
    g_assert_cmphex(value_of("1 << 64"), ==, 0);
}

static void wrong_expressions_are_refused(void)
{
    static const char *const texts[] = {
        "", "1 +", "(1", "1)", "2 3", "1/0", "1%0", "$", "$nothing", "0x", "08", "12ab", "'ab'",
        "99999999999999999999999",
    };
    GString *deep = g_string_new(NULL);
    uint64_t value;

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        GError *error = NULL;

        if (expr_eval(texts[i], NULL, &value, &error)) {
            g_error("'%s' was taken", texts[i]);
        }
        g_assert_nonnull(error);
        g_error_free(error);
    }
    for (int i = 0; i < 100000; i++) {
        g_string_append_c(deep, '(');
    }
    g_assert_false(expr_eval(deep->str, NULL, &value, NULL));
    g_string_free(deep, TRUE);
}

/* ---- line editing ---- */

static GString *typed;

static void drop(void *opaque, const char *text, size_t size)
{
}

static void keep_line(void *opaque, const char *line)
{
    g_string_append_printf(typed, "%s|", line);
    readline_show_prompt(*(Readline **)opaque);
}

static void type(const char *keys, const char *expected)
{
    static const ReadlineOps ops = { drop, keep_line, hmp_complete };
    Readline *rl = NULL;

    typed = g_string_new(NULL);
    rl = readline_new(&ops, &rl, "> ");
    readline_show_prompt(rl);
    readline_feed(rl, (const uint8_t *)keys, strlen(keys));
    g_assert_cmpstr(typed->str, ==, expected);
    g_string_free(typed, TRUE);
    readline_free(rl);
}

static void lines_are_edited(void)
{
    type("abc\r", "abc|");
    type("abc\r\ndef\n", "abc|def|");
    type("ac\033[Db\r", "abc|");
    type("bc\001a\r", "abc|");
    type("abx\177c\r", "abc|");
    type("abc def\027x\r", "abc x|");
    type("abc\001\013x\r", "x|");
    type("abc\025x\r", "x|");
    type("xabc\033[H\033[3~\r", "abc|");
    type("bc\033OHa\033[Fd\r", "abcd|");
    type("a\033[D\033[D\033[Db\033[C\033[C\033[Cc\r", "bac|");
}

static void history_is_browsed(void)
{
    type("one\rtwo\r\033[A\033[A\r", "one|two|one|");
    type("one\rtwo\r\020\020\016\r", "one|two|two|");
    type("one\rhalf\033[A\033[Bx\r", "one|halfx|");
    type("\033[A\033[Aa\r", "a|");
}

static void tab_completes_commands(void)
{
    type("system_p\t\r", "system_powerdown |");
    type("info reg\t\r", "info registers |");
    type("sys\tp\t\r", "system_powerdown |");
    type("nothing\t\r", "nothing|");
}

/* ---- commands ---- */

static void expect_output(const char *line, const char *expected)
{
    g_autofree char *text = monitor_run(line, 0);

    g_assert_cmpstr(text, ==, expected);
}

static void commands_print(void)
{
    expect_output("print 1+1", "0x2\n");
    expect_output("p/d 0-5", "-5\n");
    expect_output("p/c 65", "'A'\n");
    expect_output("  p/x   16  ", "0x10\n");
    expect_output("p /d 16", "16\n");
    expect_output("p  /x", "Error: wrong number of arguments; usage: print /fmt expr...\n");
    expect_output("", "");
    expect_output("nosuch", "unknown command: 'nosuch'\n");
    expect_output("info nosuch", "unknown command: 'info nosuch'\n");
    expect_output("stop/x", "Error: 'stop' takes no format\n");
    expect_output("info status", "VM status: paused (prelaunch)\n");
    expect_output("sendkey ctrl-nokey", "Error: unknown key: 'nokey'\n");
}

static void arguments_are_counted(void)
{
    expect_output("quit now", "Error: wrong number of arguments; usage: quit \n");
    expect_output("pmemsave 0 1", "Error: wrong number of arguments; usage: pmemsave addr size file\n");
    expect_output("eject", "Error: wrong number of arguments; usage: eject [-f] device\n");
    expect_output("eject \"no such\"", "Error: Device 'no such' not found\n");
}

static void every_command_has_help(void)
{
    for (const HmpCommand *command = hmp_commands; command->names; command++) {
        g_autofree char *name = g_strndup(command->names, strcspn(command->names, "|"));
        g_autofree char *line = g_strdup_printf("help %s", name);
        g_autofree char *text = monitor_run(line, 0);

        g_assert_true(g_str_has_prefix(text, name));
        g_assert_cmpuint(strlen(command->help), >, 10);
    }
}

static void memory_is_saved(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "myna-test-pmemsave", NULL);
    g_autofree char *line = g_strdup_printf("pmemsave 0xffc 10 \"%s\"", path);
    g_autofree char *content = NULL;
    gsize size;

    memory_write(memory_system(), 0xffc, "0123456789", 10);
    expect_output(line, "");
    g_assert_true(g_file_get_contents(path, &content, &size, NULL));
    g_assert_cmpmem(content, size, "0123456789", 10);
    g_unlink(path);
}

/* ---- QMP ---- */

static GString *heard;

static void hear(CharBackend *chr, const uint8_t *data, size_t size)
{
    g_string_append_len(heard, (const char *)data, size);
}

static const CharOps memory_ops = { .write = hear };

static CharBackend *open_qmp(void)
{
    static int count;
    g_autofree char *id = g_strdup_printf("qmp%d", count++);
    CharBackend *chr = char_register(id, &memory_ops, NULL);
    GError *error = NULL;

    heard = g_string_new(NULL);
    monitor_new(chr, MONITOR_QMP, false, false, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(heard->str, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": "));
    g_assert_true(g_str_has_suffix(heard->str, "\"capabilities\": [\"oob\"]}}\r\n"));
    return chr;
}

static void close_qmp(CharBackend *chr)
{
    char_deliver_event(chr, CHAR_CLOSED);
    g_string_free(heard, TRUE);
}

static const char *ask(CharBackend *chr, const char *text)
{
    g_string_truncate(heard, 0);
    char_deliver(chr, (const uint8_t *)text, strlen(text));
    return heard->str;
}

#define NEGOTIATE(chr) \
    g_assert_cmpstr(ask(chr, "{\"execute\": \"qmp_capabilities\"}\n"), ==, "{\"return\": {}}\r\n")

static void qmp_negotiates_first(void)
{
    CharBackend *chr = open_qmp();

    g_assert_nonnull(strstr(ask(chr, "{\"execute\": \"query-status\"}"), "\"CommandNotFound\""));
    NEGOTIATE(chr);
    g_assert_nonnull(strstr(ask(chr, "{\"execute\": \"qmp_capabilities\"}"), "\"CommandNotFound\""));
    g_assert_nonnull(strstr(ask(chr, "{\"execute\": \"query-status\"}"), "\"status\": \"prelaunch\""));
    /* A new connection starts from the beginning. */
    char_deliver_event(chr, CHAR_CLOSED);
    char_deliver_event(chr, CHAR_OPENED);
    g_assert_nonnull(strstr(ask(chr, "{\"execute\": \"stop\"}"), "\"CommandNotFound\""));
    close_qmp(chr);
}

static void qmp_echoes_ids(void)
{
    CharBackend *chr = open_qmp();

    NEGOTIATE(chr);
    g_assert_cmpstr(ask(chr, "{'execute': 'stop', 'id': {'a': [1]}}"), ==,
                    "{\"return\": {}, \"id\": {\"a\": [1]}}\r\n");
    g_assert_true(g_str_has_suffix(ask(chr, "{'execute': 'nonsense', 'id': 5}"), ", \"id\": 5}\r\n"));
    close_qmp(chr);
}

static void qmp_survives_nonsense(void)
{
    static const char *const inputs[] = {
        "{]", "{\"execute\": }\n", "[1]", "{}", "{\"execute\": 5}", "{\"execute\": \"stop\", \"x\": 1}",
        "{\"execute\": \"screendump\"}", "{\"execute\": \"screendump\", \"arguments\": []}",
        "{\"execute\": \"memsave\", \"arguments\": {\"filename\": \"/x\", \"cpu-index\": -1}}",
        "{\"execute\": \"pmemsave\", \"arguments\": {\"filename\": \"/x\", \"val\": \"a\"}}",
        "{\"execute\": \"send-key\", \"arguments\": {\"keys\": [1]}}",
        "{\"execute\": \"input-send-event\", \"arguments\": {\"events\": [{}]}}",
        "{\"execute\": \"eject\", \"arguments\": {\"device\": \"none\"}}",
        "{\"execute\": \"qom-get\", \"arguments\": {\"path\": \"/x\", \"property\": \"y\"}}",
        "{\"execute\": \"device_add\", \"arguments\": {\"driver\": 1}}",
    };
    CharBackend *chr = open_qmp();

    NEGOTIATE(chr);
    for (unsigned i = 0; i < G_N_ELEMENTS(inputs); i++) {
        if (!g_str_has_prefix(ask(chr, inputs[i]), "{\"error\": {\"class\": ")) {
            g_error("'%s' got '%s'", inputs[i], heard->str);
        }
    }
    g_assert_nonnull(strstr(ask(chr, "{\"execute\": \"query-status\"}"), "\"return\""));
    close_qmp(chr);
}

/* With no arguments: an answer or an error, and the session lives. */
static void every_qmp_command_answers(void)
{
    CharBackend *chr = open_qmp();

    NEGOTIATE(chr);
    for (const QmpCommand *command = qmp_commands; command->name; command++) {
        g_autofree char *text = g_strdup_printf("{\"execute\": \"%s\"}", command->name);

        if (strcmp(command->name, "quit") && strcmp(command->name, "cont")) {
            g_assert_true(g_str_has_suffix(ask(chr, text), "}\r\n"));
        }
    }
    close_qmp(chr);
}

static void qmp_hears_of_run_states(void)
{
    CharBackend *chr = open_qmp();

    NEGOTIATE(chr);
    ask(chr, "{\"execute\": \"cont\"}");
    g_assert_nonnull(strstr(heard->str, "\"event\": \"RESUME\"}\r\n"));
    g_assert_true(g_str_has_suffix(heard->str, "{\"return\": {}}\r\n"));
    ask(chr, "{\"execute\": \"stop\"}");
    g_assert_nonnull(strstr(heard->str, "\"event\": \"STOP\"}\r\n"));
    g_assert_true(g_str_has_prefix(heard->str, "{\"timestamp\": {\"seconds\": "));
    close_qmp(chr);
}

static void qmp_runs_commands_for_people(void)
{
    CharBackend *chr = open_qmp();

    NEGOTIATE(chr);
    g_assert_cmpstr(ask(chr, "{\"execute\": \"human-monitor-command\", "
                             "\"arguments\": {\"command-line\": \"print 2*3\"}}"),
                    ==, "{\"return\": \"0x6\\n\"}\r\n");
    close_qmp(chr);
}

static void people_get_a_prompt(void)
{
    CharBackend *chr = char_register("hmp", &memory_ops, NULL);

    heard = g_string_new(NULL);
    g_assert_true(monitor_new(chr, MONITOR_HMP, false, false, NULL));
    g_assert_true(g_str_has_prefix(heard->str, "Myna "));
    g_assert_true(g_str_has_suffix(heard->str, "'help' for more information\r\n(qemu) "));
    g_assert_cmpstr(ask(chr, "p 1\r"), ==, "p 1\r\n0x1\r\n(qemu) ");
    g_assert_cmpstr(ask(chr, "info history\r"), ==,
                    "info history\r\n0: 'p 1'\r\n1: 'info history'\r\n(qemu) ");
    g_string_free(heard, TRUE);
}

static void network_ends_come_and_go(void)
{
    static const struct {
        const char *line, *answer;
    } steps[] = {
        { "netdev_add none,id=cable", "" },
        { "netdev_add none,id=cable", "*two network backends*" },
        { "netdev_add nothing,id=x", "*no network backend 'nothing'*" },
        { "info network", "cable: type=none,link=up\n" },
        { "set_link cable off", "" },
        { "info network", "*link=down*" },
        { "set_link nobody off", "*not found*" },
        { "netdev_del cable", "" },
        { "netdev_del cable", "*not found*" },
        { "object_del nobody", "*not found*" },
        { "object_add nothing,id=x", "*no object type*" },
        { "hostfwd_add nobody tcp::1-:1", "*there is no user network*" },
        { "hostfwd_remove tcp::1", "*there is no user network*" },
        { "info usernet", "" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autofree char *text = monitor_run(steps[i].line, 0);

        if (!g_pattern_match_simple(steps[i].answer, text)) {
            g_error("'%s' prints '%s', not '%s'", steps[i].line, text, steps[i].answer);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    machine_lock();
    memory_init();
    region_add(memory_system_root(), 0, region_new_ram("ram", 0x4000, NULL));
#define ADD(fn) g_test_add_func("/monitor/" #fn, fn)
    ADD(operators_bind_as_in_c);
    ADD(wrong_expressions_are_refused);
    ADD(lines_are_edited);
    ADD(history_is_browsed);
    ADD(tab_completes_commands);
    ADD(commands_print);
    ADD(arguments_are_counted);
    ADD(every_command_has_help);
    ADD(memory_is_saved);
    ADD(qmp_negotiates_first);
    ADD(qmp_echoes_ids);
    ADD(qmp_survives_nonsense);
    ADD(people_get_a_prompt);
    ADD(every_qmp_command_answers);
    ADD(qmp_runs_commands_for_people);
    ADD(qmp_hears_of_run_states);
    ADD(network_ends_come_and_go);
    return g_test_run();
}
