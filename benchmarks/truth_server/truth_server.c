/* A server of known truth: answers OpenAI completion streams at exact times, and writes down when it really did.
 *
 * It is what a load generator's stamps are checked against, so it is small, in C, one thread, one epoll and one timerfd.
 * Every chunk has an absolute due time (start + TTFT + i x tokens per chunk x ITL): no drift. The log has, per answer,
 * i64 values: prompt number, connection, arrival, end, chunks, then the time just before each token chunk was handed to
 * the kernel; all CLOCK_MONOTONIC ns. "Prompt number" is the first number in the prompt: the client's name for a request.
 * It generates nothing, checks nothing of the model's name, and speaks only what is needed of HTTP. Any GET is answered
 * with a list of one model, "truth": load generators ask for it, or for /health, before they begin. GETs are not logged.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
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

#define US 1000LL
#define CUTS 3
#define CUT_GAP_NS 1000000LL
#define EVENT_BYTES 1024
#define FIRES_BEFORE_READS 32

enum step { ROLE, TOKENS, TAIL, TERMINATOR, ERROR_BODY, PLAIN_BODY };

struct options {
    long port, ttft_us, itl_us, per_chunk, error_percent, stall_at, stall_us, slow_close_us, wrong_usage, cut_after;
    int role_first, reasoning, odd_cuts, no_keep_alive, one_slot, continuous_usage, drop_reused, silent_close;
    const char *log;
};

struct connection {
    int fd, heap_at, answers, is_chat, is_open; /* open: an answer was begun and is not in the log */
    enum step step;
    char *in;
    size_t in_len, in_cap;
    long prompt, tokens, chunk, number;
    int64_t arrival, start, due, *sent;
    long sent_cap;
    char event[EVENT_BYTES]; /* the event being sent in pieces, when cuts are odd */
    size_t event_len, event_at;
    int piece;
};

static struct options opt = {.ttft_us = 50000, .itl_us = 10000, .per_chunk = 1, .stall_at = -1, .cut_after = -1};
static struct connection **heap;
static int heap_len, heap_cap, epoll_fd, timer_fd;
static long requests, connections;
static int64_t slot_free_at;
static FILE *log_file;
static volatile sig_atomic_t stopping;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* --- timers: a binary heap of connections by due time --- */

static void heap_put(int at, struct connection *c) {
    heap[at] = c;
    c->heap_at = at;
}

static void heap_sift(int at) {
    struct connection *c = heap[at];
    while (at > 0 && heap[(at - 1) / 2]->due > c->due) {
        heap_put(at, heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        int child = 2 * at + 1;
        if (child + 1 < heap_len && heap[child + 1]->due < heap[child]->due) child++;
        if (child >= heap_len || heap[child]->due >= c->due) break;
        heap_put(at, heap[child]);
        at = child;
    }
    heap_put(at, c);
}

static void unschedule(struct connection *c) {
    if (c->heap_at < 0) return;
    int at = c->heap_at;
    c->heap_at = -1;
    if (at == --heap_len) return;
    heap_put(at, heap[heap_len]);
    heap_sift(at);
}

static void schedule(struct connection *c, int64_t due) {
    c->due = due;
    if (c->heap_at < 0) {
        if (heap_len == heap_cap) {
            heap_cap = heap_cap ? heap_cap * 2 : 1024;
            heap = realloc(heap, heap_cap * sizeof *heap);
            if (!heap) die("realloc");
        }
        heap_put(heap_len++, c);
    }
    heap_sift(c->heap_at);
}

/* --- answers --- */

static void write_log(struct connection *c) {
    c->is_open = 0;
    if (!log_file) return;
    int64_t head[5] = {c->prompt, c->number, c->arrival, now_ns(), c->chunk};
    fwrite(head, sizeof *head, 5, log_file);
    fwrite(c->sent, sizeof *c->sent, c->chunk, log_file);
}

/* An answer that a client leaves (some do after the last event, before the end of the response) is logged as it is. */
static void close_connection(struct connection *c) {
    if (c->is_open) write_log(c);
    unschedule(c);
    close(c->fd);
    free(c->in);
    free(c->sent);
    free(c);
}

/* Returns 0 when the peer is gone. A peer that does not read blocks the whole server: truth ends there anyway. */
static int send_all(struct connection *c, const char *data, size_t len) {
    while (len) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = c->fd, .events = POLLOUT};
            poll(&p, 1, 1000);
            continue;
        }
        if (n < 0) return 0;
        data += n;
        len -= n;
    }
    return 1;
}

