/* The barest client: what a null server's log is checked against.
 *
 * raw_client PORT COUNT GAP_US TOKENS LOG: COUNT connections are opened, then one request goes out on each, GAP_US apart.
 * The log has, per request, i64 values: number, time before the send, time after it, chunks, and for each token chunk the
 * kernel's receive stamp brought to CLOCK_MONOTONIC. One thread, one epoll, one timerfd; it parses nothing: a chunk is a
 * "text" in the bytes, and a read that holds several gives them one stamp.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct request {
    int fd, done;
    int64_t before, after, chunks, *stamps;
};

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* The tightest of a few readings of both clocks. */
static int64_t wall_minus_monotonic(void) {
    int64_t best = 0, width = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t a = read_clock(CLOCK_MONOTONIC), wall = read_clock(CLOCK_REALTIME), b = read_clock(CLOCK_MONOTONIC);
        if (b - a < width) width = b - a, best = wall - (a + b) / 2;
    }
    return best;
}

static int connect_to(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
    return fd;
}

static void send_request(struct request *r, long number, long tokens) {
    char body[256], all[512];
    int length = sprintf(body, "{\"model\":\"null\",\"prompt\":\"%ld\",\"max_tokens\":%ld,\"stream\":true}", number, tokens);
    int whole = sprintf(all, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", length, body);
    r->before = read_clock(CLOCK_MONOTONIC);
    if (send(r->fd, all, whole, MSG_NOSIGNAL) != whole) die("send");
    r->after = read_clock(CLOCK_MONOTONIC);
}

/* One read; returns 1 when the answer has ended. */
static int receive(struct request *r, long tokens) {
    char data[65536], control[128];
    struct iovec io = {data, sizeof data - 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(r->fd, &m, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return 1;
    data[n] = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int64_t stamp = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        stamp = t.tv_sec * 1000000000LL + t.tv_nsec - wall_minus_monotonic();
    }
    for (char *at = data; (at = strstr(at, "\"text\":")); at++)
        if (r->chunks < tokens) r->stamps[r->chunks++] = stamp;
    return strstr(data, "[DONE]") != NULL;
}

int main(int argc, char **argv) {
    if (argc != 6) return fprintf(stderr, "usage: raw_client PORT COUNT GAP_US TOKENS LOG\n"), 2;
    long port = atol(argv[1]), count = atol(argv[2]), gap_us = atol(argv[3]), tokens = atol(argv[4]), sent = 0, done = 0;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct request *all = calloc(count, sizeof *all);
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &e);
    for (long i = 0; i < count; i++) {
        all[i].fd = connect_to(port);
        all[i].stamps = calloc(tokens, sizeof(int64_t));
        e.data.ptr = &all[i];
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e);
    }
    int64_t start = read_clock(CLOCK_MONOTONIC) + 20000000;
    while (done < count) {
        for (; sent < count && start + sent * gap_us * 1000 <= read_clock(CLOCK_MONOTONIC); sent++)
            send_request(&all[sent], sent, tokens);
        int64_t due = sent < count ? start + sent * gap_us * 1000 : 0;
        struct itimerspec t = {.it_value = {due / 1000000000LL, due % 1000000000LL}};
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL);
        int n = epoll_wait(epoll, events, 256, 5000);
        if (n == 0) break;
        for (int i = 0; i < n; i++) {
            struct request *r = events[i].data.ptr;
            if (r && !r->done && receive(r, tokens)) {
                r->done = 1, done++;
                epoll_ctl(epoll, EPOLL_CTL_DEL, r->fd, NULL);
            }
        }
    }
    FILE *log = fopen(argv[5], "wb");
    if (!log) die(argv[5]);
    for (long i = 0; i < count; i++) {
        int64_t head[4] = {i, all[i].before, all[i].after, all[i].chunks};
        fwrite(head, sizeof *head, 4, log);
        fwrite(all[i].stamps, sizeof(int64_t), all[i].chunks, log);
    }
    fclose(log);
    return done == count ? 0 : 1;
}
