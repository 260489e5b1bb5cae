/*
 * Random lives of a spool: transactions, streamed ones, definitions that change, broken
 * connections, clean ends and crashes, syncs and prunes; and after each of them all that ends after
 * a random position is read: every transaction once, whole, in order, under the definitions it was
 * made with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/spool_case.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "seed %u: %s:%d: %s\n", (unsigned)life->seed, __FILE__, __LINE__,      \
                    #condition);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define OBJECTS 5u
#define XIDS 4u
#define ENDS_MAX 4000u

/* A transaction that has ended, and what it was. */
struct end {
    ph_lsn lsn;
    uint32_t xid; /* streamed; otherwise 0 */
    uint32_t changes;
};

/* A streamed transaction under way, as the server sees it. */
struct streamed {
    uint32_t xid; /* 0: none */
    uint32_t changes;
    bool sent[OBJECTS];
};

struct life {
    struct spool_case c;
    uint32_t seed;
    uint32_t noise;
    struct end ends[ENDS_MAX];
    uint32_t n_ends;
    uint32_t next_xid;
    struct streamed streamed[XIDS];
    uint32_t version[OBJECTS];
    bool sent[OBJECTS];
    ph_lsn pruned;
};

static uint32_t
roll(struct life *life, uint32_t below)
{
    life->noise = life->noise * 1664525u + 1013904223u;
    return (life->noise >> 16) % below;
}

static void
send_message(struct life *life, enum ph_spool_message_kind kind, uint32_t xid, ph_lsn end,
             uint64_t object, const char *text)
{
    char bytes[900];
    size_t len = strlen(text);
    size_t filler = roll(life, 20) == 0 ? 500 : roll(life, 60);

    memcpy(bytes, text, len);
    memset(bytes + len, 'a' + (int)roll(life, 26), filler);
    struct ph_spool_message message = {.kind = kind,
                                       .bytes = {(const uint8_t *)bytes, len + filler},
                                       .xid = xid,
                                       .end_lsn = end,
                                       .object = object};
    MUST(ph_spool_append(life->c.spool, &message, must));
}

/* A change, behind the definition when the server has not sent it; as pgoutput keeps account. */
static void
send_change(struct life *life, struct streamed *streamed, uint32_t i)
{
    uint32_t object = roll(life, OBJECTS);
    uint32_t xid = streamed != NULL ? streamed->xid : 0;
    bool *sent = streamed != NULL ? &streamed->sent[object] : &life->sent[object];
    char text[64];

    if (!*sent) {
        snprintf(text, sizeof text, "s %u %u ", (unsigned)object, (unsigned)life->version[object]);
        send_message(life, PH_SPOOL_SCHEMA, xid, 0, object, text);
        *sent = true;
    }
    snprintf(text, sizeof text, "x %u %u %u ", (unsigned)object, (unsigned)life->version[object],
             (unsigned)i);
    send_message(life, PH_SPOOL_CHANGE, xid, 0, 0, text);
}

static void
add_end(struct life *life, uint32_t xid, uint32_t changes)
{
    CHECK(life->n_ends < ENDS_MAX);
    life->ends[life->n_ends++] = (struct end){life->c.lsn, xid, changes};
}

static void
do_txn(struct life *life)
{
    uint32_t changes = roll(life, 10) == 0 ? roll(life, 60) : roll(life, 5);

    send_message(life, PH_SPOOL_BEGIN, 0, 0, 0, "begin ");
    for (uint32_t i = 0; i < changes; i++)
        send_change(life, NULL, i);
    life->c.lsn += 1 + roll(life, 100);
    send_message(life, PH_SPOOL_COMMIT, 0, life->c.lsn, 0, "commit ");
    add_end(life, 0, changes);
}

static void
do_block(struct life *life)
{
    struct streamed *streamed = &life->streamed[roll(life, XIDS)];

    if (streamed->xid == 0)
        *streamed = (struct streamed){.xid = ++life->next_xid};
    for (uint32_t n = 1 + roll(life, 20); n > 0; n--)
        send_change(life, streamed, streamed->changes++);
}

static void
do_stream_end(struct life *life)
{
    struct streamed *streamed = &life->streamed[roll(life, XIDS)];

    if (streamed->xid == 0)
        return;
    if (roll(life, 3) == 0) {
        send_message(life, PH_SPOOL_STREAM_ABORT, streamed->xid, 0, 0, "abort ");
    } else {
        life->c.lsn += 1 + roll(life, 100);
        send_message(life, PH_SPOOL_STREAM_COMMIT, streamed->xid, life->c.lsn, 0, "commit ");
        add_end(life, streamed->xid, streamed->changes);
        for (uint32_t i = 0; i < OBJECTS; i++)
            life->sent[i] = life->sent[i] || streamed->sent[i];
    }
    streamed->xid = 0;
}