static size_t wrap_chunk(char *out, const char *format, ...) {
    char data[EVENT_BYTES - 64];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(data, sizeof data, format, args);
    va_end(args);
    return sprintf(out, "%x\r\n%s\r\n", len, data);
}

static long chunk_size(const struct connection *c, long chunk) {
    long left = c->tokens - chunk * opt.per_chunk;
    return left < opt.per_chunk ? left : opt.per_chunk;
}

static int is_last_chunk(const struct connection *c) { return (c->chunk + 1) * opt.per_chunk >= c->tokens; }

static void make_token_event(struct connection *c) {
    char text[256] = "", usage[128] = "";
    long size = chunk_size(c, c->chunk);
    for (long i = 0; i < size && strlen(text) < 240; i++) strcat(text, " word");
    if (opt.continuous_usage)
        sprintf(usage, ",\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":%ld}", c->chunk * opt.per_chunk + size);
    const char *finish = is_last_chunk(c) ? "\"length\"" : "null";
    const char *form = "data: {\"id\":\"cmpl-%ld\",\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"%s\","
                       "\"finish_reason\":%s}]%s}\n\n";
    if (c->is_chat && opt.reasoning && c->chunk == 0)
        form = "data: {\"id\":\"chat-%ld\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":"
               "{\"reasoning_content\":\"%s\"},\"finish_reason\":%s}]%s}\n\n";
    else if (c->is_chat)
        form = "data: {\"id\":\"chat-%ld\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":"
               "{\"content\":\"%s\"},\"finish_reason\":%s}]%s}\n\n";
    c->event_len = wrap_chunk(c->event, form, c->prompt, text, finish, usage);
}

static void make_role_event(struct connection *c) {
    const char *choice = c->is_chat ? "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}" : "\"text\":\"\"";
    const char *usage = opt.continuous_usage ? ",\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":0}" : "";
    c->event_len = wrap_chunk(c->event, "data: {\"choices\":[{\"index\":0,%s,\"finish_reason\":null}]%s}\n\n", choice, usage);
}

static void make_tail_events(struct connection *c) {
    c->event_len = wrap_chunk(c->event,
                              "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":%ld,"
                              "\"total_tokens\":%ld}}\n\ndata: [DONE]\n\n",
                              c->tokens + opt.wrong_usage, c->tokens + 8 + opt.wrong_usage);
}

static int64_t chunk_due(const struct connection *c) {
    int64_t due = c->start + opt.ttft_us * US + c->chunk * opt.per_chunk * opt.itl_us * US;
    return opt.stall_at >= 0 && c->chunk >= opt.stall_at ? due + opt.stall_us * US : due;
}

/* Schedule the event in `event` to be whole at `due`; odd cuts send its first pieces a little earlier. */
static void plan_event(struct connection *c, enum step step, int64_t due) {
    c->step = step;
    c->event_at = 0;
    c->piece = opt.odd_cuts ? 0 : CUTS - 1;
    schedule(c, due - (CUTS - 1 - c->piece) * CUT_GAP_NS);
}

static void next_token(struct connection *c) {
    make_token_event(c);
    plan_event(c, TOKENS, chunk_due(c));
}

static void read_requests(struct connection *c);

static void end_answer(struct connection *c) {
    if (c->is_open) write_log(c);
    c->answers++;
    if (opt.no_keep_alive || opt.silent_close) {
        close_connection(c);
        return;
    }
    c->tokens = 0;
    read_requests(c);
}

static void note_sent(struct connection *c, int64_t at) {
    if (c->chunk == c->sent_cap) {
        c->sent_cap = c->sent_cap ? c->sent_cap * 2 : 128;
        c->sent = realloc(c->sent, c->sent_cap * sizeof *c->sent);
        if (!c->sent) die("realloc");
    }
    c->sent[c->chunk++] = at;
}

