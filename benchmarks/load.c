/* An MQTT 3.1.1 load generator for comparing brokers: one thread, epoll, no dependency but libc
 * and, with -DWITH_TLS, OpenSSL.
 *
 *   load traffic port=PORT [key=value ...]     publishers and subscribers
 *   load idle    port=PORT connections=N       connections that are opened and say nothing
 *   load restart port=PORT connections=N       clients that come back after the broker's end
 *
 * It is spoken to over standard input and output, so that whoever measures the broker can read
 * the broker's clock exactly before and after the traffic:
 *
 *   once all connections stand, it prints one JSON line (how many, in how many seconds);
 *   each line it then reads is a number of seconds to publish for; it publishes that long,
 *   waits until everything has arrived, and prints one JSON line of figures;
 *   at the end of its input it leaves.
 *
 * With `durable`, subscribers have sessions that outlive their connections. With `away` they are not
 * connected meanwhile: a run publishes and waits for the acknowledgements, and at the line `collect`
 * they come for what waits, and one more JSON line of figures follows. With `acknowledgements`, the
 * latencies are those from PUBLISH to its PUBACK. With `beside=N`, so many pairs of other clients
 * exchange messages of QoS 0 at `rate`, as many as that a second, and the latencies are theirs;
 * `quiet` leaves them alone.
 *
 * The clients of `restart` have durable sessions with a subscription each. From the line that it
 * reads on, those whose connections break come back until they are let in, and each publishes to
 * itself, at QoS 1: who gets that is served.
 *
 * With `filters`, so many topic filters are subscribed to that get nothing: by each of the connections
 * of `idle`, or beside the clients of `traffic` by others, FILTERS_EACH by one of them.
 *
 * With `subscribe_at=PORT,PORT...` subscribers go to those ports by turns: to other nodes of a cluster
 * than the publishers.
 *
 * With `identifier=N`, subscribers speak MQTT 5 and have a subscription identifier, up to 127, while
 * publishers speak 3.1.1.
 *
 * Publisher i publishes to topic i % topics and subscriber j subscribes to topic j % topics, or
 * all of them to `filter`. With `alternate`, each publisher goes through so many topics, bench/000000
 * and on, from one message to the next; it wants a `filter`. Each payload carries its time of
 * departure, its publisher and a sequence number, by which losses, repetitions and disorder are found.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

enum packet_type {
    CONNECT = 1, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK,
};
enum role { PUBLISHER, SUBSCRIBER, IDLER, SENDER, RECEIVER, RETURNER };

enum {
    SETUP_TIMEOUT = 60,      /* seconds until all connections must stand */
    QUIET = 3,               /* seconds without any progress after which the rest counts as lost */
    SETUP_BATCH = 64,        /* connections opened before the answers are read */
    MAX_EVENTS = 512,
    AGAIN = 10,              /* milliseconds between two tries to connect */
    MAX_UNSENT = 64 * 1024,  /* bytes: a publisher with this much unsent waits for its socket */
    FILTERS_EACH = 5000,     /* of one client that gets nothing */
    FILTERS_AT_ONCE = 100,   /* in one SUBSCRIBE */
    IDENTIFIER = 11,         /* the property: a subscription identifier */
    DIGITS = 6,              /* of a topic's number, where topics alternate */
};

struct stamp {               /* the first bytes of each payload */
    uint64_t departed;       /* nanoseconds */
    uint32_t publisher;
    uint32_t sequence;
};

struct buffer {
    uint8_t *data;
    size_t start, end, capacity;
};

struct connection {
    int fd;
    enum role role;
    int index;
    int waits_for_socket;    /* registered for EPOLLOUT */
    struct buffer in, out;
    struct buffer frames;    /* WebSocket: what leaves, in frames */
    struct buffer raw;       /* WebSocket: what came, in frames */
    size_t frame_left;       /* WebSocket: bytes of the frame being received */
#ifdef WITH_TLS
    SSL *tls;
#endif
    char topic[128];

    /* of a publisher */
    uint8_t *frame;          /* a whole PUBLISH: identifier and stamp are filled in for each message */
    size_t frame_length, identifier_at, stamp_at;
    uint16_t identifier;
    int unacknowledged;
    uint32_t sequence;       /* of the next message */
    uint32_t first_sequence; /* of this run: anything older is a straggler of the run before */
    uint64_t *departed;      /* by packet identifier, where the latency is the acknowledgement's */

    /* of a subscriber: the next sequence number due, by publisher */
    uint32_t *due;

    /* of an idler */
    long filters, granted;   /* that it subscribes to, and those that were granted */

    /* of a client that comes back */
    uint64_t again_at;       /* when it is to try again; 0: it does not wait for that */
    int served;
};