static void
do_alter(struct life *life)
{
    uint32_t object = roll(life, OBJECTS);

    life->version[object]++;
    life->sent[object] = false;
    for (uint32_t i = 0; i < XIDS; i++)
        life->streamed[i].sent[object] = false;
}

/* The spool ends at W: the rest is forgotten, and comes again as something else. */
static void
begin_session(struct life *life)
{
    MUST(ph_spool_end_session(life->c.spool, must));
    ph_lsn written = case_positions(&life->c).written;
    struct ph_spool_session session = case_session(written);
    MUST(ph_spool_begin_session(life->c.spool, &session, must));
    life->c.lsn = written;
    while (life->n_ends > 0 && life->ends[life->n_ends - 1].lsn > written)
        life->n_ends--;
    memset(life->streamed, 0, sizeof life->streamed);
    memset(life->sent, 0, sizeof life->sent);
}

static void
do_break(struct life *life)
{
    if (roll(life, 2) == 0) {
        /* In the middle of one. */
        send_message(life, PH_SPOOL_BEGIN, 0, 0, 0, "begin ");
        for (uint32_t i = 0; i < 20; i++)
            send_change(life, NULL, i);
    }
    begin_session(life);
}

/* The process ends, cleanly or not: then the last segment may have lost what was not synced. */
static void
do_reopen(struct life *life)
{
    char path[512];
    off_t size = 0;
    struct ph_spool_positions before = case_positions(&life->c);
    int n = case_count_segments(&life->c);

    CHECK((uint64_t)n == before.segments);
    ph_spool_close(life->c.spool);
    life->c.spool = NULL;
    if (roll(life, 2) == 0 && before.durable < before.written &&
        case_segment(&life->c, n - 1, path, sizeof path, &size)) {
        /* Without the mark of the clean end, and some bytes before it that say so. */
        off_t cut = size - 80 - (off_t)roll(life, 300);
        if (cut > 0)
            CHECK(truncate(path, cut) == 0);
    }
    struct ph_error err;
    ph_code rc = ph_spool_open(&life->c.params, &life->c.spool, &err);
    CHECK(rc == PH_OK);
    CHECK(case_positions(&life->c).written >= before.durable);
    CHECK(case_positions(&life->c).begin <= life->pruned);
    begin_session(life);
}

static void
do_prune(struct life *life)
{
    ph_lsn durable;

    if (roll(life, 2) == 0)
        MUST(ph_spool_sync(life->c.spool, 0, must));
    durable = case_positions(&life->c).durable;
    for (uint32_t i = life->n_ends; i > 0; i--) {
        ph_lsn lsn = life->ends[i - 1].lsn;

        if (lsn <= durable && lsn > life->pruned && roll(life, 4) == 0) {
            life->pruned = lsn;
            break;
        }
    }
    MUST(ph_spool_prune(life->c.spool, life->pruned, must));
    CHECK(case_positions(&life->c).begin <= life->pruned);
}

struct reading {
    uint32_t definition[OBJECTS];
    uint32_t next; /* of the ends */
    uint32_t changes;
    bool inside;
};

/* A definition or a change; the change must be of the definition that holds. */
static void
check_change(struct life *life, struct reading *reading, const struct ph_spool_item *item)
{
    char text[64] = "";
    unsigned object;
    unsigned version;
    unsigned i = 0;
    size_t len = item->bytes.len < sizeof text - 1 ? item->bytes.len : sizeof text - 1;

    memcpy(text, item->bytes.data, len);
    CHECK(sscanf(text + 1, "%u %u %u", &object, &version, &i) >= 2 && object < OBJECTS);
    if (item->kind == PH_SPOOL_SCHEMA) {
        reading->definition[object] = version;
        return;
    }
    CHECK(text[0] == 'x' && i == reading->changes);
    CHECK(reading->definition[object] == version);
    reading->changes++;
}

static void
check_stream(struct life *life, const struct end *end)
{
    struct reading reading = {.definition = {0}};
    struct ph_spool_stream *stream;
    struct ph_spool_item item;
    bool more = true;

    MUST(ph_spool_stream_open(life->c.spool, end->xid, end->lsn, &stream, must));
    CHECK(stream != NULL);
    while (more) {
        MUST(ph_spool_stream_next(stream, &item, &more, must));
        if (more)
            check_change(life, &reading, &item);
    }
    CHECK(reading.changes == end->changes);
    ph_spool_stream_close(stream);
}

static void
check_end(struct life *life, struct reading *reading, ph_lsn last_end)
{
    CHECK(reading->next < life->n_ends);
    const struct end *end = &life->ends[reading->next++];
    CHECK(end->lsn <= last_end);
    if (end->xid != 0)
        check_stream(life, end);
    else
        CHECK(reading->changes == end->changes);
}