static void after_event(struct connection *c, int64_t at) {
    switch (c->step) {
    case ROLE:
        next_token(c);
        break;
    case TOKENS: {
        int last = is_last_chunk(c);
        note_sent(c, at);
        if (opt.cut_after >= 0 && c->chunk >= opt.cut_after) {
            close_connection(c);
        } else if (last) {
            make_tail_events(c);
            plan_event(c, TAIL, at);
        } else {
            next_token(c);
        }
        break;
    }
    case TAIL:
        c->event_len = sprintf(c->event, "0\r\n\r\n");
        plan_event(c, TERMINATOR, at + opt.slow_close_us * US);
        break;
    case TERMINATOR:
    case ERROR_BODY:
    case PLAIN_BODY:
        end_answer(c);
        break;
    }
}

static void fire(struct connection *c) {
    size_t end = c->event_len;
    if (c->piece < CUTS - 1) { /* an odd place: changes with prompt, chunk and piece */
        unsigned spread = (unsigned)(c->prompt * 31 + c->chunk * 17 + c->piece * 7);
        end = c->event_at + 1 + spread % (c->event_len > c->event_at + 1 ? c->event_len - c->event_at - 1 : 1);
    }
    if (end > c->event_len) end = c->event_len;
    int64_t at = now_ns();
    if (!send_all(c, c->event + c->event_at, end - c->event_at)) {
        close_connection(c);
        return;
    }
    c->event_at = end;
    if (c->piece < CUTS - 1) {
        c->piece++;
        schedule(c, c->due + CUT_GAP_NS);
        return;
    }
    unschedule(c);
    after_event(c, at);
}

/* --- requests --- */

static long number_after(const char *text, const char *name, long fallback) {
    const char *at = strstr(text, name);
    if (!at) return fallback;
    at += strlen(name);
    while (*at && !(*at >= '0' && *at <= '9')) {
        if (*at == '}') return fallback;
        at++;
    }
    return strtol(at, NULL, 10);
}

static int is_error_turn(void) {
    long p = opt.error_percent;
    return p && requests * p / 100 != (requests - 1) * p / 100;
}

static void answer_error(struct connection *c) {
    const char *body = "{\"error\":{\"message\":\"the truth is that this one fails\",\"code\":500}}";
    c->event_len = sprintf(c->event, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
                                     "Content-Length: %zu\r\n%s\r\n%s",
                           strlen(body), opt.no_keep_alive ? "Connection: close\r\n" : "", body);
    plan_event(c, ERROR_BODY, c->start + opt.ttft_us * US);
}

static void answer_get(struct connection *c) {
    const char *body = "{\"object\":\"list\",\"data\":[{\"id\":\"truth\",\"object\":\"model\",\"owned_by\":\"truth\"}]}";
    c->event_len = sprintf(c->event, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                     "Content-Length: %zu\r\n%s\r\n%s",
                           strlen(body), opt.no_keep_alive ? "Connection: close\r\n" : "", body);
    plan_event(c, PLAIN_BODY, c->arrival);
}

/* Returns 0 when the connection is gone. */
static int begin_answer(struct connection *c, const char *request) {
    if (strncmp(request, "GET ", 4) == 0) {
        answer_get(c);
        return 1;
    }
    requests++;
    c->is_open = 1;
    c->is_chat = strncmp(request, "POST /v1/chat", 13) == 0 || strstr(request, "\"messages\":") != NULL;
    c->tokens = number_after(request, "\"max_tokens\":", 16);
    c->prompt = number_after(request, c->is_chat ? "\"content\":" : "\"prompt\":", -1);
    c->chunk = 0;
    c->start = c->arrival;
    if (opt.one_slot) {
        if (c->start < slot_free_at) c->start = slot_free_at;
        slot_free_at = c->start + opt.ttft_us * US + (c->tokens - 1) * opt.itl_us * US;
    }
    if (is_error_turn()) {
        answer_error(c);
        return 1;
    }
    char head[256];
    int len = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                            "Transfer-Encoding: chunked\r\n%s\r\n",
                      opt.no_keep_alive ? "Connection: close\r\n" : "");
    if (!send_all(c, head, len)) {
        close_connection(c);
        return 0;
    }
    if (opt.role_first) {
        make_role_event(c);
        plan_event(c, ROLE, c->start + opt.ttft_us * US / 2);
    } else {
        next_token(c);
    }
    return 1;
}