static struct {
    const char *host, *filter, *topic, *subscribe_at;
    long port, publishers, subscribers, topics, qos, size, window, rate, ahead, connections;
    long tls, websocket, alternate, messages, durable, away, acknowledgements, beside, quiet, filters;
    long identifier;
} options = {
    .host = "127.0.0.1", .filter = "", .topic = "bench/%d", .subscribe_at = "",
    .port = 1883, .publishers = 1, .subscribers = 1, .topics = 1, .qos = 0, .size = 64,
    .window = 64,     /* QoS 0: messages a write; QoS 1 and 2: unacknowledged messages, per publisher */
    .rate = 0,        /* messages a second, of all publishers together; 0: as fast as it goes */
    .ahead = 20000,   /* messages published beyond those delivered */
    .connections = 1000,
    .alternate = 0,   /* topics that each publisher takes in turn; 0: it keeps to its own */
    .messages = 0,    /* as many as are published in a run at most; 0: without a bound */
};

static struct {
    long published, acknowledged, delivered, released;
    long skipped;     /* deliveries known to be lost, because a later one came */
    long wrong;       /* deliveries repeated, out of order or altered */
    double per_publish;  /* deliveries that one published message makes, on average */
} count;

static int poller, timer = -1, ready;
static long due_now;  /* messages that the timer says are due, when there is a rate */
static struct connection **publishers, **subscribers, **senders, **returners;
static int forgets;           /* sessions that an earlier run has left are let go of */
static int waits_for_return;  /* the broker is about to end: who loses it comes back */
static long served, resumed;

/* ---- small things --------------------------------------------------------------------------- */

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(3);
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        fail("out of memory");
    return memory;
}

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds_since(uint64_t start)
{
    return (double)(nanoseconds() - start) * 1e-9;
}

/* ---- latencies: a histogram with steps of less than one percent ------------------------------- */

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS };
static uint64_t latencies[64 * STEPS], latency_count;

static void note_latency(uint64_t value)
{
    int shift = value < STEPS ? 0 : 63 - __builtin_clzll(value) - STEP_BITS + 1;
    latencies[(size_t)shift * STEPS + (value >> shift)]++;
    latency_count++;
}

static double latency_microseconds(double share)
{
    uint64_t wanted = (uint64_t)((double)latency_count * share), seen = 0;
    for (size_t i = 0; i < sizeof latencies / sizeof *latencies; i++) {
        seen += latencies[i];
        if (latencies[i] && seen >= wanted)
            return (double)((uint64_t)(i % STEPS) << (i / STEPS)) / 1000;
    }
    return 0;
}

/* ---- bytes to and from a socket --------------------------------------------------------------- */

static uint8_t *reserve(struct buffer *b, size_t length)
{
    if (b->end + length > b->capacity && b->start) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->end + length > b->capacity) {
        b->capacity = (b->end + length) * 2;
        b->data = realloc(b->data, b->capacity);
        if (!b->data)
            fail("out of memory");
    }
    uint8_t *place = b->data + b->end;
    b->end += length;
    return place;
}

static size_t unsent(const struct connection *c)
{
    return c->out.end - c->out.start;
}