static void
check_item(struct life *life, struct reading *reading, const struct ph_spool_step *step,
           const struct ph_spool_item *item)
{
    switch (item->kind) {
    case PH_SPOOL_BEGIN:
        CHECK(!reading->inside);
        reading->inside = true;
        reading->changes = 0;
        break;
    case PH_SPOOL_CHANGE:
        CHECK(reading->inside);
        check_change(life, reading, item);
        break;
    case PH_SPOOL_SCHEMA:
        check_change(life, reading, item);
        break;
    case PH_SPOOL_COMMIT:
        CHECK(reading->inside);
        reading->inside = false;
        check_end(life, reading, step->last_end);
        break;
    case PH_SPOOL_STREAM_COMMIT:
        check_end(life, reading, step->last_end);
        break;
    case PH_SPOOL_STREAM_ABORT:
    case PH_SPOOL_ASIDE:
        break;
    }
}

/*
 * The first end that a reader gives may be one at or before `from`, when it shares the frame: the
 * reading is told where it begins by counting from behind.
 */
static uint32_t
count_ends(struct life *life, ph_lsn from)
{
    struct ph_spool_reader *reader;
    struct ph_spool_step step;
    struct ph_spool_item item;
    uint32_t n = 0;

    MUST(ph_spool_reader_open(life->c.spool, from, &reader, must));
    do {
        bool more = true;

        MUST(ph_spool_reader_next(reader, 0, &step, must));
        while (more) {
            MUST(ph_spool_reader_message(reader, &item, &more, must));
            n += more && (item.kind == PH_SPOOL_COMMIT || item.kind == PH_SPOOL_STREAM_COMMIT);
        }
    } while (step.what != PH_READ_NOTHING);
    ph_spool_reader_close(reader);
    return n;
}

static void
do_read(struct life *life)
{
    struct reading reading = {.definition = {0}};
    struct ph_spool_reader *reader;
    struct ph_spool_step step;
    struct ph_spool_item item;
    ph_lsn from = life->pruned;

    MUST(ph_spool_flush(life->c.spool, must));
    for (uint32_t i = 0; i < life->n_ends; i++) {
        if (life->ends[i].lsn > from && roll(life, 3) == 0)
            from = life->ends[i].lsn;
    }
    uint32_t given = count_ends(life, from);
    CHECK(given <= life->n_ends);
    reading.next = life->n_ends - given;
    /* All that end after it are there. */
    CHECK(reading.next == 0 || life->ends[reading.next - 1].lsn <= from);
    MUST(ph_spool_reader_open(life->c.spool, from, &reader, must));
    do {
        bool more = true;

        MUST(ph_spool_reader_next(reader, 0, &step, must));
        if (step.what == PH_READ_SESSION)
            reading.inside = false;
        while (more && step.what != PH_READ_STREAM) {
            MUST(ph_spool_reader_message(reader, &item, &more, must));
            if (more)
                check_item(life, &reading, &step, &item);
        }
    } while (step.what != PH_READ_NOTHING);
    CHECK(reading.next == life->n_ends);
    ph_spool_reader_close(reader);
}

static void
live(uint32_t seed)
{
    static struct life one;
    struct life *life = &one;

    *life = (struct life){.seed = seed, .noise = seed, .pruned = SPOOL_BEGIN_LSN};
    case_init(&life->c, case_memory());
    life->c.params.frame_bytes = 100 + roll(life, 2000);
    life->c.params.segment_bytes = 1000 + roll(life, 20000);
    life->c.params.packing = (enum ph_spool_packing)roll(life, 3);
    case_open(&life->c);
    begin_session(life);
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t what = roll(life, 100);

        if (what < 40)
            do_txn(life);
        else if (what < 60)
            do_block(life);
        else if (what < 67)
            do_stream_end(life);
        else if (what < 75)
            do_alter(life);
        else if (what < 85)
            MUST(ph_spool_flush(life->c.spool, must));
        else if (what < 90)
            do_prune(life);
        else if (what < 92)
            do_break(life);
        else if (what < 94)
            do_reopen(life);
        else if (what < 96)
            MUST(ph_spool_progress(life->c.spool, life->c.lsn += 5, must));
        else
            do_read(life);
    }
    do_read(life);
    case_free(&life->c);
}

static void
test_lives(void **state)
{
    const char *only = getenv("SEED");

    (void)state;
    if (only != NULL) {
        live((uint32_t)strtoul(only, NULL, 10));
        return;
    }
    for (uint32_t seed = 1; seed <= 150; seed++)
        live(seed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