/* Take one whole request off the input, if there is one and none is being answered. */
static void read_requests(struct connection *c) {
    if (c->tokens || !c->in_len) return;
    c->in[c->in_len] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return;
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    size_t body = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
    size_t whole = end + 4 - c->in + body;
    if (c->in_len < whole) return;
    if (opt.drop_reused && c->answers) {
        close_connection(c);
        return;
    }
    c->arrival = now_ns();
    char kept = c->in[whole];
    c->in[whole] = 0;
    c->tokens = 1; /* busy, until the request says how many */
    if (!begin_answer(c, c->in)) return;
    c->in[whole] = kept;
    c->in_len -= whole;
    memmove(c->in, c->in + whole, c->in_len);
}

static void on_readable(struct connection *c) {
    if (c->in_cap - c->in_len < 65536) {
        c->in_cap = c->in_cap ? c->in_cap * 2 : 131072;
        c->in = realloc(c->in, c->in_cap);
        if (!c->in) die("realloc");
    }
    ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len - 1, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        close_connection(c);
        return;
    }
    c->in_len += n;
    read_requests(c);
}

static void on_accept(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        c->heap_at = -1;
        c->number = connections++;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

/* --- process --- */

static int listen_on(long port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) die("listen");
    getsockname(fd, (struct sockaddr *)&a, &len);
    printf("port %d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

static void parse(int argc, char **argv) {
    struct { const char *name; long *number; int *flag; } known[] = {
        {"port", &opt.port, 0}, {"ttft-us", &opt.ttft_us, 0}, {"itl-us", &opt.itl_us, 0},
        {"per-chunk", &opt.per_chunk, 0}, {"error-percent", &opt.error_percent, 0}, {"stall-at", &opt.stall_at, 0},
        {"stall-us", &opt.stall_us, 0}, {"slow-close-us", &opt.slow_close_us, 0}, {"wrong-usage", &opt.wrong_usage, 0},
        {"cut-after", &opt.cut_after, 0}, {"role-first", 0, &opt.role_first}, {"reasoning", 0, &opt.reasoning},
        {"odd-cuts", 0, &opt.odd_cuts}, {"no-keep-alive", 0, &opt.no_keep_alive}, {"one-slot", 0, &opt.one_slot},
        {"continuous-usage", 0, &opt.continuous_usage}, {"drop-reused", 0, &opt.drop_reused},
        {"silent-close", 0, &opt.silent_close},
    };
    for (int i = 1; i < argc; i++) {
        int found = 0;
        if (!strcmp(argv[i], "--log") && i + 1 < argc) opt.log = argv[++i], found = 1;
        for (size_t k = 0; !found && k < sizeof known / sizeof *known; k++) {
            if (strncmp(argv[i], "--", 2) || strcmp(argv[i] + 2, known[k].name)) continue;
            if (known[k].flag) *known[k].flag = 1, found = 1;
            else if (i + 1 < argc) *known[k].number = strtol(argv[++i], NULL, 10), found = 1;
        }
        if (!found) {
            fprintf(stderr, "truth_server: unknown or unfinished option %s\n", argv[i]);
            exit(2);
        }
    }
    if (opt.per_chunk < 1) opt.per_chunk = 1;
}

static void serve(int listener) {
    struct epoll_event events[256];
    int64_t armed = 0;
    while (!stopping) {
        for (int fired = 0; fired < FIRES_BEFORE_READS && heap_len && heap[0]->due <= now_ns(); fired++) fire(heap[0]);
        int64_t due = heap_len ? heap[0]->due : 0;
        if (due != armed) {
            struct itimerspec t = {.it_value = {due / 1000000000LL, due % 1000000000LL}};
            timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
            armed = due;
        }
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &timer_fd) continue;
            if (events[i].data.ptr == &epoll_fd) on_accept(listener);
            else on_readable(events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    if (opt.log && !(log_file = fopen(opt.log, "wb"))) die(opt.log);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int listener = listen_on(opt.port);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &timer_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &e);
    e.data.ptr = &epoll_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    serve(listener);
    if (log_file) fclose(log_file);
    return 0;
}