static void wait_for_socket(struct connection *c, int wanted)
{
    if (c->waits_for_socket == wanted)
        return;
    c->waits_for_socket = wanted;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

/* As send and recv, through TLS where the connection has it. */
static ssize_t send_bytes(struct connection *c, const uint8_t *data, size_t length)
{
#ifdef WITH_TLS
    if (c->tls) {
        int sent = SSL_write(c->tls, data, (int)(length > 1 << 20 ? 1 << 20 : length));
        if (sent > 0)
            return sent;
        int error = SSL_get_error(c->tls, sent);
        errno = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
        return -1;
    }
#endif
    return send(c->fd, data, length, MSG_NOSIGNAL);
}

static ssize_t receive_bytes(struct connection *c, uint8_t *data, size_t length)
{
#ifdef WITH_TLS
    if (c->tls) {
        int received = SSL_read(c->tls, data, (int)length);
        if (received > 0)
            return received;
        int error = SSL_get_error(c->tls, received);
        if (error == SSL_ERROR_ZERO_RETURN)
            return 0;
        errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
        return -1;
    }
#endif
    return recv(c->fd, data, length, 0);
}

static int has_more(const struct connection *c)
{
#ifdef WITH_TLS
    return c->tls && SSL_pending(c->tls) > 0;
#else
    (void)c;
    return 0;
#endif
}

static size_t whole_packet(const uint8_t *at, size_t available, size_t *header);

/* Puts each packet into a masked frame of its own, as clients do. */
static void frame_packets(struct connection *c)
{
    size_t length, header;
    while ((length = whole_packet(c->out.data + c->out.start, unsent(c), &header))) {
        uint8_t *at = reserve(&c->frames, length + 14);
        size_t n = 0;
        at[n++] = 0x82;
        if (length < 126) {
            at[n++] = (uint8_t)(0x80 | length);
        } else if (length < 65536) {
            at[n++] = 0x80 | 126;
            at[n++] = (uint8_t)(length >> 8);
            at[n++] = (uint8_t)length;
        } else {
            at[n++] = 0x80 | 127;
            for (int shift = 56; shift >= 0; shift -= 8)
                at[n++] = (uint8_t)((uint64_t)length >> shift);
        }
        static const uint8_t mask[4] = {0x5a, 0xc3, 0x0f, 0x96};
        memcpy(at + n, mask, 4);
        for (size_t i = 0; i < length; i++)
            at[n + 4 + i] = c->out.data[c->out.start + i] ^ mask[i & 3];
        c->frames.end -= 14 - (n + 4);
        c->out.start += length;
    }
    if (c->out.start == c->out.end)
        c->out.start = c->out.end = 0;
}

static void send_unsent(struct connection *c)
{
    if (options.websocket)
        frame_packets(c);
    struct buffer *out = options.websocket ? &c->frames : &c->out;
    while (out->start < out->end) {
        ssize_t sent = send_bytes(c, out->data + out->start, out->end - out->start);
        if (sent < 0) {
            if (errno != EAGAIN && waits_for_return)
                return;  /* reading finds it too */
            if (errno != EAGAIN)
                fail("sending failed: %s", strerror(errno));
            wait_for_socket(c, 1);
            return;
        }
        out->start += (size_t)sent;
    }
    out->start = out->end = 0;
    wait_for_socket(c, 0);
}

/* Receives into `in`, out of frames where it is a WebSocket. As recv. */
static ssize_t receive(struct connection *c, struct buffer *in)
{
    if (!options.websocket)
        return receive_bytes(c, in->data + in->end, in->capacity - in->end);
    struct buffer *raw = &c->raw;
    uint8_t *place = reserve(raw, 65536);
    raw->end -= 65536;
    ssize_t received = receive_bytes(c, place, 65536);
    if (received <= 0)
        return received;
    raw->end += (size_t)received;
    size_t got = 0;
    while (raw->start < raw->end) {
        uint8_t *at = raw->data + raw->start;
        size_t available = raw->end - raw->start;
        if (!c->frame_left) {
            size_t header = available < 2 ? 14 : at[1] == 126 ? 4 : at[1] == 127 ? 10 : 2;
            if (available < header)
                break;
            if ((at[0] & 15) > 2)
                fail("the broker sent a control frame, %d", at[0] & 15);
            c->frame_left = at[1];
            if (header > 2) {
                c->frame_left = 0;
                for (size_t i = 2; i < header; i++)
                    c->frame_left = c->frame_left << 8 | at[i];
            }
            raw->start += header;
            continue;
        }
        size_t part = available < c->frame_left ? available : c->frame_left;
        memcpy(reserve(in, part), at, part);
        c->frame_left -= part;
        raw->start += part;
        got += part;
    }
    in->end -= got;
    if (!got) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)got;
}

/* ---- packets out ------------------------------------------------------------------------------ */

static size_t put_string(uint8_t *at, const char *text)
{
    size_t length = strlen(text);
    at[0] = (uint8_t)(length >> 8);
    at[1] = (uint8_t)length;
    memcpy(at + 2, text, length);
    return length + 2;
}

static size_t put_remaining_length(uint8_t *at, size_t length)
{
    size_t n = 0;
    do {
        at[n] = length & 127;
        length >>= 7;
        if (length)
            at[n] |= 128;
        n++;
    } while (length);
    return n;
}

static int speaks_mqtt_5(const struct connection *c)
{
    return options.identifier && c->role == SUBSCRIBER;
}

static void put_connect(struct connection *c)
{
    char client_id[24];
    snprintf(client_id, sizeof client_id, "load-%c%d", "psibcr"[c->role], c->index);
    int durable = !forgets && (c->role == RETURNER || (c->role == SUBSCRIBER && options.durable));
    uint8_t body[64] = {0, 4, 'M', 'Q', 'T', 'T', 4, /* clean session */ durable ? 0 : 2,
                        /* keep alive */ 0, 0};
    size_t length = 10;
    if (speaks_mqtt_5(c)) {
        body[6] = 5;
        body[length++] = 0;  /* properties */
    }
    length += put_string(body + length, client_id);
    uint8_t *at = reserve(&c->out, 2 + length);
    at[0] = CONNECT << 4;
    at[1] = (uint8_t)length;
    memcpy(at + 2, body, length);
}

static long qos_of(const struct connection *c)
{
    return c->role == SENDER || c->role == RECEIVER ? 0 : options.qos;
}

static void put_subscribe(struct connection *c)
{
    uint8_t body[160] = {0, 1};
    size_t length = 2;
    if (speaks_mqtt_5(c)) {
        body[length++] = 2;  /* bytes of properties */
        body[length++] = IDENTIFIER;
        body[length++] = (uint8_t)options.identifier;
    }
    length += put_string(body + length, *options.filter ? options.filter : c->topic);
    body[length++] = (uint8_t)qos_of(c);
    uint8_t header[5] = {SUBSCRIBE << 4 | 2};
    size_t header_length = 1 + put_remaining_length(header + 1, length);
    memcpy(reserve(&c->out, header_length), header, header_length);
    memcpy(reserve(&c->out, length), body, length);
}

