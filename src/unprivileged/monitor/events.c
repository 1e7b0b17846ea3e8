/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the guest (out of memory), passed on to whoever asked with CONTROL_EVENTS. */
#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "unprivileged/monitor/monitor.h"

#include <string.h>

static bool is_for(const struct subscription *s, const char *container) {
    return !container || strcmp(call_request(s->call)->container, container) == 0;
}

static void unsubscribe(struct monitor *m, const struct call *call) {
    for (struct subscription **p = &m->subscriptions; *p; p = &(*p)->next)
        if ((*p)->call == call) {
            struct subscription *s = *p;
            *p = s->next;
            free(s);
            return;
        }
}

static void on_closed(void *data, struct call *call) {
    struct err none = {.code = EPIPE};
    unsubscribe(data, call);
    call_fail(call, &none); /* frees it; nobody listens */
}

void events_subscribe(void *data, struct call *call) {
    struct monitor *m = data;
    struct err err = {0};
    struct container *c = container_find(m, call_request(call)->container);
    if (!c || c->state == CONTAINER_ENDED) {
        (void)err_set(&err, ESRCH, "container not running");
        return call_fail(call, &err);
    }
    if (call_stay(call, &err) < 0)
        return call_fail(call, &err);
    struct subscription *s = malloc(sizeof *s);
    if (!s) {
        (void)err_set(&err, ENOMEM, "out of memory");
        return call_fail(call, &err);
    }
    *s = (struct subscription){.next = m->subscriptions, .call = call};
    m->subscriptions = s;
    call_on_close(call, on_closed);
}

void events_end(struct monitor *m, const char *container) {
    for (struct subscription **p = &m->subscriptions; *p;) {
        struct subscription *s = *p;
        if (!is_for(s, container)) {
            p = &s->next;
            continue;
        }
        *p = s->next;
        call_succeed(s->call); /* the last reply, without a type */
        free(s);
    }
}

void events_fail(struct monitor *m, const struct err *why) {
    while (m->subscriptions) {
        struct subscription *s = m->subscriptions;
        m->subscriptions = s->next;
        call_fail(s->call, why);
        free(s);
    }
}

static void on_event(void *data, const struct err *why, const ProtobufCMessage *reply) {
    struct monitor *m = data;
    const Minka__Agent__V1__Event *event = (const Minka__Agent__V1__Event *)reply;
    if (why->code)
        return; /* the channel's end, or an agent that has no events */
    log_line(&m->log, "monitor", "event %s of container %s", event->type, event->container);
    for (struct subscription *s = m->subscriptions; s; s = s->next) {
        struct control_reply r;
        if (!is_for(s, event->container))
            continue;
        call_reply_init(s->call, &r);
        (void)snprintf(r.text, sizeof r.text, "%s", event->type);
        text_make_printable(r.text);
        call_reply_more(s->call, &r);
    }
    events_begin(m);
}

void events_begin(struct monitor *m) {
    Minka__Agent__V1__Empty message = MINKA__AGENT__V1__EMPTY__INIT;
    struct agent_request request = {
        .method = "NextEvent", .response = &minka__agent__v1__event__descriptor, .reply = on_event, .data = m};
    struct err err = {0};
    if (agent_call(m->agent, &request, &message.base, &err) < 0)
        log_line(&m->log, "monitor", "%s", err.text);
}
