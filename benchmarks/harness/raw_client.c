/* The least a load generator can do: what its rates and errors show is the machine's and the server's own limit.
 *
 * One thread, one epoll, one timerfd. Requests are bytes made beforehand, sent on kept connections at Poisson times (or
 * whenever one of N streams is free). An answer is read and thrown away: noted are the kernel's receive stamps of the
 * first read after the head and of the last, and the end is known by the last five bytes. Nothing is parsed.
 * Output: per request i64 number, due, sent, first, last; CLOCK_MONOTONIC ns. It trusts the server, and asks for one
 * that answers on 127.0.0.1, in chunks, with keep-alive.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define REQUEST_BYTES 320
#define READ_BYTES 65536
#define SYNC_NS 500000000LL

struct note { int64_t number, due, sent, first, last; };

struct connection {
    int fd, has_head;
    long request;
    char end[5];
    size_t end_len;
    struct connection *next_free;
};

static long port, count, tokens = 64, streams, seed = 1;
static double rate;
static const char *out;
static struct note *notes;
static char (*requests)[REQUEST_BYTES];
static struct connection *idle;
static int epoll_fd, timer_fd;
static long next_request, finished;
static int64_t wall_offset, synced_at;

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void sync_clocks(int64_t now) {
    if (now - synced_at < SYNC_NS) return;
    int64_t before = clock_ns(CLOCK_MONOTONIC), wall = clock_ns(CLOCK_REALTIME), after = clock_ns(CLOCK_MONOTONIC);
    wall_offset = wall - (before + after) / 2;
    synced_at = after;
}

static struct connection *connect_new(void) {
    struct connection *c = calloc(1, sizeof *c);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    if (!c || (c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) die("socket");
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    return c;
}

static void send_next(void) {
    struct connection *c = idle;
    if (c) idle = c->next_free;
    else c = connect_new();
    long i = c->request = next_request++;
    c->has_head = 0;
    c->end_len = 0;
    notes[i].sent = clock_ns(CLOCK_MONOTONIC);
    if (send(c->fd, requests[i], strlen(requests[i]), MSG_NOSIGNAL) < 0) die("send");
}

static int64_t stamp_of(struct msghdr *m, int64_t otherwise) {
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SO_TIMESTAMPNS) continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(h), sizeof t);
        return t.tv_sec * NS + t.tv_nsec - wall_offset;
    }
    return otherwise;
}

/* Keep the last five bytes; the end of a chunked answer is "0\r\n\r\n". */
static int is_end(struct connection *c, const char *data, size_t n) {
    char all[10];
    size_t kept = n >= 5 ? 0 : c->end_len, fresh = n >= 5 ? 5 : n;
    memcpy(all, c->end, kept);
    memcpy(all + kept, data + n - fresh, fresh);
    size_t whole = kept + fresh, from = whole > 5 ? whole - 5 : 0;
    c->end_len = whole - from;
    memcpy(c->end, all + from, c->end_len);
    return c->end_len == 5 && !memcmp(c->end, "0\r\n\r\n", 5);
}

static void on_readable(struct connection *c) {
    static char data[READ_BYTES];
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec v = {data, sizeof data};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int64_t now = clock_ns(CLOCK_MONOTONIC);
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server closed a connection");
    struct note *note = &notes[c->request];
    int64_t at = stamp_of(&m, now);
    char *body = c->has_head ? data : memmem(data, n, "\r\n\r\n", 4);
    if (!c->has_head) {
        c->has_head = 1;
        if (body + 4 == data + n) return;
    }
    if (!note->first) note->first = at;
    note->last = at;
    if (!is_end(c, data, n)) return;
    finished++;
    c->next_free = idle;
    idle = c;
    if (streams && next_request < count) send_next();
}

static void plan(void) {
    notes = calloc(count, sizeof *notes);
    requests = calloc(count, sizeof *requests);
    if (!notes || !requests) die("calloc");
    srand48(seed);
    double at = 0;
    int64_t start = clock_ns(CLOCK_MONOTONIC) + 50000000;
    for (long i = 0; i < count; i++) {
        char body[160];
        int n = sprintf(body, "{\"model\":\"truth\",\"prompt\":\"%ld words\",\"max_tokens\":%ld,\"stream\":true}", i, tokens);
        sprintf(requests[i], "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                             "Content-Length: %d\r\n\r\n%s", n, body);
        notes[i].number = i;
        notes[i].due = streams ? 0 : start + (int64_t)(at * NS);
        if (!streams) at -= log(1 - drand48()) / rate;
    }
}

static void send_due(void) {
    while (next_request < count && notes[next_request].due <= clock_ns(CLOCK_MONOTONIC)) send_next();
    int64_t due = next_request < count ? notes[next_request].due : 0;
    struct itimerspec t = {.it_value = {due / NS, due % NS}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void run(void) {
    struct epoll_event events[256];
    for (long i = 0; i < streams && next_request < count; i++) send_next();
    while (finished < count) {
        if (!streams) send_due();
        sync_clocks(clock_ns(CLOCK_MONOTONIC));
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (!streams && next_request < count && notes[next_request].due <= clock_ns(CLOCK_MONOTONIC)) send_due();
            if (events[i].data.ptr != &timer_fd) on_readable(events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--port")) port = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--requests")) count = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--tokens")) tokens = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--streams")) streams = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--seed")) seed = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--rate")) rate = atof(argv[i + 1]);
        else if (!strcmp(argv[i], "--out")) out = argv[i + 1];
    }
    if (!port || !count || !out || (!rate && !streams)) {
        fprintf(stderr, "raw_client: needs --port, --requests, --out, and --rate or --streams\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &timer_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &e);
    sync_clocks(SYNC_NS);
    plan();
    struct sched_param lowest = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_RR, &lowest); /* as our driver and the server; without the right to it, as it is */
    run();
    FILE *file = fopen(out, "wb");
    if (!file || fwrite(notes, sizeof *notes, count, file) != (size_t)count || fclose(file)) die(out);
    return 0;
}