/* Filters to which nobody publishes, each with a level of its client and one of its own. */
static void put_filters(struct connection *c)
{
    for (long at = 0; at < c->filters; at += FILTERS_AT_ONCE) {
        uint8_t body[FILTERS_AT_ONCE * 40] = {0, 1};
        size_t length = 2;
        for (long i = at; i < at + FILTERS_AT_ONCE && i < c->filters; i++) {
            char filter[32];
            snprintf(filter, sizeof filter, "other/%d/%ld", c->index, i);
            length += put_string(body + length, filter);
            body[length++] = 0;
        }
        uint8_t header[5] = {SUBSCRIBE << 4 | 2};
        size_t header_length = 1 + put_remaining_length(header + 1, length);
        memcpy(reserve(&c->out, header_length), header, header_length);
        memcpy(reserve(&c->out, length), body, length);
    }
}

static void put_answer(struct connection *c, enum packet_type type, const uint8_t *identifier)
{
    uint8_t *at = reserve(&c->out, 4);
    at[0] = (uint8_t)(type << 4 | (type == PUBREL ? 2 : 0));
    at[1] = 2;
    at[2] = identifier[0];
    at[3] = identifier[1];
}

/* All messages of a publisher are alike but for identifier and stamp: make the bytes once. */
static void make_frame(struct connection *c)
{
    long qos = qos_of(c);
    size_t size = (size_t)options.size, length = 2 + strlen(c->topic) + (qos ? 2 : 0) + size;
    uint8_t *at = c->frame = allocate(length + 5);
    *at++ = (uint8_t)(PUBLISH << 4 | qos << 1);
    at += put_remaining_length(at, length);
    at += put_string(at, c->topic);
    c->identifier_at = (size_t)(at - c->frame);
    at += qos ? 2 : 0;
    c->stamp_at = (size_t)(at - c->frame);
    memset(at, 'x', size);
    c->frame_length = c->stamp_at + size;
}

static void put_publish(struct connection *c)
{
    uint8_t *at = reserve(&c->out, c->frame_length);
    memcpy(at, c->frame, c->frame_length);
    if (options.alternate) {
        long topic = c->sequence % options.alternate;
        uint8_t *digit = at + c->identifier_at;
        for (int i = 0; i < DIGITS; i++, topic /= 10)
            *--digit = (uint8_t)('0' + topic % 10);
    }
    uint64_t now = nanoseconds();
    if (qos_of(c)) {
        if (!++c->identifier)
            c->identifier = 1;
        if (c->departed)
            c->departed[c->identifier] = now;
        at[c->identifier_at] = (uint8_t)(c->identifier >> 8);
        at[c->identifier_at + 1] = (uint8_t)c->identifier;
        c->unacknowledged++;
    }
    struct stamp stamp = {now, (uint32_t)c->index, c->sequence++};
    memcpy(at + c->stamp_at, &stamp, sizeof stamp);
    if (c->role == PUBLISHER)
        count.published++;
}

/* ---- packets in ------------------------------------------------------------------------------- */

static void on_publish(struct connection *c, int qos, const uint8_t *body, size_t length, uint64_t now)
{
    const uint8_t *at = body + 2 + (body[0] << 8 | body[1]);
    if (qos) {
        put_answer(c, qos == 1 ? PUBACK : PUBREC, at);
        at += 2;
    }
    struct stamp stamp;
    if (speaks_mqtt_5(c)) {
        if (at[0] != 2 || at[1] != IDENTIFIER || at[2] != options.identifier)
            fail("a message has not the subscription identifier, or more than that");
        at += 3;
    }
    if (c->role == RETURNER) {
        if (waits_for_return && !c->served) {
            c->served = 1;
            served++;
        }
        return;
    }
    if (c->role == RECEIVER) {
        memcpy(&stamp, at, sizeof stamp);
        note_latency(now - stamp.departed);
        return;
    }
    if (at + options.size != body + length || (memcpy(&stamp, at, sizeof stamp),
                                               stamp.publisher >= (uint32_t)options.publishers)) {
        count.wrong++;
        return;
    }
    if (stamp.sequence < publishers[stamp.publisher]->first_sequence)
        return;
    uint32_t *due = &c->due[stamp.publisher];
    if (stamp.sequence < *due) {
        count.wrong++;
        return;
    }
    count.skipped += stamp.sequence - *due;
    *due = stamp.sequence + 1;
    count.delivered++;
    if (!options.beside && !options.acknowledgements)
        note_latency(now - stamp.departed);
}

