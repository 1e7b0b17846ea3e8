/* SPDX-License-Identifier: Apache-2.0 */
#include "unprivileged/monitor/qmp.h"

#include "facts/json/json.h"
#include "shared/base/text.h"

#include <errno.h>
#include <stdio.h>

static void copy_text(char *to, size_t size, const char *from) {
    (void)snprintf(to, size, "%s", from);
    text_make_printable(to);
}

static int parse_event(const struct json_value *top, const char *name, struct qmp_message *ret, struct err *err) {
    struct json_value data;
    const char *reason = "";
    ret->kind = QMP_EVENT;
    copy_text(ret->text, sizeof ret->text, name);
    int r = json_get(top, "data", &data, err);
    if (r <= 0)
        return r;
    /* SHUTDOWN and RESET say why, GUEST_PANICKED what is done about it, VSERPORT_CHANGE whether the port is open. */
    r = json_get_string(&data, "reason", &reason, err);
    if (r == 0)
        r = json_get_string(&data, "action", &reason, err);
    if (r < 0)
        return r;
    copy_text(ret->reason, sizeof ret->reason, reason);
    return json_get_bool(&data, "open", &ret->open, err);
}

static int parse_error(const struct json_value *error, struct qmp_message *ret, struct err *err) {
    const char *description = "";
    ret->kind = QMP_ERROR;
    int r = json_get_string(error, "desc", &description, err);
    if (r < 0)
        return r;
    copy_text(ret->text, sizeof ret->text, description);
    return 0;
}

static int parse_top(const struct json_value *top, struct qmp_message *ret, struct err *err) {
    struct json_value value;
    const char *event = NULL;
    int r = json_get(top, "QMP", &value, err);
    if (r != 0) {
        ret->kind = QMP_GREETING;
        return r;
    }
    r = json_get_string(top, "event", &event, err);
    if (r != 0)
        return r < 0 ? r : parse_event(top, event, ret, err);
    r = json_get_u64(top, "id", &ret->id, err);
    if (r < 0)
        return r;
    r = json_get(top, "error", &value, err);
    if (r != 0)
        return r < 0 ? r : parse_error(&value, ret, err);
    ret->kind = QMP_RETURN;
    r = json_get(top, "return", &value, err);
    if (r == 0)
        return err_set(err, EBADMSG, "it is no greeting, return, error or event");
    return r;
}

int qmp_message_parse(const char *line, size_t length, struct qmp_message *ret, struct err *err) {
    _cleanup_json_ struct json *json = NULL;
    struct qmp_message message = {0};
    if (length > QMP_LINE_MAX)
        return err_set(err, EBADMSG, "the line is longer than %d bytes", QMP_LINE_MAX);
    int r = json_parse(line, length, "QMP", &json, err);
    if (r == 0) {
        struct json_value top = json_top(json);
        r = parse_top(&top, &message, err);
    }
    if (r < 0) {
        if (err)
            err->code = EBADMSG;
        return -EBADMSG;
    }
    *ret = message;
    return 0;
}
