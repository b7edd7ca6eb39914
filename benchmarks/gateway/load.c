/* Load for a gateway: closed loop, open loop, or streams; one thread, one epoll; figures as one line of JSON.
 *
 * Requests are one set of bytes made beforehand. An answer is told from its end (Content-Length, or the last chunk), by
 * its status, and in streams by the stamp that each event carries: the time just before the upstream handed it to the
 * kernel, CLOCK_MONOTONIC ns of the same machine. Latency in the open loop counts from when a request was due, so a
 * gateway that stalls does not make its own load lighter. It trusts the servers it measures and checks no grammar.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define READ_BYTES 262144
#define STAMP "\"at\":\""
#define STATUSES 600

struct samples { int64_t *at; size_t len, cap; };

struct connection {
    int fd, is_busy, is_connected, is_in_head, is_chunked, status;
    int64_t due, left; /* left: body bytes to come, -1 until the head is read */
    size_t sent, kept;
    char head[8192], end[8];
    size_t head_len;
    struct connection *next_idle;
};

static const char *mode = "closed", *path = "/v1/completions", *body = "{}", *headers = "";
static long port, connections = 64, rate = 0;
static double seconds = 5, warm = 1;
static char *request;
static size_t request_len;
static struct connection *all, *idle;
static struct samples latency, refusal, transit;
static long statuses[STATUSES], broken, events, finished, dropped;
static int epoll_fd;
static int64_t begun, measured_from, ends, next_due;
static uint64_t chance = 88172645463325252ULL;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void note(struct samples *s, int64_t value) {
    if (s->len == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 65536;
        s->at = realloc(s->at, s->cap * sizeof *s->at);
        if (!s->at) die("realloc");
    }
    s->at[s->len++] = value;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double at_share(struct samples *s, double share) {
    if (!s->len) return -1;
    return s->at[(size_t)(share * (s->len - 1))] / 1e6;
}

static void open_connection(struct connection *c) {
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static void send_rest(struct connection *c) {
    while (c->is_busy && c->sent < request_len) {
        ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
        if (n <= 0) return;
        c->sent += n;
    }
}

static void ask(struct connection *c, int64_t due) {
    c->is_busy = c->is_in_head = 1;
    c->sent = c->head_len = c->kept = 0;
    c->status = c->is_chunked = 0;
    c->due = due;
    if (c->is_connected) send_rest(c);
}

static double uniform(void) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (chance >> 11) * (1.0 / 9007199254740992.0);
}

static void send_due(int64_t now) {
    while (next_due <= now && now < ends) {
        struct connection *c = idle;
        if (!c) { /* every connection waits: what is due now is not sent, and told */
            dropped++;
        } else {
            idle = c->next_idle;
            ask(c, next_due);
        }
        next_due += (int64_t)((0.5 + uniform()) * NS / rate);
    }
}

static void done(struct connection *c, int64_t now) {
    c->is_busy = 0;
    if (c->due >= measured_from && c->due < ends) {
        finished++;
        statuses[c->status]++;
        note(c->status == 200 ? &latency : &refusal, now - c->due);
    }
    if (!rate && now < ends) {
        ask(c, now);
    } else if (rate) {
        c->next_idle = idle;
        idle = c;
    }
}

static void lost(struct connection *c, int64_t now) {
    if (c->is_busy && now < ends) broken++;
    close(c->fd);
    int was_busy = c->is_busy;
    open_connection(c);
    if (!rate && now < ends) ask(c, now);
    else if (rate && was_busy) {
        c->next_idle = idle;
        idle = c;
    }
}

/* Events that are whole within this read; one that is cut is found neither here nor in the next, and not counted. */
static void read_stamps(const char *data, size_t len, int64_t now) {
    const char *at = data, *end = data + len;
    while ((at = memmem(at, end - at, STAMP, sizeof STAMP - 1)) && end - at > 25) {
        at += sizeof STAMP - 1;
        events++;
        int64_t sent = strtoll(at, NULL, 10);
        if (sent >= measured_from && sent < ends) note(&transit, now - sent);
    }
}

static int read_head(struct connection *c, const char *data, size_t len, size_t *used) {
    size_t before = c->head_len, take = len;
    if (take > sizeof c->head - 1 - before) take = sizeof c->head - 1 - before;
    memcpy(c->head + before, data, take);
    c->head_len += take;
    c->head[c->head_len] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return 0;
    *used = end + 4 - c->head - before;
    end[2] = 0;
    c->status = atoi(c->head + 9) % STATUSES;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->is_chunked = !length;
    c->left = length ? atoll(length + 17) : -1;
    c->is_in_head = 0;
    return 1;
}

static void take(struct connection *c, const char *data, size_t len, int64_t now) {
    size_t used = 0;
    if (!c->is_busy) return;
    if (c->is_in_head && !read_head(c, data, len, &used)) return;
    data += used;
    len -= used;
    if (!strcmp(mode, "streams")) read_stamps(data, len, now);
    if (!c->is_chunked) {
        c->left -= len;
        if (c->left <= 0) done(c, now);
        return;
    }
    for (size_t keep = len < 5 ? len : 5, i = 0; i < keep; i++) { /* the last five bytes of the stream so far */
        if (c->kept == 5) memmove(c->end, c->end + 1, 4), c->kept = 4;
        c->end[c->kept++] = data[len - keep + i];
    }
    if (c->kept == 5 && !memcmp(c->end, "0\r\n\r\n", 5)) done(c, now);
}

static void on_event(struct connection *c, uint32_t what, char *buffer) {
    if (what & EPOLLOUT) {
        c->is_connected = 1;
        send_rest(c);
    }
    while (what & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(c->fd, buffer, READ_BYTES, 0);
        if (n < 0 && errno == EAGAIN) return;
        int64_t now = now_ns();
        if (n <= 0) {
            lost(c, now);
            return;
        }
        take(c, buffer, n, now);
        if (n < READ_BYTES) return;
    }
}

static void run(void) {
    static char buffer[READ_BYTES];
    struct epoll_event ready[256];
    begun = now_ns();
    measured_from = begun + (int64_t)(warm * NS);
    ends = measured_from + (int64_t)(seconds * NS);
    next_due = begun + NS / 10;
    int64_t grace = ends + (rate ? 2 * NS : 0);
    for (int64_t now = begun; now < grace; now = now_ns()) {
        int64_t left = 20000000;
        if (rate && next_due < ends && next_due - now < left) left = next_due > now ? next_due - now : 0;
        struct timespec wait = {0, left}; /* to the nanosecond: to spin would take a core from those it measures */
        int n = epoll_pwait2(epoll_fd, ready, 256, &wait, NULL);
        for (int i = 0; i < n; i++) on_event(ready[i].data.ptr, ready[i].events, buffer);
        if (rate) send_due(now_ns());
    }
}

static void print_samples(const char *name, struct samples *s) {
    qsort(s->at, s->len, sizeof *s->at, by_value);
    printf(",\"%s\":{\"count\":%zu,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f}", name, s->len, at_share(s, 0.5),
           at_share(s, 0.99), at_share(s, 1.0));
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--mode")) mode = value;
        else if (!strcmp(name, "--port")) port = atol(value);
        else if (!strcmp(name, "--path")) path = value;
        else if (!strcmp(name, "--body")) body = value;
        else if (!strcmp(name, "--headers")) headers = value;
        else if (!strcmp(name, "--connections")) connections = atol(value);
        else if (!strcmp(name, "--rate")) rate = atol(value);
        else if (!strcmp(name, "--seconds")) seconds = atof(value);
        else if (!strcmp(name, "--warm")) warm = atof(value);
    }
    prctl(PR_SET_TIMERSLACK, 1);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    request_len = asprintf(&request,
                           "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nContent-Type: application/json\r\n"
                           "User-Agent: load\r\nAccept: */*\r\n%sContent-Length: %zu\r\n\r\n%s",
                           path, port, headers, strlen(body), body);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    all = calloc(connections, sizeof *all);
    for (long i = 0; i < connections; i++) {
        open_connection(&all[i]);
        if (rate) {
            all[i].next_idle = idle;
            idle = &all[i];
        } else {
            ask(&all[i], now_ns());
        }
    }
    run();
    printf("{\"seconds\":%.3f,\"finished\":%ld,\"broken\":%ld,\"dropped\":%ld,\"events\":%ld", seconds, finished, broken,
           dropped, events);
    for (int i = 0; i < STATUSES; i++)
        if (statuses[i]) printf(",\"status_%d\":%ld", i, statuses[i]);
    print_samples("latency", &latency);
    print_samples("refusal", &refusal);
    print_samples("transit", &transit);
    printf("}\n");
    return 0;
}