static void on_packet(struct connection *c, uint8_t first, const uint8_t *body, size_t length, uint64_t now)
{
    switch ((enum packet_type)(first >> 4)) {
    case CONNACK:
        if (length < 2 || body[1])
            fail("the broker refused a connection with code %d", length < 2 ? -1 : body[1]);
        if (c->role == RETURNER && waits_for_return) {
            resumed += body[0] & 1;
            put_publish(c);
        } else if (!forgets && ((c->role == SUBSCRIBER && !(body[0] & 1)) || c->role >= RECEIVER))
            put_subscribe(c);
        else if (c->role == IDLER && c->filters)
            put_filters(c);
        else
            ready++;
        break;
    case SUBACK:
        if (c->role == IDLER) {
            for (size_t i = 2; i < length; i++)
                if (body[i])
                    fail("the broker did not grant a filter");
            c->granted += (long)length - 2;
            ready += c->granted == c->filters;
            break;
        }
        if (length < 3 || body[length - 1] != qos_of(c))
            fail("the broker did not grant QoS %ld", qos_of(c));
        ready++;
        break;
    case PUBLISH:
        on_publish(c, first >> 1 & 3, body, length, now);
        break;
    case PUBREC:
        put_answer(c, PUBREL, body);
        break;
    case PUBREL:
        put_answer(c, PUBCOMP, body);
        count.released++;
        break;
    case PUBACK:
    case PUBCOMP:
        if (c->departed)
            note_latency(now - c->departed[body[0] << 8 | body[1]]);
        c->unacknowledged--;
        count.acknowledged++;
        break;
    default:
        fail("the broker sent a packet of type %d", first >> 4);
    }
}

/* The length of the packet that begins at `at`, header included, or 0 if it has not come whole. */
static size_t whole_packet(const uint8_t *at, size_t available, size_t *header)
{
    size_t length = 0;
    for (size_t i = 1; i < available && i < 5; i++) {
        length |= (size_t)(at[i] & 127) << 7 * (i - 1);
        if (!(at[i] & 128)) {
            *header = i + 1;
            return available < *header + length ? 0 : *header + length;
        }
    }
    return 0;
}

/* The broker has ended, or is not there yet: try again in a while. */
static void come_again(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->in.start = c->in.end = c->out.start = c->out.end = 0;
    c->waits_for_socket = 0;
    c->again_at = nanoseconds() + AGAIN * 1000000u;
}

static void read_packets(struct connection *c)
{
    struct buffer *in = &c->in;
    if (in->end == in->capacity)
        in->end = (size_t)(reserve(in, in->capacity) - in->data);
    ssize_t received = receive(c, in);
    if (waits_for_return && c->role == RETURNER && (received == 0 || (received < 0 && errno != EAGAIN))) {
        come_again(c);
        return;
    }
    if (received == 0 && options.away && c->role == PUBLISHER) {
        close(c->fd);  /* the broker has ended, and another one has what was published */
        c->fd = -1;
        return;
    }
    if (received == 0)
        fail("the broker closed the connection of %s %d",
             c->role == SUBSCRIBER ? "subscriber" : c->role == PUBLISHER ? "publisher" : "client",
             c->index);
    if (received < 0) {
        if (errno == EAGAIN)
            return;
        fail("receiving failed: %s", strerror(errno));
    }
    in->end += (size_t)received;
    uint64_t now = nanoseconds();
    size_t length, header = 0;
    while ((length = whole_packet(in->data + in->start, in->end - in->start, &header))) {
        const uint8_t *at = in->data + in->start;
        on_packet(c, at[0], at + header, length - header, now);
        in->start += length;
    }
    memmove(in->data, in->data + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
    if (unsent(c) && !c->waits_for_socket)
        send_unsent(c);
}

static void handle_events(int milliseconds)
{
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(poller, events, MAX_EVENTS, milliseconds);
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) {
            uint64_t expirations;
            if (read(timer, &expirations, sizeof expirations) == sizeof expirations)
                due_now += (long)expirations;
            continue;
        }
        if (c->fd < 0)
            continue;
        if (events[i].events & EPOLLOUT)
            send_unsent(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            do
                read_packets(c);
            while (has_more(c));
    }
}

/* ---- set-up ----------------------------------------------------------------------------------- */

static void start_tls(struct connection *c)
{
#ifdef WITH_TLS
    static SSL_CTX *context;
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, c->fd);
    if (SSL_connect(c->tls) != 1)
        fail("the TLS handshake failed");
#else
    (void)c;
    fail("built without TLS: install OpenSSL's headers (Debian: apt install libssl-dev)");
#endif
}

