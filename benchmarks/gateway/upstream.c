/* The upstream behind every gateway of the comparison: OpenAI's completions, made of nothing, as fast as C can.
 *
 * One thread, one epoll. A request with `"stream": true` gets `max_tokens` events, one each `seed` us, and each carries
 * the time just before it is handed to the kernel (`"at":`, CLOCK_MONOTONIC ns). Any other gets a whole answer after
 * `seed` us; with --slots only so many are served at once, and the rest are told 429. GET gets a list of one model,
 * "bench". It checks nothing, and sends what a real worker's server sends: chunks, keep-alive, a date.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 65536
#define CHUNKED \
    "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-type: text/event-stream; charset=utf-8\r\n" \
    "transfer-encoding: chunked\r\n\r\n"
#define USAGE "\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":%ld,\"total_tokens\":%ld}"

struct connection {
    int fd, heap_at, is_stream, has_slot;
    long event, events, gap_us;
    int64_t due;
    size_t in_len;
    char in[READ_BYTES];
};

static long port, slots, taken;
static struct connection **heap;
static int heap_len, heap_cap, epoll_fd;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void put(int at, struct connection *c) {
    heap[at] = c;
    c->heap_at = at;
}

static void sift(int at) {
    struct connection *c = heap[at];
    for (; at > 0 && heap[(at - 1) / 2]->due > c->due; at = (at - 1) / 2) put(at, heap[(at - 1) / 2]);
    for (int child; (child = 2 * at + 1) < heap_len; at = child) {
        if (child + 1 < heap_len && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= c->due) break;
        put(at, heap[child]);
    }
    put(at, c);
}

static void schedule(struct connection *c, int64_t due) {
    c->due = due;
    if (c->heap_at < 0) {
        if (heap_len == heap_cap && !(heap = realloc(heap, (heap_cap = heap_cap * 2 + 1024) * sizeof *heap))) die("realloc");
        put(heap_len++, c);
    }
    sift(c->heap_at);
}

static void unschedule(struct connection *c) {
    if (c->heap_at < 0) return;
    int at = c->heap_at;
    c->heap_at = -1;
    if (at == --heap_len) return;
    put(at, heap[heap_len]);
    sift(at);
}

static void give_slot(struct connection *c) {
    if (c->has_slot) taken--;
    c->has_slot = 0;
}

static void drop(struct connection *c) {
    unschedule(c);
    give_slot(c);
    close(c->fd);
    free(c);
}

static void say(struct connection *c, const char *data, size_t len) {
    if (send(c->fd, data, len, MSG_NOSIGNAL) < 0) shutdown(c->fd, SHUT_RDWR); /* a reader this slow is given up */
}

static void say_whole(struct connection *c, const char *status, const char *body) {
    char out[1024];
    int len = snprintf(out, sizeof out, "HTTP/1.1 %s\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-type: "
                       "application/json\r\ncontent-length: %zu\r\n\r\n%s", status, strlen(body), body);
    say(c, out, len);
}

static void answer(struct connection *c) {
    char body[512];
    snprintf(body, sizeof body, "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"bench\","
             "\"choices\":[{\"index\":0,\"text\":\" word word word\",\"logprobs\":null,\"finish_reason\":\"length\"}]," USAGE
             "}", 3L, 11L);
    say_whole(c, "200 OK", body);
    give_slot(c);
}

static void next_event(struct connection *c) {
    char data[512], out[600];
    int len;
    if (c->event < c->events) {
        len = snprintf(data, sizeof data, "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":"
                       "\"bench\",\"at\":\"%019lld\",\"choices\":[{\"index\":0,\"text\":\" word\",\"logprobs\":null,"
                       "\"finish_reason\":null}]}\n\n", (long long)now_ns());
        say(c, out, snprintf(out, sizeof out, "%x\r\n%s\r\n", len, data));
        c->event++;
        schedule(c, c->due + c->gap_us * 1000);
        return;
    }
    len = snprintf(data, sizeof data, "data: {\"choices\":[]," USAGE "}\n\ndata: [DONE]\n\n", c->events, c->events + 8);
    say(c, out, snprintf(out, sizeof out, "%x\r\n%s\r\n0\r\n\r\n", len, data));
    c->is_stream = 0;
    unschedule(c);
}

static long number_after(const char *text, const char *name, long otherwise) {
    const char *at = strstr(text, name);
    if (!at) return otherwise;
    at += strlen(name);
    while (*at == ' ' || *at == ':') at++;
    return atol(at);
}

static void begin(struct connection *c, const char *request) {
    c->events = number_after(request, "\"max_tokens\"", 16);
    c->gap_us = number_after(request, "\"seed\"", 0);
    if (!strncmp(request, "GET ", 4)) {
        say_whole(c, "200 OK", "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1,\"owned_by\":"
                  "\"bench\"}]}");
    } else if (strstr(request, "\"stream\": true") || strstr(request, "\"stream\":true")) {
        c->is_stream = 1;
        c->event = 0;
        say(c, CHUNKED, sizeof CHUNKED - 1);
        schedule(c, now_ns() + c->gap_us * 1000);
    } else if (slots && taken >= slots) {
        say_whole(c, "429 Too Many Requests", "{\"error\":{\"message\":\"full\",\"type\":\"rate_limit_error\",\"param\":null,"
                  "\"code\":\"overloaded\"}}");
    } else if (c->gap_us) {
        taken += c->has_slot = 1;
        schedule(c, now_ns() + c->gap_us * 1000);
    } else {
        answer(c);
    }
}

/* Requests come whole or in pieces, one at a time: no gateway of the comparison sends ahead. */
static void on_readable(struct connection *c) {
    ssize_t n = recv(c->fd, c->in + c->in_len, READ_BYTES - 1 - c->in_len, 0);
    if (n <= 0) {
        drop(c);
        return;
    }
    c->in_len += n;
    c->in[c->in_len] = 0;
    char *end = strstr(c->in, "\r\n\r\n"), *field = strcasestr(c->in, "\r\ncontent-length:");
    if (!end) return;
    if (field && field < end && c->in_len < end + 4 - c->in + strtoul(field + 17, NULL, 10)) return;
    if (!field && strcasestr(c->in, "\r\ntransfer-encoding: chunked") && !strstr(end + 4, "0\r\n\r\n")) return;
    c->in_len = 0;
    begin(c, c->in);
}

static void on_accept(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        c->heap_at = -1;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

static void serve(int listener) {
    struct epoll_event ready[256];
    for (;;) {
        int64_t now = now_ns();
        for (int fired = 0; fired < 64 && heap_len && heap[0]->due <= now; fired++) {
            struct connection *c = heap[0];
            if (c->is_stream) next_event(c);
            else unschedule(c), answer(c);
        }
        int64_t left = heap_len ? heap[0]->due - now_ns() : 100000000;
        struct timespec wait = {0, left < 0 ? 0 : left < 100000000 ? left : 100000000};
        int n = epoll_pwait2(epoll_fd, ready, 256, &wait, NULL);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr == &epoll_fd) on_accept(listener);
            else on_readable(ready[i].data.ptr);
        }
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        long value = atol(argv[i + 1]);
        if (!strcmp(argv[i], "--port")) port = value;
        else if (!strcmp(argv[i], "--slots")) slots = value;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("listen");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &epoll_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    printf("ready\n");
    fflush(stdout);
    serve(listener);
}