static void start_websocket(struct connection *c)
{
    static const char request[] =
        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    char answer[2048];
    size_t got = 0;
    if (send_bytes(c, (const uint8_t *)request, sizeof request - 1) != sizeof request - 1)
        fail("sending failed: %s", strerror(errno));
    do {
        ssize_t received = receive_bytes(c, (uint8_t *)answer + got, sizeof answer - 1 - got);
        if (received <= 0)
            fail("the broker did not answer as a WebSocket");
        got += (size_t)received;
        answer[got] = 0;
    } while (!strstr(answer, "\r\n\r\n") && got < sizeof answer - 1);
    if (strncmp(answer, "HTTP/1.1 101", 12))
        fail("the broker refused the WebSocket: %.40s", answer);
}

/* Where a connection leads to: subscribers may have ports of their own, which they take in turn. */
static long port_of(const struct connection *c)
{
    if (c->role != SUBSCRIBER || !*options.subscribe_at)
        return options.port;
    int ports = 1;
    for (const char *at = options.subscribe_at; *at; at++)
        ports += *at == ',';
    const char *at = options.subscribe_at;
    for (int skipped = 0; skipped < c->index % ports; at++)
        skipped += *at == ',';
    return atol(at);
}

/* Returns whether the broker was there: only a client that comes back may find it is not. */
static int begin_connection(struct connection *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0)
        fail("no socket: %s", strerror(errno));
    long port = port_of(c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1)
        fail("%s is not an IPv4 address", options.host);
    if (waits_for_return)
        fcntl(c->fd, F_SETFL, O_NONBLOCK);  /* where many come at once, some wait to be let in */
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
        if (waits_for_return)
            return 0;
        fail("connecting to port %ld failed: %s", port, strerror(errno));
    }
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.tls)
        start_tls(c);
    if (options.websocket)
        start_websocket(c);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    put_connect(c);
    send_unsent(c);
    return 1;
}

static struct connection *open_connection(enum role role, int index)
{
    struct connection *c = allocate(sizeof *c);
    c->role = role;
    c->index = index;
    c->in.capacity = role == IDLER ? 256 : role == RETURNER ? 1024
        : (size_t)(options.size > 16384 ? 4 * options.size : 65536);
    c->in.data = allocate(c->in.capacity);
    begin_connection(c);
    return c;
}

/* Opens `n` connections of a role, `prepare`d each, and returns when the broker has answered all. */
static struct connection **open_connections(enum role role, long n, void (*prepare)(struct connection *))
{
    struct connection **all = allocate((size_t)(n + 1) * sizeof *all);
    uint64_t start = nanoseconds();
    int target = ready;
    for (int i = 0; i < n; i++) {
        all[i] = open_connection(role, i);
        if (prepare)
            prepare(all[i]);
        target++;
        while (ready < target && ((i + 1) % SETUP_BATCH == 0 || i + 1 == n)) {
            if (seconds_since(start) > SETUP_TIMEOUT)
                fail("set-up timed out: %d of %ld connections", ready, n);
            handle_events(10);
        }
    }
    return all;
}

static void prepare_subscriber(struct connection *c)
{
    snprintf(c->topic, sizeof c->topic, options.topic, (int)(c->index % options.topics));
    c->due = allocate((size_t)options.publishers * sizeof *c->due);
}

static void prepare_publisher(struct connection *c)
{
    if (options.alternate)
        strcpy(c->topic, "bench/000000");
    else
        snprintf(c->topic, sizeof c->topic, options.topic, (int)(c->index % options.topics));
    make_frame(c);
    if (options.acknowledgements)
        c->departed = allocate(65536 * sizeof *c->departed);
}

static void prepare_beside(struct connection *c)
{
    snprintf(c->topic, sizeof c->topic, "beside/%d", c->index);
    make_frame(c);
}

static void prepare_returner(struct connection *c)
{
    snprintf(c->topic, sizeof c->topic, "restart/%d", c->index);
    make_frame(c);
}

static void prepare_idler(struct connection *c)
{
    c->filters = options.filters;
}

static void prepare_holder(struct connection *c)
{
    long rest = options.filters - (long)c->index * FILTERS_EACH;
    c->filters = rest < FILTERS_EACH ? rest : FILTERS_EACH;
}

/* Has some clients leave. */
static void send_away(struct connection **all, long n)
{
    for (int i = 0; i < n; i++) {
        struct connection *c = all[i];
        memcpy(reserve(&c->out, 2), "\xe0\0", 2);
        send_unsent(c);
        if (unsent(c))
            fail("client %d could not take its leave", i);
        shutdown(c->fd, SHUT_WR);
        uint8_t rest[256];
        fcntl(c->fd, F_SETFL, 0);
        while (recv(c->fd, rest, sizeof rest, 0) > 0)
            ;
        close(c->fd);
        c->fd = -1;
        c->in.start = c->in.end = 0;
    }
}

static void call_back(struct connection **all, long n)
{
    for (int i = 0; i < n; i++)
        begin_connection(all[i]);
}

/* Opens connections with durable sessions, which are new ones. */
static struct connection **open_durable(enum role role, long n, void (*prepare)(struct connection *))
{
    forgets = 1;
    struct connection **all = open_connections(role, n, prepare);
    send_away(all, n);
    forgets = 0;
    ready -= (int)n;
    uint64_t start = nanoseconds();
    int target = ready + (int)n;
    call_back(all, n);
    while (ready < target) {
        if (seconds_since(start) > SETUP_TIMEOUT)
            fail("set-up timed out: %d of %ld sessions", ready, n);
        handle_events(10);
    }
    return all;
}

/* ---- traffic ---------------------------------------------------------------------------------- */

static int subscribes(int subscriber, int publisher)
{
    return *options.filter || subscriber % options.topics == publisher % options.topics;
}

static void start_timer(long rate)
{
    long period = rate ? 1000000000L / rate : 0;
    struct timespec every = {period / 1000000000L, period % 1000000000L};
    struct itimerspec spec = {.it_interval = every, .it_value = every};
    if (timer < 0) {
        timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
        epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
    }
    timerfd_settime(timer, 0, &spec, NULL);
}

static int far_ahead(void)
{
    if (options.messages && count.published >= options.messages)
        return 1;
    if (options.away)
        return 0;
    double arrived = (double)(count.delivered + count.skipped);
    return options.ahead && count.per_publish > 0
        && (double)count.published - arrived / count.per_publish >= (double)options.ahead;
}

static int may_publish(const struct connection *c)
{
    return unsent(c) + c->frames.end - c->frames.start < MAX_UNSENT && !(qos_of(c) && c->unacknowledged >= options.window);
}

/* Lets every publisher write one batch. Returns whether one of them could go on at once. */
static int publish_batches(void)
{
    int more = 0;
    for (long i = 0; i < options.publishers; i++) {
        struct connection *c = publishers[i];
        long batch = 0;
        while (batch < options.window && may_publish(c) && !far_ahead()) {
            put_publish(c);
            batch++;
        }
        if (batch && !c->waits_for_socket)
            send_unsent(c);
        more |= may_publish(c) && !c->waits_for_socket && !far_ahead();
    }
    return more;
}

/* Publishes what the timer says is due, by the publishers in turn. */
static void publish_due(void)
{
    static long turn;
    struct connection **from = options.beside ? senders : publishers;
    long of = options.beside ? options.beside : options.publishers;
    for (; due_now > 0; due_now--) {
        struct connection *c = from[turn++ % of];
        if (!may_publish(c) || (!options.beside && far_ahead()))
            continue;
        put_publish(c);
        if (!c->waits_for_socket)
            send_unsent(c);
    }
}

static void begin_run(void)
{
    memset(latencies, 0, sizeof latencies);
    latency_count = 0;
    memset(&count, 0, sizeof count);
    long pairs = 0;
    for (int i = 0; i < options.publishers; i++) {
        publishers[i]->unacknowledged = 0;
        publishers[i]->first_sequence = publishers[i]->sequence;
        for (int j = 0; j < options.subscribers; j++) {
            subscribers[j]->due[i] = publishers[i]->sequence;
            pairs += subscribes(j, i);
        }
    }
    count.per_publish = (double)pairs / (double)options.publishers;
    due_now = 0;
}

static long expected_deliveries(void)
{
    long expected = 0;
    for (int i = 0; i < options.publishers; i++)
        for (int j = 0; j < options.subscribers; j++)
            if (subscribes(j, i))
                expected += publishers[i]->sequence - publishers[i]->first_sequence;
    return expected;
}

static int settled(long expected)
{
    if (options.away)
        return count.acknowledged >= count.published;
    return count.delivered + count.skipped >= expected
        && (!options.qos || count.acknowledged >= count.published)
        && (options.qos < 2 || count.released >= count.delivered);
}

static void report_run(long expected, double seconds)
{
    printf("{\"published\": %ld, \"delivered\": %ld, \"expected\": %ld, \"wrong\": %ld, "
           "\"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
           count.published, count.delivered, expected, count.wrong, seconds,
           latency_microseconds(.5), latency_microseconds(.99), latency_microseconds(.999));
    fflush(stdout);
}

static void run_traffic(double seconds)
{
    begin_run();
    start_timer(options.rate);
    uint64_t start = nanoseconds(), progress_at = start;
    long progress = 0, expected = 0;
    int publishing = 1;
    while (publishing || !settled(expected)) {
        int more = 0;
        if (publishing && options.rate)
            publish_due();
        if (publishing && !options.quiet && (options.beside || !options.rate))
            more = publish_batches();
        handle_events(more ? 0 : 5);
        if (publishing && (seconds_since(start) >= seconds
                           || (options.messages && count.published >= options.messages))) {
            publishing = 0;
            expected = expected_deliveries();
        }
        long now = count.delivered + count.acknowledged + count.released;
        if (now != progress || publishing) {
            progress_at = now != progress ? nanoseconds() : progress_at;
            progress = now;
        } else if (seconds_since(progress_at) > QUIET && seconds_since(start) > seconds + QUIET) {
            break;
        }
    }
    start_timer(0);
    report_run(expected, (double)(progress_at - start) * 1e-9);
}

/* Subscribers that were away come for what waits, and leave again. */
static void collect(void)
{
    long expected = expected_deliveries(), progress = -1;
    uint64_t start = nanoseconds(), progress_at = start;
    call_back(subscribers, options.subscribers);
    while (count.delivered + count.skipped < expected && seconds_since(progress_at) <= QUIET) {
        handle_events(5);
        if (count.delivered != progress) {
            progress = count.delivered;
            progress_at = nanoseconds();
        }
    }
    report_run(expected, (double)(progress_at - start) * 1e-9);
    send_away(subscribers, options.subscribers);
}

/* The broker ends, and another one starts: those who were there come back. */
static void run_restart(void)
{
    uint64_t start = nanoseconds();
    waits_for_return = 1;
    served = resumed = 0;
    for (long i = 0; i < options.connections; i++)
        returners[i]->served = 0;
    printf("{\"connections\": %ld}\n", options.connections);
    fflush(stdout);
    while (served < options.connections && seconds_since(start) < SETUP_TIMEOUT) {
        handle_events(1);
        uint64_t now = nanoseconds();
        for (long i = 0; i < options.connections; i++) {
            struct connection *c = returners[i];
            if (!c->again_at || c->again_at > now)
                continue;
            c->again_at = 0;
            if (!begin_connection(c))
                come_again(c);
        }
    }
    printf("{\"served\": %ld, \"resumed\": %ld, \"seconds\": %.6f}\n", served, resumed,
           seconds_since(start));
    fflush(stdout);
    waits_for_return = 0;
}

/* ---- the program ------------------------------------------------------------------------------ */

static void set_option(const char *key, char *value)
{
    static const struct { const char *key; long *number; } numbers[] = {
        {"port", &options.port}, {"publishers", &options.publishers},
        {"subscribers", &options.subscribers}, {"topics", &options.topics}, {"qos", &options.qos},
        {"size", &options.size}, {"window", &options.window}, {"rate", &options.rate},
        {"ahead", &options.ahead}, {"connections", &options.connections},
        {"tls", &options.tls}, {"websocket", &options.websocket},
        {"alternate", &options.alternate}, {"messages", &options.messages},
        {"durable", &options.durable}, {"away", &options.away},
        {"acknowledgements", &options.acknowledgements}, {"beside", &options.beside},
        {"quiet", &options.quiet}, {"filters", &options.filters},
        {"identifier", &options.identifier},
    };
    static const struct { const char *key; const char **text; } texts[] = {
        {"host", &options.host}, {"filter", &options.filter}, {"topic", &options.topic},
        {"subscribe_at", &options.subscribe_at},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) {
            *numbers[i].number = atol(value);
            return;
        }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].key)) {
            *texts[i].text = value;
            return;
        }
    fail("there is no option %s", key);
}

int main(int argc, char **argv)
{
    int traffic = argc > 1 && !strcmp(argv[1], "traffic");
    int restart = argc > 1 && !strcmp(argv[1], "restart");
    if (!traffic && !restart && !(argc > 1 && !strcmp(argv[1], "idle")))
        fail("say traffic, idle or restart, then key=value");
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            fail("%s is not key=value", argv[i]);
        *equals = 0;
        set_option(argv[i], equals + 1);
    }
    if (options.size < (long)sizeof(struct stamp))
        fail("a payload has at least %zu bytes", sizeof(struct stamp));
    if (options.alternate && (options.alternate > 1000000 || !*options.filter))
        fail("alternate is 1000000 at most, and wants a filter");

    poller = epoll_create1(0);
    uint64_t start = nanoseconds();
    if (traffic) {
        open_connections(IDLER, (options.filters + FILTERS_EACH - 1) / FILTERS_EACH, prepare_holder);
        subscribers = (options.durable ? open_durable : open_connections)(
            SUBSCRIBER, options.subscribers, prepare_subscriber);
        if (options.away)
            send_away(subscribers, options.subscribers);
        publishers = open_connections(PUBLISHER, options.publishers, prepare_publisher);
        open_connections(RECEIVER, options.beside, prepare_beside);
        senders = open_connections(SENDER, options.beside, prepare_beside);
    } else if (restart) {
        returners = open_durable(RETURNER, options.connections, prepare_returner);
    } else {
        open_connections(IDLER, options.connections, prepare_idler);
    }
    printf("{\"connections\": %d, \"seconds\": %.6f}\n", ready, seconds_since(start));
    fflush(stdout);

    char line[64];
    while (fgets(line, sizeof line, stdin))
        if (!strcmp(line, "collect\n"))
            collect();
        else if (traffic)
            run_traffic(atof(line));
        else if (restart)
            run_restart();
    return 0;
}
